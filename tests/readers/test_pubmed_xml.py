"""PubMed XML: every field, every kind of damage."""

from __future__ import annotations

import io
import itertools
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from exoclass.errors import ExoclassError, InputError
from exoclass.readers import pubmed_xml
from exoclass.readers.pubmed_article import flat_text
from exoclass.readers.pubmed_xml import read_pubmed_xml
from exoclass.records import Deletion, Record, Reject

FIXTURE = Path(__file__).parent.parent / "fixtures" / "exports" / "pubmed.xml"


def read(content: str | bytes) -> list[Record | Reject | Deletion]:
    return list(read_pubmed_xml(io.BytesIO(content.encode() if isinstance(content, str) else content), "here"))


def article(number: int, title: str = "Vesicles in wounds", more: str = "") -> str:
    return (
        f'<PubmedArticle>\n<MedlineCitation><PMID Version="1">{number}</PMID>\n'
        f"<Article><ArticleTitle>{title}</ArticleTitle>{more}</Article>\n</MedlineCitation>\n</PubmedArticle>\n"
    )


def article_set(*articles: str) -> str:
    return "<PubmedArticleSet>\n" + "".join(articles) + "</PubmedArticleSet>\n"


def record(content: str) -> Record:
    (item,) = read(content)
    assert isinstance(item, Record), item
    return item


def kinds(items: list[Record | Reject | Deletion]) -> list[str]:
    return [item.pmid or "" if isinstance(item, Record | Deletion) else "reject" for item in items]


def test_an_article_with_everything() -> None:
    assert read(FIXTURE.read_bytes())[0] == Record(
        title="Exosomes from Wharton's jelly cells quieten CD4⁺ cells in a mouse model of colitis.",
        abstract=(
            "BACKGROUND: Colitis mice got 10⁹ vesicles per m² with H₂O₂ stress. "
            "RESULTS: Weight loss was halved < day 7 (P = 0.01). We saw no harm."
        ),
        pmid="90000001",
        doi="10.5555/exo.1",
        journal="Journal of Made-up Vesicle Research",
        year=2019,
        authors=("Muster, Erika A", "Vesicle Study Group"),
        keywords=("cell-free therapy",),
        publication_types=("Journal Article", "Retracted Publication"),
        mesh_terms=("Exosomes", "Colitis"),
        version=2,
        source="here:4",
        flags=("retracted",),
    )


def test_a_vernacular_title_and_another_abstract_stand_in() -> None:
    found = read(FIXTURE.read_bytes())[1]
    assert isinstance(found, Record)
    assert found.title == "Exosomas para el corazón infartado."
    assert found.abstract.startswith("We tell in plain words")
    assert (found.doi, found.year, found.journal) == ("10.5555/exo.2", 2023, "Cuad Vesic Inventados")
    assert found.flags == ("non_english", "other_abstract")


def test_a_book_and_withdrawn_pmids() -> None:
    book, *withdrawn = read(FIXTURE.read_bytes())[2:]
    assert isinstance(book, Record)
    assert (book.title, book.pmid, book.year) == ("Handbook of Imaginary Vesicles", "90000003", 2021)
    assert (book.authors, book.publication_types, book.flags) == (("Writer, W",), ("Review",), ("book",))
    assert withdrawn == [Deletion("90000004", "here:108"), Deletion("90000005", "here:109")]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_other_encodings(encoding: str) -> None:
    text = '<?xml version="1.0" encoding="UTF-16"?>' + article_set(article(1, "Sjögren‰ dry eye"))
    assert [item.title for item in read(text.encode(encoding)) if isinstance(item, Record)] == ["Sjögren‰ dry eye"]


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("a<sup>2</sup>b", "a²b"),
        ("Ca<sup>2+</sup>", "Ca²⁺"),
        ("10<sup>\u22123</sup>", "10⁻³"),
        ("x<sup>a,b</sup>", "xa,b"),
        ("CO\n   <sub>2</sub>", "CO₂"),
        ("<i>in\n vivo</i>", "in\n vivo"),
        ("<math><mi>x</mi><annotation>tex</annotation></math>", "x"),
        ("a<!-- b -->c", "ac"),
        ("<b>a<i>b<sup>3</sup></i></b>", "ab³"),
    ],
)
def test_inline_markup(markup: str, text: str) -> None:
    assert flat_text(etree.fromstring(f"<t>{markup}</t>")) == text


@pytest.mark.parametrize(
    ("abstract", "expected"),
    [
        ('<AbstractText Label="AIM">Healing.</AbstractText>', "AIM: Healing."),
        ('<AbstractText Label="AIM">Aim: healing.</AbstractText>', "Aim: healing."),
        ('<AbstractText Label="AIM"/><AbstractText>Text.</AbstractText>', "Text."),
        ('<AbstractText Label="UNLABELLED">Text.</AbstractText>', "Text."),
        ("<AbstractText>Abstract available from the publisher.</AbstractText>", ""),
    ],
)
def test_structured_abstracts(abstract: str, expected: str) -> None:
    found = record(article_set(article(1, more=f"<Abstract>{abstract}</Abstract>")))
    assert found.abstract == expected
    assert ("no_abstract" in found.flags) == (not expected)


def test_a_foreign_abstract_is_flagged_as_such() -> None:
    other = '<OtherAbstract Language="spa"><AbstractText>Las vesículas curan.</AbstractText></OtherAbstract>'
    text = article_set(article(1)).replace("</MedlineCitation>", f"{other}</MedlineCitation>")
    assert record(text).flags == ("non_english", "other_abstract")


def test_named_entities_without_a_declaration_are_read() -> None:
    assert record(article_set(article(1, "&beta;-cells&nbsp;heal &amp; grow"))).title == "β-cells heal & grow"


@pytest.mark.parametrize("bad", ["a & b", "a < b", "a <b> c", "\x01", '<b x="1" x="2"/>', '<b x="1>'])
def test_one_bad_article_is_rejected_and_reading_goes_on(bad: str) -> None:
    items = read(article_set(article(1), article(2, bad), article(3)))
    assert kinds(items) == ["1", "reject", "3"]
    reject = items[1]
    assert isinstance(reject, Reject)
    assert (reject.position, reject.excerpt) == ("line 7", "PMID 2")
    assert reject.reason.startswith("not well-formed XML at line 9: ")


def test_an_article_without_end_does_not_swallow_the_next() -> None:
    items = read(article_set(article(1), article(2).replace("</PubmedArticle>", ""), article(3)))
    assert kinds(items) == ["1", "reject", "3"]


def test_an_article_without_text_is_rejected() -> None:
    assert kinds(read(article_set(article(1, ""), "<PubmedArticle></PubmedArticle>", article(2)))) == [
        "reject",
        "reject",
        "2",
    ]


def test_text_between_articles_is_not_lost_silently() -> None:
    items = read(article_set(article(1), "API rate limit exceeded", article(2)))
    assert kinds(items) == ["1", "reject", "2"]
    assert items[1] == Reject("here", "line 2", "text that belongs to no record", "API rate limit exceeded")


def test_articles_in_comments_are_no_articles() -> None:
    assert kinds(read(article_set(article(1), f"<!-- {article(2)} -->", article(3)))) == ["1", "3"]


@pytest.mark.parametrize("head", ["", '<?xml version="1.0"?>\n', '<!DOCTYPE PubmedArticleSet SYSTEM "x">\n'])
def test_documents_may_follow_each_other(head: str) -> None:
    text = head + article_set(article(1)) + head + article_set(article(2), article(3))
    assert kinds(read(text)) == ["1", "2", "3"]


def test_a_single_article_without_a_set_and_a_set_without_articles() -> None:
    assert kinds(read(article(1))) == ["1"]
    assert read(article_set()) == read("<PubmedArticleSet/>") == []


def test_prefixes_declared_at_the_root_are_known_in_the_articles() -> None:
    text = article_set(article(1, "Dose <m:math><m:mi>x</m:mi></m:math>"))
    assert record(text.replace("<PubmedArticleSet>", '<PubmedArticleSet xmlns:m="urn:m">')).title == "Dose x"


@pytest.mark.parametrize(
    ("keep", "expected", "where"),
    [("</PMID>", ["1", "reject"], "line 7"), ("</PubmedArticle>", ["1", "2", "reject"], "line 11")],
)
def test_half_a_file(keep: str, expected: list[str], where: str) -> None:
    text = article_set(article(1), article(2), article(3))
    cut = text[: text.index(keep, text.index(article(2))) + len(keep)]
    items = read(cut)
    assert kinds(items) == expected
    last = items[-1]
    assert isinstance(last, Reject)
    assert last.position == where
    assert "the file ends" in last.reason


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entity_declarations_are_refused(encoding: str) -> None:
    bomb = '<!DOCTYPE PubmedArticleSet [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>' + article_set(article(1, "&b;"))
    with pytest.raises(InputError, match="declares entities"):
        read(bomb.encode(encoding))


def test_a_file_named_by_an_entity_is_never_read() -> None:
    inside = article(1).replace("<MedlineCitation>", '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>')
    with pytest.raises(InputError, match="declares entities"):
        read(article_set(inside))


def test_an_endless_article_is_rejected_and_reading_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pubmed_xml, "MAX_ARTICLE", 100_000)
    items = read(article_set(article(1), article(2, "x\n" * 200_000), article(3)))
    assert kinds(items) == ["1", "reject", "3"]
    last = items[-1]
    assert isinstance(last, Record)
    assert last.source == "here:200012"


ADDRESS = "Department of Examples, Nowhere; " * 300


class Endless(io.RawIOBase):
    """A set of articles made while it is read."""

    def __init__(self, articles: int) -> None:
        numbers = itertools.islice(itertools.count(1), articles)
        self._parts: Iterator[bytes] = (
            article(n, more=f"<Affiliation>{ADDRESS}</Affiliation>").encode() for n in numbers
        )

    def read(self, size: int = -1, /) -> bytes:
        return next(self._parts, b"")


def test_memory_stays_constant() -> None:
    tracemalloc.start()
    count = sum(1 for _ in read_pubmed_xml(Endless(300), "here"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 300
    assert peak < 500_000


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_damage_is_done_nothing_but_items_and_typed_errors_come_out(data: st.DataObject) -> None:
    content = bytearray(FIXTURE.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, max(0, len(content) - 1)))
        length = data.draw(st.integers(0, 40))
        content[at : at + length] = data.draw(st.binary(max_size=10) | st.sampled_from(SNIPPETS))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    try:
        items = read(bytes(content))
    except ExoclassError as error:
        assert str(error)
    else:
        assert all(isinstance(item, Record | Reject | Deletion) for item in items)


SNIPPETS = (b"<PubmedArticle>", b"</PubmedArticle>", b"<!--", b"-->", b"<![CDATA[", b"]]>", b"<DeleteCitation>", b"&x;")


@given(st.sampled_from(["<PubmedArticle>", "</PubmedArticle>", "<!--", "-->", "x", "<PubmedArticleSet>"]), st.data())
@settings(max_examples=50, deadline=None)
def test_the_result_does_not_depend_on_how_the_bytes_arrive(first: str, data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.sampled_from([article(1), article(2, "a & b"), first, "</PubmedArticleSet>\n"])))
    content = "".join([first, *parts]).encode()

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(data.draw(st.integers(1, 60)))

    assert list(read_pubmed_xml(Slow(content), "here")) == read(content)
