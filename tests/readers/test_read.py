"""All formats through the one door: every file of every vendor, and whatever can be wrong with one."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import exoclass.readers
from exoclass.errors import ExoclassError, InputError, UnknownFormatError
from exoclass.readers import Format, drop_duplicates, read
from exoclass.readers.sniff import sniff
from exoclass.records import Deletion, Record, Reject

ROOT = Path(__file__).parent.parent.parent
FIXTURES = sorted((ROOT / "tests" / "fixtures" / "exports").iterdir())
SHARED = ROOT.parent / "shared" / "exports"
COUNTS = {
    "embase.csv": 6,
    "embase.ris": 6,
    "ovid_zotero.ris": 6,
    "proquest.ris": 6,
    "pubmed_article.xml": 1,
    "pubmed_endnote.txt": 6,
    "pubmed_zotero.ris": 6,
    "scopus.ris": 6,
    "web_of_science.txt": 10,
}
NBIB = "PMID- 90000001\nTI  - Vesicles in wounds\nAB  - They heal.\nDP  - 2020\n\n"


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.name)
def test_every_vendors_file_is_read_whole(path: Path) -> None:
    items = list(read(path))
    records = [item for item in items if isinstance(item, Record)]
    assert records
    assert not [item for item in items if isinstance(item, Reject)]
    for record in records:
        assert record.title
        assert record.abstract or "no_abstract" in record.flags
        assert record.source.startswith(f"{path}:")


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.name)
def test_gzip_and_the_name_make_no_difference(path: Path, tmp_path: Path) -> None:
    packed = tmp_path / "mystery"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert [str(item).replace(str(packed), str(path)) for item in read(packed)] == [str(item) for item in read(path)]


@pytest.mark.parametrize("name", COUNTS)
def test_every_shared_export_yields_every_record(name: str) -> None:
    path = SHARED / name
    if not path.exists():
        pytest.skip("the shared exports are not here")
    items = list(read(path))
    assert len(items) == COUNTS[name]
    text = " ".join(unquote(path.read_text(encoding="utf-8-sig")).split())
    for item in items:
        assert isinstance(item, Record)
        assert item.title
        assert len(item.abstract) > 200
        assert item.year
        assert item.doi
        assert item.doi in text.lower()
        assert item.pmid is None or item.pmid in text
        if path.suffix != ".xml":
            assert item.title in text


def test_files_are_read_in_order_and_a_faulty_one_ends_it(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.nbib", tmp_path / "bad.nbib"
    good.write_text(NBIB)
    bad.write_text("Dear colleague, no records.")
    items = read([good, str(good), bad, good])
    assert [next(items), next(items)] == list(read([good, good]))
    with pytest.raises(UnknownFormatError, match=r"bad\.nbib"):
        next(items)


@pytest.mark.parametrize(("content", "message"), [(None, "no such file"), (b"", "is empty"), (b"\0\1", "binary data")])
def test_a_file_that_cannot_be_read_at_all(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "x.ris"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(read(path))
    with pytest.raises(InputError, match="is a directory"):
        list(read(tmp_path))


@pytest.mark.parametrize(
    "one",
    [
        NBIB,
        "TY  - JOUR\nTI  - Vesicles in wounds\nAB  - They heal.\nER  - \n\n",
        '{"title": "Vesicles in wounds", "abstract": "They heal."}\n',
    ],
)
def test_a_truncated_gzip_gives_what_precedes_the_break_and_one_reject(tmp_path: Path, one: str) -> None:
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress((one * 3).encode() + one.encode()[:-12])[:-8])
    *records, last = read(path)
    assert all(isinstance(item, Record) and item.abstract == "They heal." for item in records)
    assert len(records) == 3
    assert isinstance(last, Reject)
    assert "the gzip file ends early" in last.reason
    assert last.position.startswith("line ")


def test_a_truncated_gzip_of_xml(tmp_path: Path) -> None:
    article = (
        "<PubmedArticle><MedlineCitation><Article><ArticleTitle>Vesicles</ArticleTitle></Article></MedlineCitation>"
    )
    path = tmp_path / "cut.xml.gz"
    path.write_bytes(gzip.compress(f"<PubmedArticleSet>\n{article}</PubmedArticle>\n{article}".encode())[:-8])
    record, reject = read(path)
    assert isinstance(record, Record)
    assert reject == Reject(str(path), "line 3", f"{path}: the gzip file ends early here; what follows is lost")


def test_a_page_larger_than_any_page_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exoclass.readers, "MAX_PAGE", 1_000_000)
    path = tmp_path / "page.html"
    path.write_text("<!DOCTYPE html>" + " " * 1_000_000)
    with pytest.raises(InputError, match="a page of more than 1 MB"):
        list(read(path))


def test_standard_input() -> None:
    code = "from exoclass.readers import read; print([(r.pmid, r.source) for r in read('-')])"
    done = subprocess.run([sys.executable, "-c", code], input=NBIB.encode(), capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[('90000001', '-:1')]"


def test_the_heavy_libraries_stay_out() -> None:
    code = "import sys, exoclass.readers; print({'torch', 'sklearn', 'numpy', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "set()"


def paper(pmid: str | None, line: int, version: int = 1) -> Record:
    return Record("Vesicles", "They heal.", pmid=pmid, version=version, source=f"C:/x.ris:{line}")


def test_duplicates_become_rejects() -> None:
    first, other, nameless = paper("1", 1), paper("2", 5), paper(None, 9)
    gone = Deletion("1", "C:/x.ris:13")
    items: list[Record | Reject | Deletion] = [first, other, nameless, nameless, first, paper("1", 17), gone]
    reason = "duplicate of PMID 1, first read at C:/x.ris:1"
    assert list(drop_duplicates(items)) == [
        first,
        other,
        nameless,
        nameless,
        Reject("C:/x.ris", "line 1", reason, "Vesicles"),
        Reject("C:/x.ris", "line 17", reason, "Vesicles"),
        gone,
    ]


def test_a_newer_version_supersedes_the_older() -> None:
    old, new, stale = paper("1", 1), paper("1", 5, version=2), paper("1", 9)
    kept, newer, dropped = drop_duplicates([old, new, stale])
    assert kept == old
    assert isinstance(newer, Record)
    assert (newer.version, newer.flags) == (2, ("supersedes",))
    assert isinstance(dropped, Reject)
    assert dropped.reason.endswith("C:/x.ris:5")


def survives(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        items: Sequence[object] = list(drop_duplicates(read(path)))
    except ExoclassError as error:
        assert str(error)
    else:
        assert all(isinstance(item, Record | Reject | Deletion) for item in items)


@given(content=st.binary(max_size=500))
@settings(max_examples=100, deadline=None)
def test_arbitrary_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    survives(tmp_path_factory.getbasetemp() / "arbitrary", content)


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_mutated_exports(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(FIXTURES)).read_bytes())
    for _ in range(data.draw(st.integers(0, 6))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 60))] = data.draw(st.binary(max_size=8))
    if data.draw(st.booleans()):
        content += data.draw(st.sampled_from(FIXTURES)).read_bytes()  # two exports glued
    if data.draw(st.booleans()):
        content = bytearray(gzip.compress(content, 1))
        del content[data.draw(st.integers(0, len(content))) :]
    survives(tmp_path_factory.getbasetemp() / "mutated", bytes(content))


def test_every_format_has_a_fixture() -> None:
    assert {sniff(path.read_bytes()[:4096]) for path in FIXTURES} == set(Format)
