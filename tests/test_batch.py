"""Whole runs: every item is accounted for, rejects are kept, output appears whole or not at all."""

from __future__ import annotations

import io
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import make_record
from hypothesis import given, settings
from hypothesis import strategies as st

from exoclass.batch import RejectsFile, Tally, atomic_output, tag_all
from exoclass.classifier import Classifier
from exoclass.errors import InputError, OutputError
from exoclass.records import Deletion, Record, Reject
from exoclass.writers import View, write_jsonl

Item = Record | Reject | Deletion

BAD = Reject("x.nbib", "line 3", "neither a title nor an abstract", "PMID 3")
GONE = Deletion("90000009", "x.xml:1")


@pytest.fixture(scope="module")
def clf(tiny_model: Path) -> Classifier:
    return Classifier.from_pretrained(tiny_model)


def tag(
    clf: Classifier,
    items: list[Item] | Iterator[Item],
    *,
    rejects: Path | None = None,
    strict: bool = False,
    batch_size: int = 2,
    progress: Iterator[None] | None = None,
    out: io.StringIO | None = None,
) -> tuple[Tally, list[dict[str, object]]]:
    out = out or io.StringIO()
    with RejectsFile(rejects, replace=True) as file:
        tally = tag_all(
            items,
            clf,
            writer=write_jsonl,
            out=out,
            view=View(),
            rejects=file,
            batch_size=batch_size,
            explain=False,
            strict=strict,
            progress=progress,
        )
    return tally, [json.loads(line) for line in out.getvalue().splitlines()]


# ------------------------------------------------------------------------------------------------------ accounting

RECORDS = st.builds(lambda n: make_record(f"Vesicles {n}", "They heal.", source=f"x:{n}"), st.integers(0, 99))
REJECTS = st.builds(lambda n: Reject("x", f"line {n}", "no title"), st.integers(0, 99))
DELETIONS = st.builds(lambda n: Deletion(str(n), "x:1"), st.integers(1, 99))


@given(items=st.lists(RECORDS | REJECTS | DELETIONS, max_size=12), batch_size=st.integers(1, 13))
@settings(deadline=None, max_examples=60)
def test_records_in_are_records_tagged_and_rejected(
    tmp_path_factory: pytest.TempPathFactory, clf: Classifier, items: list[Item], batch_size: int
) -> None:
    path = tmp_path_factory.mktemp("run") / "rejects.jsonl"
    records = [item for item in items if isinstance(item, Record)]
    refused = [item for item in items if isinstance(item, Reject)]
    if refused and not records:
        with pytest.raises(InputError, match=f"none of {len(refused)} records"):
            tag(clf, items, rejects=path, batch_size=batch_size)
    else:
        tally, lines = tag(clf, items, rejects=path, batch_size=batch_size)
        assert tally.read == tally.tagged + tally.rejected == len(records) + len(refused)
        assert tally.deletions == len(items) - tally.read
        assert [line["source"] for line in lines] == [record.source for record in records]
    kept = path.read_text().splitlines() if path.exists() else []
    assert [json.loads(line)["position"] for line in kept] == [reject.position for reject in refused]


def test_flags_are_counted(clf: Classifier) -> None:
    bare = make_record(abstract="", flags=("no_abstract",))
    tally, _ = tag(clf, [bare, bare, make_record(flags=("no_abstract", "retracted")), make_record()])
    assert tally.flags == {"no_abstract": 3, "retracted": 1}


def test_nothing_in_is_nothing_out(clf: Classifier) -> None:
    assert tag(clf, []) == (Tally(), [])


def test_deletions_alone_are_no_error(clf: Classifier) -> None:
    tally, lines = tag(clf, [GONE, GONE])
    assert (tally.deletions, tally.read, lines) == (2, 0, [])


def test_the_batch_size_changes_nothing(clf: Classifier) -> None:
    items: list[Item] = [make_record(f"Vesicles {n}") for n in range(5)]
    items.insert(2, BAD)
    assert tag(clf, items, batch_size=1) == tag(clf, items, batch_size=4) == tag(clf, items, batch_size=99)


def test_progress_advances_once_per_tagged_record(clf: Classifier) -> None:
    seen = []

    def ticks() -> Iterator[None]:
        while True:
            seen.append(1)
            yield None

    tag(clf, [make_record(), BAD, make_record(), GONE, make_record()], progress=ticks())
    assert len(seen) == 3


def test_a_progress_that_ends_early_does_not_end_the_run(clf: Classifier) -> None:
    tally, _ = tag(clf, [make_record(), make_record(), make_record()], progress=iter([None]))
    assert tally.tagged == 3


def test_no_more_than_one_batch_is_read_ahead(clf: Classifier) -> None:
    out, ahead = io.StringIO(), []

    def stream() -> Iterator[Item]:
        for number in range(1, 9):
            ahead.append(number - out.getvalue().count("\n"))
            yield make_record()

    tag(clf, stream(), batch_size=3, out=out)
    assert max(ahead) == 3


@pytest.mark.parametrize(
    ("tally", "line"),
    [
        (Tally(), "0 records read, 0 tagged, 0 rejected"),
        (Tally(1234, 1234), "1,234 records read, 1,234 tagged, 0 rejected"),
        (Tally(3, 2, 1), "3 records read, 2 tagged, 1 rejected (see r.jsonl)"),
        (Tally(1, 1, deletions=2), "1 records read, 1 tagged, 0 rejected; 2 PMIDs withdrawn by PubMed"),
    ],
)
def test_the_summary_says_what_became_of_the_records(tally: Tally, line: str) -> None:
    assert tally.line(Path("r.jsonl")) == line


def test_the_summary_counts_flags() -> None:
    tally = Tally(2, 2)
    tally.flags.update(["non_english", "no_abstract", "no_abstract"])
    assert tally.line(None) == "2 records read, 2 tagged, 0 rejected; 2 no_abstract, 1 non_english"


# ---------------------------------------------------------------------------------------------------------- strict


def test_strict_stops_at_the_first_reject_and_names_it(clf: Classifier, tmp_path: Path) -> None:
    path = tmp_path / "rejects.jsonl"
    with pytest.raises(InputError, match=r"x\.nbib, line 3: neither a title") as caught:
        tag(clf, [make_record(), BAD, BAD, make_record()], rejects=path, strict=True)
    assert "--strict" in caught.value.remedy
    assert len(path.read_text().splitlines()) == 1


def test_strict_lets_good_records_and_deletions_pass(clf: Classifier) -> None:
    tally, _ = tag(clf, [make_record(), GONE], strict=True)
    assert tally.tagged == 1


# ---------------------------------------------------------------------------------------------------- rejects file


def test_without_rejects_there_is_no_rejects_file(clf: Classifier, tmp_path: Path) -> None:
    tag(clf, [make_record()], rejects=tmp_path / "rejects.jsonl")
    assert not list(tmp_path.iterdir())


def test_a_reject_is_written_with_file_position_and_reason(tmp_path: Path) -> None:
    path = tmp_path / "rejects.jsonl"
    with RejectsFile(path) as file:
        file.write(BAD)
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "file": "x.nbib",
        "position": "line 3",
        "reason": "neither a title nor an abstract",
        "excerpt": "PMID 3",
    }


def test_a_reject_is_on_disk_before_the_run_ends(tmp_path: Path) -> None:
    path = tmp_path / "rejects.jsonl"
    with RejectsFile(path) as file:
        file.write(BAD)
        assert path.read_text(encoding="utf-8").endswith("\n")


def test_rejects_are_kept_when_the_run_dies(clf: Classifier, tmp_path: Path) -> None:
    def stream() -> Iterator[Item]:
        yield BAD
        yield make_record()
        raise InputError("the disk is gone")

    path = tmp_path / "rejects.jsonl"
    with pytest.raises(InputError, match="the disk is gone"):
        tag(clf, stream(), rejects=path)
    assert json.loads(path.read_text())["position"] == "line 3"


def test_an_existing_rejects_file_is_never_overwritten_silently(tmp_path: Path) -> None:
    path = tmp_path / "rejects.jsonl"
    path.write_text("precious")
    with RejectsFile(path) as file, pytest.raises(OutputError, match="exists already") as caught:
        file.write(BAD)
    assert "--force" in caught.value.remedy
    assert path.read_text() == "precious"


def test_an_existing_rejects_file_is_left_alone_when_nothing_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "rejects.jsonl"
    path.write_text("precious")
    with RejectsFile(path, replace=True):
        pass
    assert path.read_text() == "precious"


def test_replace_overwrites_a_rejects_file(tmp_path: Path) -> None:
    path = tmp_path / "rejects.jsonl"
    path.write_text("old\n")
    with RejectsFile(path, replace=True) as file:
        file.write(BAD)
        file.write(BAD)
    assert len(path.read_text().splitlines()) == 2
    assert "old" not in path.read_text()


def test_a_rejects_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with RejectsFile(tmp_path / "nowhere" / "r.jsonl") as file, pytest.raises(OutputError, match="cannot be written"):
        file.write(BAD)


def test_rejects_can_be_dropped(clf: Classifier) -> None:
    tally, _ = tag(clf, [BAD, make_record()], rejects=None)
    assert tally.rejected == 1


def test_the_error_of_a_run_without_a_readable_record_says_where_the_reasons_are(
    clf: Classifier, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"none of 1 records could be read; the reasons are in .*r\.jsonl"):
        tag(clf, [BAD], rejects=tmp_path / "r.jsonl")


# --------------------------------------------------------------------------------------------------- atomic output


def test_output_appears_when_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with atomic_output(path) as out:
        out.write("β\r\n")
        out.flush()
        assert not path.exists()
    assert path.read_bytes() == "β\r\n".encode()
    assert [found.name for found in tmp_path.iterdir()] == ["out.jsonl"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_midway_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), atomic_output(tmp_path / "out.jsonl") as out:
        out.write("half")
        raise error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_midway_leaves_the_old_file_as_it_was(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("old")
    with pytest.raises(error), atomic_output(path, force=True) as out:
        out.write("half")
        raise error
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_an_existing_output_is_refused_without_force(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("old")
    with pytest.raises(OutputError, match="exists already") as caught, atomic_output(path):
        pytest.fail("the block must not be entered")
    assert "--force" in caught.value.remedy
    assert path.read_text() == "old"


def test_force_replaces_an_existing_output(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("old and long")
    with atomic_output(path, force=True) as out:
        out.write("new")
    assert path.read_text() == "new"


def test_force_replaces_no_directory(tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    with pytest.raises(OutputError, match="no regular file"), atomic_output(tmp_path, force=True):
        pytest.fail("the block must not be entered")
    assert (tmp_path / "kept").exists()


def test_force_replaces_no_device(tmp_path: Path) -> None:
    link = tmp_path / "null"
    link.symlink_to("/dev/null")
    with pytest.raises(OutputError, match="no regular file"), atomic_output(link, force=True):
        pytest.fail("the block must not be entered")
    assert link.is_symlink()


def test_an_output_in_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"), atomic_output(tmp_path / "nowhere" / "x.jsonl"):
        pytest.fail("the block must not be entered")


def test_output_can_be_read_by_others_like_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    with atomic_output(tmp_path / "out.jsonl") as out:
        out.write("x")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_a_file_name_that_is_no_text_is_written_with_escapes(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with atomic_output(path) as out:
        json.dump({"source": b"caf\xe9.nbib:1".decode("utf-8", "surrogateescape")}, out, ensure_ascii=False)
    assert json.loads(path.read_text(encoding="utf-8"))["source"] == "caf\udce9.nbib:1"
