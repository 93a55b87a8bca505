"""A PubMed page: the paper in, everything around it out."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exoclass.errors import ExoclassError, InputError
from exoclass.readers.page import read_page
from exoclass.records import Record, Reject

ROOT = Path(__file__).parent.parent.parent
EXPORTS = ROOT / "tests" / "fixtures" / "exports"
SEED = ROOT.parent / "shared" / "seed" / "pubmed_page.txt"
HTML = (EXPORTS / "pubmed_page.html").read_text(encoding="utf-8")
TEXT = (EXPORTS / "pubmed_page.txt").read_text(encoding="utf-8")


def record(text: str) -> Record:
    (item,) = read_page(text, "page")
    assert isinstance(item, Record), item
    return item


def test_a_page_saved_as_html() -> None:
    assert record(HTML) == Record(
        title="Milk exosomes for a sore gut: a made-up trial",
        abstract=(
            "BACKGROUND: Sore guts are common; 10⁹ milk vesicles were drunk daily. "
            "RESULTS: Pain fell by a third in the made-up arm."
        ),
        pmid="90000010",
        doi="10.5555/exo.10",
        journal="Journal of Made-up Vesicle Research",
        year=2022,
        authors=("Erika Muster", "Otto Beispiel"),
        keywords=("exosomes", "milk", "gut"),
        publication_types=("Clinical Trial",),
        source="page:2",
    )


def test_html_without_meta_tags_is_read_by_its_classes() -> None:
    bare = "\n".join(line for line in HTML.splitlines() if "<meta" not in line)
    found = record(bare)
    assert (found.title, found.doi, found.year) == (record(HTML).title, "10.5555/exo.10", 2022)
    assert found.abstract == record(HTML).abstract


def test_a_page_copied_as_text() -> None:
    assert record(TEXT) == Record(
        title="Sniffed vesicles for a stroke-injured brain: a made-up pilot",
        abstract=(
            "Background: Vesicles given by the nose may reach the brain. "
            "Results: In nine made-up patients grip strength doubled within a month."
        ),
        pmid="90000011",
        doi="10.5555/exo.11",
        journal="J Made Up Vesicle Res",
        year=2022,
        source="page:12",
    )


def test_the_short_citation_names_journal_and_year() -> None:
    text = (
        "Vesicles in wounds\n\nErika Muster et al. Made Up J. 2021.\n\nAbstract\n\nThey heal.\n\nFigures\n\nA drawing."
    )
    found = record(text)
    assert (found.title, found.journal, found.year) == ("Vesicles in wounds", "Made Up J", 2021)
    assert found.abstract == "They heal."


@pytest.mark.parametrize(
    "after",
    ["PubMed Disclaimer", "Keywords: a; b", "Figures", "References", "© 2020 X.", "Copyright © 2020 X.", "MeSH terms",
     "Conflict of interest statement", "Similar articles", "PMID: 90000001", "Figure 1"],
)  # fmt: skip
def test_what_follows_the_abstract_is_left_out(after: str) -> None:
    text = f"Vesicles in made-up wounds\nAbstract\n\nThey heal.\n\nThey do.\n\n{after}\nNoise of 1999.\n"
    assert record(text).abstract == "They heal. They do."


def test_ids_of_references_are_not_the_papers_own() -> None:
    text = "Vesicles in made-up wounds\nAbstract\nThey heal.\nReferences\n1. X. doi: 10.5555/not-mine. PMID: 90000097\n"
    assert (record(text).doi, record(text).pmid) == (None, None)


def test_a_page_without_an_abstract_keeps_its_title() -> None:
    found = record(
        "Skip to main page content\nVesicles in made-up wounds\nAbstract\nNo abstract available\nReferences\nX"
    )
    assert (found.title, found.abstract, found.flags) == ("Vesicles in made-up wounds", "", ("no_abstract",))


def test_a_saved_list_of_abstracts_gives_each_paper() -> None:
    papers = "".join(
        f'<article class="article-overview"><h1 class="heading-title">Paper number {n} on vesicles</h1>'
        f'<strong class="current-id">9000002{n}</strong><div class="abstract"><p>Text {n}.</p></div></article>'
        for n in range(3)
    )
    found = list(read_page(f"<!DOCTYPE html><html><body>{papers}</body></html>", "page"))
    assert [item.pmid for item in found if isinstance(item, Record)] == ["90000020", "90000021", "90000022"]
    assert [item.abstract for item in found if isinstance(item, Record)] == ["Text 0.", "Text 1.", "Text 2."]


def test_a_list_of_search_results_is_refused_with_a_remedy() -> None:
    page = '<html><body><div class="docsum-content"><a class="docsum-title">Vesicles</a></div></body></html>'
    with pytest.raises(InputError, match=r"search results.*Save, Format: PubMed"):
        list(read_page(page, "page"))


@pytest.mark.parametrize("text", ["", "Skip to main page content\n", "<html></html>", "<html><body><p>Hi", "<html>"])
def test_a_page_without_a_paper_is_rejected(text: str) -> None:
    (item,) = read_page(text, "page")
    assert isinstance(item, Reject)
    assert (item.file, item.position) == ("page", "line 1")


@pytest.mark.skipif(not SEED.exists(), reason="the shared seed page is not here")
def test_the_shared_page() -> None:
    found = record(SEED.read_text(encoding="utf-8"))
    assert found.title.startswith("Focus on Mesenchymal")
    assert found.abstract.startswith("Mesenchymal stem cells have been")
    assert found.abstract.endswith("are also discussed.")
    assert (found.doi, found.year, found.journal) == ("10.1155/2017/6305295", 2017, "Stem Cells Int")


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_whatever_damage_is_done_items_or_typed_errors_come_out(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([HTML, TEXT]))
    for _ in range(data.draw(st.integers(0, 5))):
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(st.text(max_size=20)) + text[at + data.draw(st.integers(0, 400)) :]
    try:
        items = list(read_page(text, "page"))
    except ExoclassError as error:
        assert str(error)
    else:
        assert items
        assert all(isinstance(item, Record | Reject) for item in items)
