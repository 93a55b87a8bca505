from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exoclass.errors import InputError
from exoclass.readers.ris import read_ris
from exoclass.readers.tagged import MAX_BLOCK
from exoclass.records import Record, Reject

EXPORTS = Path(__file__).parents[1] / "fixtures" / "exports"
FIXTURES = {path.name: path.read_text("utf-8-sig") for path in sorted(EXPORTS.glob("*.ris"))}
FIXTURES["endnote.txt"] = (EXPORTS / "endnote.txt").read_text("utf-8-sig")


def ris(text: str) -> list[Record | Reject]:
    return list(read_ris(enumerate(text.splitlines(), 1), "x.ris"))


def one(text: str) -> Record:
    (item,) = ris(f"TY  - JOUR\nTI  - A title\n{text}\nER  - \n")
    assert isinstance(item, Record)
    return item


def titles(text: str) -> list[str]:
    return [item.title if isinstance(item, Record) else f"reject: {item.reason}" for item in ris(text)]


def test_a_missing_last_er_loses_nothing() -> None:
    assert titles("TY  - JOUR\nTI  - One\nER  - \n\nTY  - JOUR\nTI  - Two\nAB  - Text") == ["One", "Two"]


@pytest.mark.parametrize(
    "between", ["", "\n", "\n\n\n", "7.\n", "\n2.\n\n", "ER  -\n", "ER  - \n", "ER -\n", "ER  - TY  - JOUR\n"]
)
def test_glued_records_are_taken_apart(between: str) -> None:
    glued = f"TY  - JOUR\nTI  - One\n{between}TY  - JOUR\nTI  - Two\nER  - \n"
    assert titles(glued)[:1] == ["One"]
    assert titles(glued)[-1:] == ["Two"]


def test_lines_know_where_they_came_from() -> None:
    items = ris("\n\nTY  - JOUR\nTI  - One\nER  - \n\nTY  - JOUR\nER  - \n")
    assert isinstance(items[0], Record) and items[0].source == "x.ris:3"
    assert items[1] == Reject("x.ris", "line 7", "neither a title nor an abstract", "")


def test_a_record_that_begins_without_ty_is_one_record() -> None:
    """Some programs sort the fields, so that TY stands in the middle."""
    text = "DB  - W\nAB  - A.\nTI  - One\nTY  - JOUR\nPY  - 2020\nER  - \n\nDB  - W\nTI  - Two\nTY  - JOUR\nER  - "
    assert titles(text) == ["One", "Two"]
    assert [getattr(item, "year", 0) for item in ris(text)] == [2020, None]


def test_two_papers_without_a_border_are_rejected_not_merged() -> None:
    text = "TY  - JOUR\nTI  - One\nDO  - 10.5555/1\nTI  - Two\nDO  - 10.5555/2\nER  - "
    assert titles(text) == ["reject: two titles and two DOIs in one record; the TY or ER line between them is missing"]


def test_single_space_dialect_and_dashes_in_wrapped_text() -> None:
    assert titles("TY - JOUR\nT1 - One\nER -\nTY - JOUR\nT1 - Two\n") == ["One", "Two"]
    record = one("AB  - Exosomes against\nIL - 6 and\nAB - therapy\nNF- kappa B.")
    assert record.abstract == "Exosomes against IL - 6 and AB - therapy NF- kappa B."


def test_no_break_spaces_indentation_and_missing_blanks() -> None:
    assert titles("TY\u00a0\u00a0-\u00a0JOUR\n TI  -One\nER  -") == ["One"]


def test_stray_link_lines_do_not_end_up_in_the_abstract() -> None:
    record = one("N2  - Vesicles heal wounds.\nLink to the Embase record: https://e.example\nhttps://f.example/1")
    assert record.abstract == "Vesicles heal wounds."
    assert one("AB  - Code is at\nhttps://g.example/x.").abstract == "Code is at https://g.example/x."


def test_text_outside_records_is_reported_only_if_it_could_be_a_paper() -> None:
    assert titles("Provider: Host\nDatabase: D\n\nTY  - JOUR\nTI  - One\nER  - \nQuery: vesicle") == ["One"]
    assert (
        titles(f"{'an abstract cut in two ' * 10}\nER  - \nTY  - JOUR\nTI  - One")[0]
        == "reject: text outside any record"
    )


def test_no_record_at_all() -> None:
    with pytest.raises(InputError, match="holds no RIS record"):
        ris("Dear colleague,\n\nplease find attached\n")


def test_a_record_without_end_does_not_fill_the_memory() -> None:
    lines = ((number, "x" * 1_000_000) for number in range(2, MAX_BLOCK // 1_000_000 + 10))
    (item,) = read_ris(iter([(1, "TY  - JOUR"), (1, "AB  - y"), *lines]), "x.ris")
    assert isinstance(item, Reject) and "longer than" in item.reason


@pytest.mark.parametrize(
    ("fields", "pmid"),
    [
        ("AN  - 90000001\nDP  - NLM", "90000001"),
        ("AN  - 90000001\nDB  - Ovid MEDLINE(R) <1946 to Present>", "90000001"),
        ("AN  - 90000001\nDB  - PubMed", "90000001"),
        ("AN  - 90000001\nDB  - MEDLINE\nUR  - https://search.proquest.com/docview/90000001", None),
        ("AN  - 90000001\nDB  - Embase", None),
        ("AN  - 90000001\nDB  - Embase\nDB  - Medline", None),
        ("AN  - 90000001", None),
        ("AN  - WOS:000444108200009\nDB  - MEDLINE", None),
        ("AN  - 2214991469; 51887\nDB  - MEDLINE", None),
        ("AN  - PMID: 90000001", "90000001"),
        ("ID  - 369\nDP  - NLM", None),
        ("C2  - 90000001\nDB  - Scopus", "90000001"),
        ("C2  - 90000001", None),
        ("C5  - 90000001\nDB  - Embase\nDB  - Medline", "90000001"),
        ("C7  - 104501\nDB  - Scopus", None),
        ("U1  - 90000001[pmid]", "90000001"),
        ("N1  - Cited By: 2\nPubMed ID: 90000001", "90000001"),
        ("N1  - Comment in: Other J. PMID: 90000001", None),
        ("UR  - https://www.ncbi.nlm.nih.gov/pubmed/90000001?dopt=Abstract", "90000001"),
        ("UR  - https://www.ncbi.nlm.nih.gov/pmc/articles/90000001", None),
    ],
)
def test_a_pmid_is_taken_only_on_evidence(fields: str, pmid: str | None) -> None:
    assert one(fields).pmid == pmid


@pytest.mark.parametrize(
    ("fields", "doi"),
    [
        ("DO  - https://doi.org/10.5555/A.1", "10.5555/a.1"),
        ("M3  - 10.5555/m3", "10.5555/m3"),
        ("L3  - doi:10.5555/l3", "10.5555/l3"),
        ("UR  - https://example.org/x\nUR  - http://dx.doi.org/10.5555/ur", "10.5555/ur"),
        ("LK  - http://sfx.example/x?sid=E&id=doi:10.5555%2Flk.1&atitle=Exosomes", "10.5555/lk.1"),
        ("N1  - J Test. 2020;1:3. doi: 10.5555/n1.", "10.5555/n1"),
        ("N1  - References: A, B, doi: 10.5555/other", None),
        ("N1  - Erratum in: J Test. doi: 10.5555/other", None),
        ("M3  - Review", None),
    ],
)
def test_a_doi_is_found_where_vendors_put_it(fields: str, doi: str | None) -> None:
    assert one(fields).doi == doi


@pytest.mark.parametrize(
    ("fields", "year"),
    [
        ("PY  - 2014", 2014),
        ("Y1  - 2014///", 2014),
        ("DA  - 2014/05//undefined", 2014),
        ("DA  - Jun\nPY  - 2011", 2011),
        ("PY  - in press\nDA  - 2020/01", 2020),
        ("ET  - 2011/05/11", None),
    ],
)
def test_the_year_is_found(fields: str, year: int | None) -> None:
    assert one(fields).year == year


def test_other_fields() -> None:
    record = one(
        "AU  - A, B\nA1  - C, D\nA2  - Editor, E\nKW  - *one; two\nthree\nM3  - Review\nJF  - Full\nJ2  - Short"
    )
    assert record.authors == ("A, B", "C, D")
    assert record.keywords == ("one", "two", "three")
    assert record.publication_types == ("Review",)
    assert record.journal == "Full"
    assert one("A2  - Editor, E").authors == ("Editor, E",)
    assert one("N1  - Abstract: In a note.").abstract == "In a note."
    assert one("KW  - x\nM3  - Retracted").flags == ("no_abstract", "retracted")
    (book,) = ris("TY  - CHAP\nBT  - A book on vesicles\nER  - ")
    assert isinstance(book, Record) and book.title == "A book on vesicles" and "book" in book.flags


def test_of_translated_abstracts_the_english_one_is_taken() -> None:
    german = (
        "Die Vesikel aus dem Blut der Tiere wurden nach der Reinigung gezählt und den Mäusen danach wieder gegeben. "
        * 2
    )
    english = (
        "The vesicles from the blood of the animals were counted after cleaning and were then given to the mice again. "
    )
    assert one(f"AB  - {german}\nAB  - {english}").abstract == english.strip()
    assert one("AB  - First part.\nAB  - Second part.").abstract == "First part. Second part."


LINE = st.one_of(
    st.text(max_size=30),
    st.builds(
        "{}{}{}".format,
        st.sampled_from(["TY", "TI", "T1", "AB", "N2", "ER", "DO", "AN", "KW", "XX"]),
        st.sampled_from(["  - ", " - ", "  -", "- ", "\u00a0 - "]),
        st.sampled_from(["JOUR", "", "10.5555/x", "90000001", "A text.", "TY  - JOUR"]),
    ),
)


@given(st.lists(LINE, max_size=30))
@settings(max_examples=150, deadline=None)
def test_any_lines_give_items_or_a_typed_error(lines: list[str]) -> None:
    try:
        items = list(read_ris(enumerate(lines, 1), "x.ris"))
    except InputError:
        return
    assert items and all(isinstance(item, Record | Reject) for item in items)


@given(name=st.sampled_from(sorted(FIXTURES)), data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_damaged_export_never_yields_fewer_items_than_record_starts(name: str, data: st.DataObject) -> None:
    text = FIXTURES[name]
    start, stop = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    damage = data.draw(st.text(max_size=5))
    damaged = text[:start] + damage + text[stop:]
    starts = sum(line.startswith(("TY  - JOUR", "TY - JOUR")) for line in damaged.splitlines())
    try:
        items = ris(damaged)
    except InputError:
        assert starts == 0
        return
    assert len(items) >= starts


@pytest.mark.parametrize("name", sorted(FIXTURES))
def test_all_ends_lost_loses_no_record(name: str) -> None:
    lines = [line for line in FIXTURES[name].splitlines() if not line.startswith("ER")]
    assert [getattr(item, "title", "") for item in ris("\n".join(lines))] == [
        getattr(item, "title", "") for item in ris(FIXTURES[name])
    ]
