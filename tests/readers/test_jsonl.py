from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exoclass.errors import InputError
from exoclass.readers.jsonl import read_jsonl
from exoclass.records import Record, Reject

JSONL = (Path(__file__).parents[1] / "fixtures" / "exports" / "records.jsonl").read_text("utf-8")


def jsonl(*lines: str) -> list[Record | Reject]:
    return list(read_jsonl(enumerate(lines, 1), "x.jsonl"))


def one(**values: object) -> Record | Reject:
    (item,) = jsonl(json.dumps(values))
    return item


def test_a_record_comes_back_as_it_was_written() -> None:
    record = one(
        title="T", abstract="A", pmid="90000001", doi="10.5555/x", journal="J", year=2020, authors=["One, A", "Two, B"],
        keywords=["a, b", "c"], publication_types=["Review"], mesh_terms=["Exosomes"], version=2, source="old.nbib:1",
        flags=["book", "supersedes", "no_abstract"],
    )  # fmt: skip
    assert record == Record(
        title="T", abstract="A", pmid="90000001", doi="10.5555/x", journal="J", year=2020, authors=("One, A", "Two, B"),
        keywords=("a, b", "c"), publication_types=("Review",), mesh_terms=("Exosomes",), version=2, source="x.jsonl:1",
        flags=("book",),
    )  # fmt: skip


def test_the_names_of_tables_serve_too() -> None:
    record = one(
        **{
            "Article Title": "T",
            "AB": "A",
            "PubMed ID": 90000001.0,
            "Publication Year": "2020",
            "Author(s)": "A B; C D",
        }
    )
    assert isinstance(record, Record)
    assert (record.title, record.abstract, record.pmid, record.year, record.authors) == (
        "T",
        "A",
        "90000001",
        2020,
        ("A B", "C D"),
    )


def test_authors_as_objects_and_missing_values() -> None:
    record = one(title="T", abstract=None, year=float("nan"), doi="nan", authors=[{"name": "A B"}, {"name": "C D"}])
    assert isinstance(record, Record)
    assert (record.authors, record.year, record.doi, record.flags) == (("A B", "C D"), None, None, ("no_abstract",))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not a record: Expecting"),
        ("[1, 2]", "one JSON object"),
        ('"text"', "one JSON object"),
        ("{}", "neither a title nor an abstract key"),
        ('{"pmid": "1"}', "neither a title nor an abstract key"),
        ('{"title": "", "abstract": ""}', "neither a title nor an abstract"),
        ('{"title": {"en": "T"}}', "'title' has to be text"),
        ('{"title": true}', "'title' has to be text"),
        ('{"title": "T", "authors": [["A"]]}', "'authors' has to be text"),
        ("[" * 100_000, "nested too deep"),
        ('{"title": ' + "9" * 5000 + "}", "not a record"),
    ],
)
def test_a_bad_line_is_rejected_and_the_next_is_read(line: str, reason: str) -> None:
    bad, good = jsonl(line, "", '{"title": "T"}')[0], jsonl(line, "", '{"title": "T"}')[1]
    assert isinstance(bad, Reject) and reason in bad.reason and bad.position == "line 1"
    assert isinstance(good, Record) and good.source == "x.jsonl:3"


def test_lone_surrogates_do_not_reach_the_output() -> None:
    (item,) = jsonl(r'{"title": "T\ud800", "doi": "10.5555/x\udfff", "authors": ["A\ud800"], "pmid": "1\ud800"}')
    assert isinstance(item, Record)
    repr(item).encode()
    assert (item.title, item.doi, item.pmid) == ("T", "10.5555/x", "1")


def test_no_lines() -> None:
    with pytest.raises(InputError, match="holds no JSON line"):
        jsonl("", " ")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(
    ["title", "abstract", "pmid", "doi", "year", "authors", "version", "flags", "url", "notes", "source", "x"]
)


@given(st.lists(st.dictionaries(KEYS, JSON, max_size=6) | JSON, min_size=1, max_size=5))
@settings(max_examples=150, deadline=None)
def test_each_line_is_a_record_or_a_reject(values: list[object]) -> None:
    items = jsonl(*[json.dumps(value) for value in values])
    assert len(items) == len(values)
    for item in items:
        repr(item).encode()


@given(st.lists(st.text(max_size=30), max_size=10), st.integers(0, len(JSONL)), st.text(max_size=5))
@settings(max_examples=100, deadline=None)
def test_any_lines_give_one_item_each(lines: list[str], cut: int, damage: str) -> None:
    damaged = [*lines, *(JSONL[:cut] + damage + JSONL[cut:]).split("\n")]
    assert len(jsonl(*damaged)) == sum(bool(line.strip()) for line in damaged)
