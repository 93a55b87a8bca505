from __future__ import annotations

import re

import pytest

from exoclass.readers.columns import ALIASES, Columns
from exoclass.records import Record


def record(**cells: str) -> Record:
    names = tuple(name.replace("_", " ") for name in cells)
    item = Columns.of(names).record(list(cells.values()), file="x.csv", line=2)
    assert isinstance(item, Record)
    return item


def test_no_name_means_two_things() -> None:
    names = [re.sub(r"[\W_]+", "", name) for names in ALIASES.values() for name in names.split("|")]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", ["Title", "TITLE", " title ", "Article_Title", "article title"])
def test_case_and_punctuation_of_a_name_do_not_count(name: str) -> None:
    assert Columns.of((name,)).has_text


def test_the_better_name_wins_and_an_empty_cell_gives_way() -> None:
    assert record(Original_Title="B", Title="A").title == "A"
    assert record(Original_Title="B", Title="").title == "B"
    assert record(Title="T", Abstract="nan", Original_Abstract="Sehr gut.").flags == ("other_abstract",)


def test_journal_and_year_from_a_citation() -> None:
    found = record(Title="T", Source="Journal of Tests (2014) 3:3 (15-16)")
    assert (found.journal, found.year) == ("Journal of Tests", 2014)
    assert record(Title="T", Source="old.nbib:12").journal is None


def test_identifiers_from_links_and_notes() -> None:
    found = record(Title="T", Url="https://doi.org/10.5555/a", Extra="Citation key: x\nPMID: 90000001")
    assert (found.doi, found.pmid) == ("10.5555/a", "90000001")
    assert record(Title="T", PMID="90000001.0").pmid == "90000001"
    assert record(Title="T", PMID="PMC90000001").pmid is None
    assert record(Title="T", Accession_Number="90000001").pmid is None


def test_retraction_by_document_type() -> None:
    assert "retracted" in record(Title="T", Document_Type="Retracted").flags
