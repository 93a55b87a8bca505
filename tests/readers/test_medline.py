from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exoclass.errors import InputError
from exoclass.readers.medline import read_medline
from exoclass.readers.source import BrokenStreamError
from exoclass.readers.tagged import MAX_BLOCK
from exoclass.records import Record, Reject

NBIB = (Path(__file__).parents[1] / "fixtures" / "exports" / "pubmed.nbib").read_text("utf-8").replace("\r\n", "\n")


def medline(text: str) -> list[Record | Reject]:
    return list(read_medline(enumerate(text.splitlines(), 1), "x.nbib"))


def one(fields: str) -> Record:
    (item,) = medline(f"PMID- 90000001\n{fields}\n")
    assert isinstance(item, Record)
    return item


def summary(text: str) -> list[tuple[str | None, str]]:
    return [(item.pmid, item.title) if isinstance(item, Record) else ("reject", item.reason) for item in medline(text)]


def test_a_whole_record() -> None:
    first = medline(NBIB)[0]
    assert isinstance(first, Record)
    assert first.pmid == "90000001" and first.doi == "10.5555/jsv.2021.0001" and first.year == 2021
    assert first.journal == "Journal of Synthetic Vesicles"
    assert first.authors == ("Rossi, Ada B", "de Wit, Bram")
    assert first.keywords == ("exosomes", "wound healing")
    assert first.mesh_terms == ("Animals", "Exosomes", "Diabetes Mellitus, Experimental")
    assert first.publication_types == ("Journal Article", "Research Support, Non-U.S. Gov't")
    assert "°" not in first.abstract and "50 µg of cord-derived exosomes" in first.abstract


@pytest.mark.parametrize("between", ["", "\n", "\n\n\n", "\n2: \n", "\n2.\n\n", "2: "])
def test_records_are_parted_however_files_were_joined(between: str) -> None:
    text = f"PMID- 1\nTI  - One\n{between}PMID- 2\nTI  - Two\n"
    assert summary(text) == [("1", "One"), ("2", "Two")]


def test_blank_lines_inside_a_record_do_not_tear_it() -> None:
    doubled = NBIB.replace("\n", "\n\n")
    assert [item.text for item in medline(doubled) if isinstance(item, Record)] == [
        item.text for item in medline(NBIB) if isinstance(item, Record)
    ]


def test_a_damaged_pmid_line_does_not_merge_two_papers() -> None:
    text = "PMID- 1\nOWN - NLM\nTI  - One\n\nPM?D- 2\nOWN - NLM\nTI  - Two\n\nPMID- 3\nTI  - Three\n"
    # the damaged line is reported, and its record is kept without a PMID
    assert summary(text) == [("1", "One"), ("reject", "text outside any record"), (None, "Two"), ("3", "Three")]
    text = text.replace("PM?D", "PMXD")
    assert summary(text) == [("1", "One"), (None, "Two"), ("3", "Three")]


def test_text_between_records_is_reported() -> None:
    text = "PMID- 1\nTI  - One\n\nid: 2 Error occurred: no such record\n\nPMID- 3\nTI  - Three\n"
    assert summary(text) == [("1", "One"), ("reject", "text outside any record"), ("3", "Three")]
    assert medline(text)[1] == Reject(
        "x.nbib", "line 4", "text outside any record", "id: 2 Error occurred: no such record"
    )


def test_wrapped_lines_are_joined_even_if_they_lost_their_indent() -> None:
    record = one(
        "TI  - Exosomes\n      in stroke\n\u00a0\u00a0\u00a0\u00a0\u00a0\u00a0of mice\nAB  - They help\nthe brain."
    )
    assert record.title == "Exosomes in stroke of mice"
    assert record.abstract == "They help the brain."


@pytest.mark.parametrize(
    ("fields", "doi"),
    [
        ("LID - S0000 [pii]\nLID - 10.5555/l [doi]\nAID - 10.5555/a [doi]", "10.5555/l"),
        ("LID - 10.5555/l [doi]\nLID - e123 [pii]", "10.5555/l"),
        ("AID - 10.5555/a [doi]\nAID - S0000 [pii]", "10.5555/a"),
        ("AID - 10.5555/looks.like [pii]", None),
        ("SO  - J Test. 2020;1:2. doi: 10.5555/so.", "10.5555/so"),
    ],
)
def test_the_doi_is_the_papers_own(fields: str, doi: str | None) -> None:
    assert one(f"TI  - T\n{fields}").doi == doi


@pytest.mark.parametrize(
    ("fields", "year"),
    [
        ("DP  - 1998 Dec-1999 Jan", 1998),
        ("DEP - 20190401", 2019),
        ("DP  - Winter\nEDAT- 2017/01/02 06:00", 2017),
        ("LR  - 20200101", None),
    ],
)
def test_the_year_of_publication(fields: str, year: int | None) -> None:
    assert one(f"TI  - T\n{fields}").year == year


def test_books_translations_and_other_abstracts() -> None:
    book = one("BTI - Vesicles: a handbook\nPB  - Made-up Press\nFED - Writer, W")
    assert (book.title, book.journal, book.authors) == ("Vesicles: a handbook", "Made-up Press", ("Writer, W",))
    assert book.flags == ("book", "no_abstract")
    assert one("TI  - [Vesicles of the heart].").title == "Vesicles of the heart"
    other = one("TI  - T\nOAB - Publisher: Vesicles help.\nOABL- eng")
    assert (other.abstract, other.flags) == ("Vesicles help.", ("other_abstract",))
    assert one("TI  - T\nOAB - Publisher: Abstract available from the publisher.").flags == ("no_abstract",)


def test_retractions_and_group_authors() -> None:
    assert "retracted" in one("TI  - T\nPT  - Retracted Publication").flags
    assert "retracted" in one("TI  - T\nRIN - J Test. 2022").flags
    assert one("TI  - T\nFAU - One, A\nAU  - One A\nCN  - Vesicle Group").authors == ("One, A", "Vesicle Group")
    assert one("TI  - T\nAU  - One A").authors == ("One A",)


def test_a_record_with_nothing_to_tag_is_rejected() -> None:
    assert medline("PMID- 7\nOWN - NLM\n") == [Reject("x.nbib", "line 1", "neither a title nor an abstract", "7")]


def test_no_record_at_all() -> None:
    with pytest.raises(InputError, match="holds no MEDLINE record"):
        medline("\n1.\n\n")


def test_a_record_without_end_does_not_fill_the_memory() -> None:
    lines = ((2, "      " + "x" * 1_000_000) for _ in range(MAX_BLOCK // 1_000_000 + 10))
    (item,) = read_medline(iter([(1, "PMID- 1"), (1, "AB  - y"), *lines]), "x.nbib")
    assert isinstance(item, Reject) and "longer than" in item.reason


def test_a_broken_stream_does_not_take_the_last_whole_record_with_it() -> None:
    def broken() -> Iterator[tuple[int, str]]:
        yield from enumerate("PMID- 1\nTI  - One\n\nPMID- 2\nTI  - Tw".splitlines(), 1)
        raise BrokenStreamError("cut off")

    reader = read_medline(broken(), "x.nbib.gz")
    assert getattr(next(reader), "title", None) == "One"
    with pytest.raises(BrokenStreamError):
        next(reader)


LINE = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["", "PMID- 1", "PMID-", "TI  - T", "AB  - A", "      more", "OWN - NLM", "1: PMID- 2", "XXXX- ", " "]
    ),
)


@given(st.lists(LINE, max_size=30))
@settings(max_examples=150, deadline=None)
def test_any_lines_give_items_or_a_typed_error(lines: list[str]) -> None:
    try:
        items = list(read_medline(enumerate(lines, 1), "x.nbib"))
    except InputError:
        return
    assert items and all(isinstance(item, Record | Reject) for item in items)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_damaged_export_never_yields_fewer_items_than_record_starts(data: st.DataObject) -> None:
    start, stop = sorted(data.draw(st.tuples(*[st.integers(0, len(NBIB))] * 2)))
    damaged = NBIB[:start] + data.draw(st.text(max_size=5)) + NBIB[stop:]
    starts = sum(line.startswith("PMID- 9") for line in damaged.splitlines())
    try:
        assert len(medline(damaged)) >= starts
    except InputError:
        assert starts == 0
