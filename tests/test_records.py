"""What a record is to a model, and what makes two records the same paper."""

from __future__ import annotations

import dataclasses

import pytest
from conftest import make_record
from hypothesis import given
from hypothesis import strategies as st

from exoclass.records import Record


def test_the_model_reads_title_and_abstract_on_two_lines() -> None:
    assert make_record("Title", "First. Second.").text == "Title\nFirst. Second."


@pytest.mark.parametrize(("title", "abstract", "text"), [("Title", "", "Title"), ("", "Text.", "Text."), ("", "", "")])
def test_a_missing_part_leaves_no_blank_line(title: str, abstract: str, text: str) -> None:
    assert make_record(title, abstract).text == text


def test_the_model_reads_neither_mesh_nor_keywords_nor_journal() -> None:
    plain = make_record("Title", "Text.")
    rich = dataclasses.replace(
        plain, mesh_terms=("Exosomes",), keywords=("vesicle",), journal="J", authors=("A",), year=2020
    )
    assert rich.text == plain.text


@pytest.mark.parametrize(
    ("pmid", "doi", "key"),
    [("123", "10.1/a", "pmid:123"), ("123", None, "pmid:123"), (None, "10.1/A", "doi:10.1/a")],
)
def test_a_paper_is_known_by_pmid_then_doi(pmid: str | None, doi: str | None, key: str) -> None:
    assert make_record(pmid=pmid, doi=doi).key == key


def test_without_identifiers_a_paper_is_known_by_its_text() -> None:
    key = make_record("Title", "Text.").key
    assert key.startswith("text:")
    assert key != make_record("Title", "Another text.").key


@pytest.mark.parametrize("text", ["title  text", "TITLE: text!", "Title-Text"])
def test_case_blanks_and_marks_do_not_make_another_paper(text: str) -> None:
    assert make_record(text, "").key == make_record("Title", "text").key


@given(st.text(), st.text())
def test_the_key_is_the_same_for_the_same_text(title: str, abstract: str) -> None:
    assert Record(title, abstract).key == Record(title, abstract, source="elsewhere").key


def test_a_record_cannot_be_changed(record: Record) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.title = "Another"  # type: ignore[misc]  # that is the point
