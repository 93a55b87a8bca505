"""A PubMed page saved as HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lxml import etree, html

from exoclass.errors import InputError
from exoclass.readers.normalise import build_record, clean, find_doi
from exoclass.readers.pubmed_article import flat_text
from exoclass.records import Record, Reject

_NOT_ABSTRACT = re.compile(r"^(?:keywords?|copyright|©)", re.IGNORECASE)


def read_html(text: str, file: str) -> Iterator[Record | Reject]:
    """Read the paper of a PubMed page, or each paper of a saved list of abstracts.

    Raises
    ------
    InputError
        If the page is a list of search results, which shows titles and snippets only.
    """
    # As bytes, because lxml refuses text that declares an encoding of its own.
    parser = html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=False)
    root = html.document_fromstring(text.encode("utf-8", "replace"), parser=parser)
    for unseen in list(root.iter("script", "style", "noscript", "template")):
        unseen.drop_tree()
    papers = [node for node in root.iter("article", "div") if _has_class(node, "article-overview")]
    if len(papers) > 1:
        for paper in papers:
            yield _record(paper, {}, file)
        return
    metas = _metas(root)
    if not metas.get("citation_title") and any(_has_class(node, "docsum-content") for node in root.iter("div")):
        remedy = "On the results page choose Save, Format: PubMed, and read that file."
        raise InputError(f"{file} is a page of search results without abstracts", remedy)
    yield _record(root, metas, file)


def _record(node: html.HtmlElement, metas: dict[str, list[str]], file: str) -> Record | Reject:
    def meta(*names: str) -> str:
        return next((value for name in names for value in metas.get(name, ()) if value), "")

    line = node.sourceline or 1
    title = meta("citation_title", "dc.title") or _title(node, page=bool(metas))
    abstract = _abstract(node) or meta("citation_abstract", "dc.description")
    if not title and not abstract:
        excerpt = clean(flat_text(node))[:80]
        return Reject(file, f"line {line}", "a page without the title or abstract of a paper", excerpt)
    citation = _by_class(node, "cit") or _by_class(node, "article-source")
    return build_record(
        file=file,
        line=line,
        title=title,
        abstract=abstract,
        pmid=meta("citation_pmid", "ncbi_uidlist", "uid") or _by_class(node, "current-id"),
        doi=meta("citation_doi", "dc.identifier") or find_doi(_by_class(node, "citation-doi")),
        journal=meta("citation_journal_title", "citation_journal_abbrev") or _by_class(node, "journal-actions-trigger"),
        year=meta("citation_date", "citation_publication_date", "citation_year", "dc.date") or citation,
        authors=_authors(node, metas),
        keywords=_keywords(node),
        publication_types=[_by_class(node, "publication-type")],
    )


def _metas(root: html.HtmlElement) -> dict[str, list[str]]:
    metas: dict[str, list[str]] = {}
    for node in root.iter("meta"):
        name = (node.get("name") or "").casefold()
        if name:
            metas.setdefault(name, []).append(clean(node.get("content")))
    return metas


def _title(node: html.HtmlElement, *, page: bool) -> str:
    """Return the heading; the page's own <title> names the site as well and is the last resort."""
    for heading in node.iter("h1", "h2"):
        if _has_class(heading, "heading-title") and (text := clean(flat_text(heading))):
            return text
    if not page:
        return ""
    headings = [clean(flat_text(heading)) for heading in node.iter("h1")]
    name = re.sub(r"\s+[-|\u2013]\s+(?:PubMed|PMC|NCBI).*$", "", clean(node.findtext(".//title")))
    return next((text for text in headings if len(text.split()) > 2), name if len(name.split()) > 2 else "")


def _abstract(node: html.HtmlElement) -> str:
    box = next((found for found in node.iter("div", "section") if _is_abstract(found)), None)
    if box is None:
        return ""
    # A translated abstract stands beside the English one.
    contents = [found for found in box.iter("div") if _has_class(found, "abstract-content")]
    english = [found for found in contents if found.get("id") == "eng-abstract" or _has_class(found, "selected")]
    parts = (_paragraph(part) for part in _paragraphs((english or contents or [box])[0]))
    return " ".join(part for part in parts if part)


def _is_abstract(node: html.HtmlElement) -> bool:
    return node.get("id") in {"abstract", "eng-abstract"} or _has_class(node, "abstract")


def _paragraphs(box: html.HtmlElement) -> list[html.HtmlElement]:
    return list(box.iter("p")) or [box]


def _paragraph(node: html.HtmlElement) -> str:
    """Return the text of a paragraph, its sub-title in front as "LABEL: text", as PubMed's own exports have it."""
    text = clean(flat_text(node))
    label = next((clean(flat_text(sub)) for sub in node.iter("strong", "b") if _has_class(sub, "sub-title")), "")
    if _has_class(node, "copyright") or _NOT_ABSTRACT.match(text) or any(True for _ in node.iterancestors("figure")):
        return ""
    if label and text.startswith(label):
        rest = text[len(label) :].lstrip(" :")
        return f"{label.rstrip(' :').upper()}: {rest}" if rest else ""
    return re.sub(r"^Abstract:?\s+(?=[A-Z])", "", text)


def _keywords(node: html.HtmlElement) -> list[str]:
    for paragraph in node.iter("p"):
        match = re.match(r"keywords?\s*:\s*(.+)", clean(flat_text(paragraph)), re.IGNORECASE)
        if match:
            return [word.strip(" .") for word in match[1].split(";")]
    return []


def _authors(node: html.HtmlElement, metas: dict[str, list[str]]) -> list[str]:
    if named := metas.get("citation_author"):
        return named
    if named := metas.get("citation_authors"):
        return [name.strip() for name in named[0].split(";")]
    return list(dict.fromkeys(clean(flat_text(link)) for link in node.iter("a") if _has_class(link, "full-name")))


def _by_class(node: html.HtmlElement, name: str) -> str:
    for found in node.iter("span", "strong", "button", "div"):
        if _has_class(found, name):
            return clean(flat_text(found))
    return ""


def _has_class(node: etree._Element, name: str) -> bool:
    return name in (node.get("class") or "").split()
