from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exoclass.errors import InputError
from exoclass.readers.source import BrokenStreamError
from exoclass.readers.table import MAX_ROW, read_table
from exoclass.records import Record, Reject

EXPORTS = Path(__file__).parents[1] / "fixtures" / "exports"
FIXTURES = {
    path.name: path.read_text("utf-8-sig") for path in sorted(EXPORTS.glob("*.csv")) if "excel" not in path.name
}
FIXTURES["web_of_science.tsv"] = (EXPORTS / "web_of_science.tsv").read_text("utf-16")


def table(text: str) -> list[Record | Reject]:
    return list(read_table(enumerate(text.splitlines(), 1), "x.csv"))


def titles(text: str) -> list[str]:
    return [item.title if isinstance(item, Record) else f"reject {item.position}" for item in table(text)]


@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
@pytest.mark.parametrize("header", ["Title{}Abstract{}Year", "ARTICLE TITLE{}ab{}Publication Year", "TI{}AB{}PY"])
def test_separators_and_names_are_recognised(separator: str, header: str) -> None:
    (item,) = table(f"{header.replace('{}', separator)}\nOne{separator}Vesicles heal.{separator}2020")
    assert isinstance(item, Record)
    assert (item.title, item.abstract, item.year, item.source) == ("One", "Vesicles heal.", 2020, "x.csv:2")


def test_cells_over_several_lines_keep_their_row_together() -> None:
    text = 'Title,Abstract\n"One, or ""1""","BACKGROUND: a\n\nRESULTS: b"\nTwo,c\n'
    items = table(text)
    assert [getattr(item, "abstract", None) for item in items] == ["BACKGROUND: a RESULTS: b", "c"]
    assert titles(text)[0] == 'One, or "1"'
    assert [getattr(item, "source", None) for item in items] == ["x.csv:2", "x.csv:5"]


def test_rows_that_do_not_fit_are_rejected_and_the_rest_is_read() -> None:
    text = "Title,Abstract,Year\nOne,a,2020\nTwo,b\nThree,c,2020,\nFour,d,2020,surplus\n\n,,\nFive,e,2021\n"
    assert titles(text) == ["One", "reject line 3", "Three", "reject line 5", "Five"]
    reject = table(text)[1]
    assert isinstance(reject, Reject)
    assert reject.reason.startswith("2 cells, but the header has 3")
    assert reject.excerpt == "Two,b"


def test_an_unclosed_quotation_mark_costs_one_row() -> None:
    head = "Title,Abstract,Year\nOne,a,2020\n"
    assert titles(head + 'Two,"b,2020\nThree,c,2020\nFour,d,2020\n') == ["One", "reject line 3", "Three", "Four"]
    assert titles(head + 'Two,"b,2020\nThree,"c",2020\nFour,d,2020\n') == ["One", "reject line 3", "Three", "Four"]
    assert titles(head + 'Two,"b\nc",2020,x,y\nThree,c,2020\n') == ["One", "reject line 3", "Three"]


def test_tab_separated_text_may_begin_with_a_quotation_mark() -> None:
    text = 'Title\tAbstract\n"Free" vesicles\t"Off the shelf" they are\n"Open\tb\n"Quoted ""x"""\t"c\td"\n'
    assert titles(text) == ['"Free" vesicles', '"Open', 'Quoted "x"']
    assert getattr(table(text)[2], "abstract", None) == "c d"


def test_notes_above_the_header_are_passed_over() -> None:
    assert titles("sep=;\nTitle;Abstract\nOne;a\n") == ["One"]
    assert titles('"About the data: exported, from somewhere"\n\nRank,Title,Abstract\n1,One,a\n') == ["One"]


@pytest.mark.parametrize("text", ["name,age\nA,3\n", "name\tage\nA\t3\n", "a\nb\nc\n"])
def test_a_table_without_text_columns_is_refused_and_its_columns_are_named(text: str) -> None:
    with pytest.raises(InputError, match=r"its columns are: (name, age|a)\b"):
        table(text)


def test_no_rows() -> None:
    assert table("Title,Abstract\n") == []
    with pytest.raises(InputError, match="holds no table"):
        table("\n\n")


def test_a_huge_cell_is_a_reject() -> None:
    assert titles(f"Title,Abstract\nOne,{'x ' * 100_000}\nTwo,b\n") == ["reject line 2", "Two"]
    assert titles(f"Title,Abstract\nOne,{'x' * (MAX_ROW + 10)}\nTwo,b\n") == ["reject line 2", "Two"]
    assert titles(f"Title,References\nOne,{'x' * 300_000}\nTwo,b\n") == ["One", "Two"]


def test_a_broken_stream_delivers_what_an_open_quotation_mark_had_read_ahead() -> None:
    def broken() -> Iterator[tuple[int, str]]:
        yield from enumerate('Title,Abstract\n"One,a\nTwo,b\nThree,c'.splitlines(), 1)
        raise BrokenStreamError("cut off")

    reader = read_table(broken(), "x.csv.gz")
    assert [getattr(next(reader), "title", "reject") for _ in range(3)] == ["reject", "Two", "Three"]
    with pytest.raises(BrokenStreamError):
        next(reader)


@given(st.lists(st.text(alphabet='a,;\t"|\n\x00 Tü', max_size=25), max_size=15), st.sampled_from(",\t;|"))
@settings(max_examples=200, deadline=None)
def test_any_rows_give_items_and_none_is_lost(rows: list[str], separator: str) -> None:
    lines = [line for row in rows for line in row.split("\n")]
    items = list(read_table(enumerate([f"Title{separator}Abstract", *lines], 1), "x.csv"))
    assert all(isinstance(item, Record | Reject) for item in items)
    whole = [
        line
        for line in lines
        if len(line.split(separator)) == 2 and '"' not in line and line.strip(separator + " \x00\t")
    ]
    if not any('"' in line for line in lines):
        assert len(items) >= len(whole)


@given(st.lists(st.text(max_size=30), max_size=20))
@settings(max_examples=100, deadline=None)
def test_any_lines_give_items_or_a_typed_error(lines: list[str]) -> None:
    try:
        items = list(read_table(enumerate(lines, 1), "x.csv"))
    except InputError:
        return
    assert all(isinstance(item, Record | Reject) for item in items)


@given(name=st.sampled_from(sorted(FIXTURES)), data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_damaged_table_still_gives_items_or_a_typed_error(name: str, data: st.DataObject) -> None:
    text = FIXTURES[name]
    start, stop = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    try:
        items = table(text[:start] + data.draw(st.text(max_size=5)) + text[stop:])
    except InputError:
        return
    assert all(isinstance(item, Record | Reject) for item in items)


@pytest.mark.parametrize("name", sorted(FIXTURES))
def test_a_stray_quotation_mark_in_the_first_row_leaves_the_last_row_whole(name: str) -> None:
    lines = FIXTURES[name].splitlines()
    lines[1] = '"' + lines[1].replace('"', "", 1) if lines[1].startswith('"') else '"' + lines[1]
    items = table("\n".join(lines))
    last = items[-1]
    assert isinstance(last, Record) and last.title == "Milk vesicles by mouth: is it time?"
