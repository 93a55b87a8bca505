"""The same three papers in the layout of every vendor: whoever exported them, the same records come out."""

from __future__ import annotations

from pathlib import Path

import pytest

from exoclass.readers import read
from exoclass.records import Record

EXPORTS = Path(__file__).parents[1] / "fixtures" / "exports"
SHARED = Path(__file__).parents[3] / "shared" / "exports"

TITLES = (
    "Exosomes from umbilical cord stroma close diabetic ulcers in mice sooner",
    "Urinary vesicle proteins herald kidney graft rejection: a pilot study",
    "Milk vesicles by mouth: is it time?",
)
ABSTRACTS = (
    "BACKGROUND: Ulcers of diabetic feet heal slowly; dressings help little. METHODS: Mice with sugar disease got 50 µg"
    ' of cord-derived exosomes, "off the shelf", under the wound edge, twice weekly. RESULTS: Wounds shrank faster than'
    " with buffer (day 9, 71 % versus 38 % closed), new vessels doubled, and TGF-β1 fell. CONCLUSIONS: Such vesicles"
    " may become a dressing that one can store.",
    "Rejection of a grafted kidney is found late. We isolated extracellular vesicles from the urine of 31 patients and"
    " counted twelve proteins by mass spectrometry. Two of them rose about six days before creatinine did. IL-18"
    " carried by vesicles was the better one (AUC 0.88). A larger cohort has to confirm this.",
    "",
)
YEARS = (2021, 2019, 2018)
JOURNALS = ("Journal of Synthetic Vesicles", "Archives of Invented Nephrology", "Letters in Vesicle Trials")
SHORT_JOURNALS = ("J Synth Vesicles", "Arch Invent Nephrol", "Lett Vesicle Trials")
DOIS = ("10.5555/jsv.2021.0001", "10.5555/ain(2019)17:2", None)

# which of the three papers carry a PMID that the layout says is one: accession numbers of other databases do not count
PMIDS = {
    "asreview.csv": (1, 1, 1),
    "covidence.csv": (0, 0, 0),
    "ebsco.ris": (1, 1, 0),
    "embase.csv": (0, 0, 0),
    "embase.ris": (1, 0, 1),
    "endnote.txt": (1, 1, 1),
    "excel_semicolon.csv": (1, 1, 1),
    "generic.tsv": (1, 1, 1),
    "ovid.ris": (1, 0, 1),
    "proquest.ris": (0, 0, 0),
    "pubmed.csv": (1, 1, 1),
    "pubmed.nbib": (1, 1, 1),
    "rayyan.csv": (1, 1, 1),
    "records.jsonl": (1, 1, 1),
    "scopus.csv": (1, 1, 1),
    "scopus.ris": (1, 1, 0),
    "single_space.ris": (1, 1, 1),
    "web_of_science.ris": (0, 0, 0),
    "web_of_science.tsv": (1, 1, 1),
    "zotero.csv": (1, 1, 1),
    "zotero.ris": (1, 1, 1),
}


@pytest.mark.parametrize("vendor", sorted(PMIDS))
def test_every_vendor_yields_the_same_records(vendor: str) -> None:
    records = [item for item in read([EXPORTS / vendor]) if isinstance(item, Record)]
    assert len(records) == len(list(read([EXPORTS / vendor]))) == 3
    abstracts: tuple[str, ...] = ("", "", "") if vendor == "pubmed.csv" else ABSTRACTS  # PubMed's table has none
    if vendor == "excel_semicolon.csv":  # Windows-1252 has no beta
        abstracts = tuple(text.replace("β", "") for text in abstracts)
    assert tuple(record.title.rstrip(".") for record in records) == TITLES
    assert tuple(record.abstract for record in records) == abstracts
    assert tuple(record.year for record in records) == YEARS
    assert tuple(record.doi for record in records) == DOIS
    expected = tuple(f"9000000{i}" if has else None for i, has in enumerate(PMIDS[vendor], 1))
    assert tuple(record.pmid for record in records) == expected
    for record, long, short, abstract in zip(records, JOURNALS, SHORT_JOURNALS, abstracts, strict=True):
        name = (record.journal or "").casefold()
        assert vendor == "asreview.csv" or name in {long.casefold(), short.casefold()}
        assert record.flags == (() if abstract else ("no_abstract",))
        assert vendor == "excel_semicolon.csv" or record.authors[0].startswith(("Rossi", "Okafor", "Sato"))
        assert record.source.startswith(str(EXPORTS / vendor))


REAL = {  # records, of them with a PMID
    "embase.csv": (6, 0),
    "embase.ris": (6, 3),
    "ovid_zotero.ris": (6, 0),
    "proquest.ris": (6, 0),
    "pubmed_endnote.txt": (6, 6),
    "pubmed_zotero.ris": (6, 0),
    "scopus.ris": (6, 5),
    "web_of_science.txt": (10, 0),
}


@pytest.mark.parametrize("name", sorted(REAL))
def test_real_exports_are_read_whole(name: str) -> None:
    path = SHARED / name
    if not path.is_file():
        pytest.skip("the shared exports are not here")
    items = list(read([path]))
    records = [item for item in items if isinstance(item, Record)]
    count, with_pmid = REAL[name]
    assert len(items) == len(records) == count
    assert sum(record.pmid is not None for record in records) == with_pmid
    text = " ".join(path.read_text("utf-8-sig").split())
    for record in records:
        # word for word as in the file; only copyright notices are cut off the end
        assert record.title in text.replace('""', '"') and len(record.title) > 15
        assert record.abstract in text.replace('""', '"') and len(record.abstract) > 600
        assert record.year is not None and str(record.year) in text
        assert record.doi is not None and record.doi.replace("/", "%2f") in text.lower().replace("/", "%2f")
        assert record.journal and record.authors and record.flags == ()
    assert len({record.doi for record in records}) == count
