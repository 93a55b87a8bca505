"""Opening, unpacking, decoding and cutting into lines."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exoclass.errors import InputError
from exoclass.readers import source
from exoclass.readers.source import BrokenStreamError, Source, encoding_of, open_source, text_chunks, text_lines

TEXT = "TY  - JOUR\r\nTI  - Vesicles\rAB  - naïve β-cells\u2028same line\nER  - "
LINES = [(1, "TY  - JOUR"), (2, "TI  - Vesicles"), (3, "AB  - naïve β-cells\u2028same line"), (4, "ER  - ")]


def lines_of(content: bytes) -> list[tuple[int, str]]:
    return list(text_lines(Source("here", io.BytesIO(content), b"")))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_lines_in_every_unicode_encoding(encoding: str) -> None:
    assert lines_of(TEXT.encode(encoding)) == LINES


def test_utf16_with_a_big_endian_mark() -> None:
    assert lines_of(b"\xfe\xff" + TEXT.encode("utf-16-be")) == LINES


def test_bytes_that_are_not_utf8_are_windows_1252() -> None:
    assert lines_of("Sjögren “dry” eye".encode("cp1252")) == [(1, "Sjögren “dry” eye")]
    assert lines_of("β".encode() + b"\n" + "é".encode("latin-1") + b"\n\x81") == [(1, "β"), (2, "é"), (3, "\x81")]


def test_characters_and_line_ends_may_straddle_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "_CHUNK", 1)
    assert lines_of(TEXT.encode()) == LINES


def test_a_line_end_at_the_end_makes_no_line_of_its_own() -> None:
    assert lines_of(b"a\n") == lines_of(b"a\r") == lines_of(b"a") == [(1, "a")]
    assert lines_of(b"a\n\n") == [(1, "a"), (2, "")]
    assert lines_of(b"") == []


def test_an_endless_line_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MAX_LINE", 100)
    with pytest.raises(InputError, match="here: line 2 is longer than 100 characters"):
        lines_of(b"short\n" + b"x" * 200)


def test_gzip_is_known_by_its_bytes_and_members_may_follow_each_other(tmp_path: Path) -> None:
    path = tmp_path / "records.txt"
    path.write_bytes(gzip.compress(b"one\n") + gzip.compress(b"two\n") + b"\0" * 512)
    with open_source(path) as opened:
        assert opened.name == str(path)
        assert opened.head == b"one\ntwo\n"
        assert list(text_lines(opened)) == [(1, "one"), (2, "two")]


def noise(length: int) -> bytes:
    """Return lines that gzip can hardly shrink."""
    return b"".join(str(pow(7, n, 1_000_003)).encode() + b"\n" for n in range(length))


def read_until_broken(path: Path) -> tuple[bytes, str]:
    content = b""
    with open_source(path) as opened, pytest.raises(BrokenStreamError) as caught:
        while chunk := opened.stream.read(1000):
            content += chunk
    return content, str(caught.value)


def test_a_truncated_gzip_delivers_what_precedes_the_cut(tmp_path: Path) -> None:
    whole = noise(50_000)
    path = tmp_path / "cut.gz"
    packed = gzip.compress(whole)
    path.write_bytes(packed[: len(packed) // 2])
    content, message = read_until_broken(path)
    assert whole.startswith(content)
    assert len(content) > 0.4 * len(whole)
    assert "the gzip file ends early here" in message


def test_a_damaged_checksum_is_reported_after_the_whole_content(tmp_path: Path) -> None:
    whole = noise(50_000)
    path = tmp_path / "damaged.gz"
    path.write_bytes(gzip.compress(whole)[:-8] + b"\1" * 8)
    content, message = read_until_broken(path)
    assert content == whole
    assert "damaged" in message


def test_something_else_after_a_gzip_member_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "glued.gz"
    path.write_bytes(gzip.compress(b"records\n") + b"<html>sorry</html>")
    assert read_until_broken(path)[0] == b"records\n"


def test_lines_before_a_break_are_delivered_and_the_break_has_a_line(tmp_path: Path) -> None:
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(b"one\ntwo\nthr")[:-8])
    found: list[tuple[int, str]] = []
    with open_source(path) as opened, pytest.raises(BrokenStreamError) as caught:
        found.extend(text_lines(opened))
    assert found == [(1, "one"), (2, "two")]
    assert caught.value.position == "line 3"


def test_a_gzip_of_which_nothing_is_left_is_an_error_at_once(tmp_path: Path) -> None:
    path = tmp_path / "stub.gz"
    path.write_bytes(gzip.compress(b"x")[:5])
    with pytest.raises(InputError, match="ends early"), open_source(path):
        pass


@pytest.mark.parametrize(
    ("name", "message"),
    [("", "is a directory"), ("nowhere.ris", "no such file"), ("a\0b", "cannot be opened"), ("x" * 300, "cannot be")],
)
def test_what_cannot_be_opened_is_named_with_a_remedy(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught, open_source(f"{tmp_path}/{name}"):
        pass
    assert str(tmp_path) in str(caught.value)
    assert caught.value.remedy


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file(tmp_path: Path) -> None:
    path = tmp_path / "secret.ris"
    path.write_text("TY  - JOUR\n")
    path.chmod(0)
    with pytest.raises(InputError, match="not allowed"), open_source(path):
        pass


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_dash_is_standard_input(pack: type[bytes]) -> None:
    code = (
        "from exoclass.readers.source import open_source, text_lines\n"
        "with open_source('-') as s: print(s.name, list(text_lines(s)))"
    )
    done = subprocess.run([sys.executable, "-c", code], input=pack(b"a\nb\n"), capture_output=True, check=True)
    assert done.stdout.decode().strip() == "- [(1, 'a'), (2, 'b')]"


@given(st.text(st.characters(codec="utf-8"), max_size=200), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
@settings(max_examples=60, deadline=None)
def test_text_survives_decoding(text: str, encoding: str) -> None:
    content = text.encode(encoding)
    if encoding == "utf-8" and encoding_of(content) != "utf-8-sig":
        return  # a few NULs in the right places look like UTF-16
    assert "".join(text_chunks(io.BytesIO(content))) == text.removeprefix("\ufeff" if encoding == "utf-8" else "")


@given(st.binary(max_size=300), st.integers(1, 20))
@settings(max_examples=100, deadline=None)
def test_lines_of_any_bytes_are_numbered_without_gaps(content: bytes, pieces: int) -> None:
    found = lines_of(content * pieces)
    assert [number for number, _ in found] == list(range(1, len(found) + 1))
    assert not any("\n" in line or "\r" in line for _, line in found)
