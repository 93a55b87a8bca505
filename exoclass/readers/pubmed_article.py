"""One `PubmedArticle` or `PubmedBookArticle` element as a record."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from lxml import etree

from exoclass.readers.normalise import build_record, find_doi, find_pmid
from exoclass.records import Record, Reject

_PLAIN = "0123456789+-\u2212=()"
_RAISED = str.maketrans(_PLAIN, "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾")
_LOWERED = str.maketrans(_PLAIN, "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎")
_SCRIPTS = {"sup": _RAISED, "sub": _LOWERED}
_NOT_TEXT = frozenset({"annotation", "annotation-xml"})
_NO_LABEL = frozenset({"", "UNASSIGNED", "UNLABELLED", "UNLABELED"})
_NOT_AVAILABLE = frozenset({"", "not available"})
_PLACEHOLDER = "abstract available from the publisher"


def read_article(article: etree._Element, file: str, line: int) -> Record | Reject:
    """Build a record from a `PubmedArticle` or a `PubmedBookArticle`.

    Parameters
    ----------
    article
        The whole element; elements of other papers (references, comments) within it are left alone.
    file, line
        Where it begins.
    """
    if article.tag == "PubmedBookArticle":
        return _book(article, file, line)
    flags: set[str] = set()
    title = _title(article, "MedlineCitation/Article", flags)
    abstract = _abstract(article.find("MedlineCitation/Article/Abstract"))
    abstract = abstract or _other_abstract(article, "MedlineCitation/OtherAbstract", flags)
    if article.find("MedlineCitation/CommentsCorrectionsList/CommentsCorrections[@RefType='RetractionIn']") is not None:
        flags.add("retracted")
    citation = "MedlineCitation/Article"
    return build_record(
        file=file,
        line=line,
        title=title,
        abstract=abstract,
        pmid=_pmid(article, "MedlineCitation/PMID", "PubmedData"),
        doi=_doi(article, "PubmedData/ArticleIdList", citation),
        journal=_first(article, f"{citation}/Journal/Title", f"{citation}/Journal/ISOAbbreviation")
        or _first(article, "MedlineCitation/MedlineJournalInfo/MedlineTA"),
        year=_first(article, f"{citation}/Journal/JournalIssue/PubDate", f"{citation}/ArticleDate/Year"),
        authors=_authors(article.iterfind(f"{citation}/AuthorList/Author")),
        keywords=_texts(article, "MedlineCitation/KeywordList/Keyword"),
        publication_types=_texts(article, f"{citation}/PublicationTypeList/PublicationType"),
        mesh_terms=_texts(article, "MedlineCitation/MeshHeadingList/MeshHeading/DescriptorName"),
        version=_version(article, "MedlineCitation"),
        flags=flags,
    )


def flat_text(element: etree._Element | None) -> str:
    """Return all text of an element, its inline markup gone, raised and lowered digits kept as such.

    >>> flat_text(etree.fromstring("<a>10<sup>9</sup> <i>EVs</i> a m<sup>2</sup>, H<sub>2</sub>O<sub>2</sub></a>"))
    '10⁹ EVs a m², H₂O₂'
    """
    if element is None:
        return ""
    if not len(element) and isinstance(element.tag, str) and element.tag.rpartition("}")[2] not in _NOT_TEXT:
        return element.text or ""  # most elements hold no other, and a file holds millions of them
    return "".join(_fragments(element))


def _fragments(element: etree._Element) -> Iterator[str]:
    if isinstance(element, etree._Entity):
        yield html.unescape(str(element.text))
    elif isinstance(element.tag, str) and etree.QName(element).localname not in _NOT_TEXT:
        for piece, child in _children(element):
            yield piece
            if child is not None:
                yield _script(child) if child.tag in _SCRIPTS else flat_text(child)


def _children(element: etree._Element) -> Iterator[tuple[str, etree._Element | None]]:
    """Yield the text before each child together with that child, and at last the text after all of them."""
    text = element.text or ""
    for child in element:
        # A pretty-printer puts raised and lowered letters on a line of their own; they belong to the word before.
        indented = child.tag in _SCRIPTS and re.search(r"\n\s*$", text)
        yield (text.rstrip() if indented else text), child
        text = child.tail or ""
    yield text, None


def _script(element: etree._Element) -> str:
    text = "".join(piece + flat_text(child) for piece, child in _children(element))
    bare = text.strip()
    if bare and all(char in _PLAIN for char in bare):
        return bare.translate(_SCRIPTS[str(element.tag)])
    return text


def _book(article: etree._Element, file: str, line: int) -> Record | Reject:
    flags = {"book"}
    document = "BookDocument"
    book_title = flat_text(article.find(f"{document}/Book/BookTitle"))
    chapter = _title(article, document, flags)
    abstract = _abstract(article.find(f"{document}/Abstract"))
    abstract = abstract or _other_abstract(article, f"{document}/OtherAbstract", flags)
    return build_record(
        file=file,
        line=line,
        title=chapter or book_title,
        abstract=abstract,
        pmid=_pmid(article, f"{document}/PMID", "PubmedBookData"),
        doi=_doi(article, "PubmedBookData/ArticleIdList", document)
        or _doi(article, f"{document}/ArticleIdList", f"{document}/Book"),
        journal=book_title,
        year=_first(article, f"{document}/Book/PubDate", f"{document}/ContributionDate"),
        authors=_book_authors(article),
        keywords=_texts(article, f"{document}/KeywordList/Keyword"),
        publication_types=_texts(article, f"{document}/PublicationType"),
        version=_version(article, document),
        flags=flags,
    )


def _title(article: etree._Element, parent: str, flags: set[str]) -> str:
    title = flat_text(article.find(f"{parent}/ArticleTitle")).strip()
    if title.strip("[]. ").casefold() not in _NOT_AVAILABLE:
        return title
    vernacular = flat_text(article.find(f"{parent}/VernacularTitle")).strip()
    language = _first(article, f"{parent}/Language")
    if vernacular and language and language != "eng":
        flags.add("non_english")
    return vernacular


def _abstract(abstract: etree._Element | None) -> str:
    """Join the parts of an abstract as "LABEL: text"; `CopyrightInformation` is no part of it."""
    if abstract is None:
        return ""
    parts = []
    for part in abstract.iterfind("AbstractText"):
        text = " ".join(flat_text(part).split())
        label = " ".join((part.get("Label") or "").split()).rstrip(":")
        if text and label.upper() not in _NO_LABEL and not text.casefold().startswith(f"{label.casefold()}:"):
            text = f"{label}: {text}"
        parts.append(text)
    joined = " ".join(filter(None, parts))
    return "" if joined.strip(". ").casefold() == _PLACEHOLDER else joined


def _other_abstract(article: etree._Element, path: str, flags: set[str]) -> str:
    """Return the first other abstract that has text, an English one before all others."""
    others = sorted(article.iterfind(path), key=lambda other: other.get("Language", "eng") != "eng")
    for other in others:
        if text := _abstract(other):
            flags.add("other_abstract")
            if other.get("Language", "eng") != "eng":
                flags.add("non_english")
            return text
    return ""


def _doi(article: etree._Element, own_ids: str, parent: str) -> str | None:
    """Return the article's own DOI: reference lists nest the ids of other papers and are never looked at."""
    void = set()
    located = []
    for place in article.iterfind(f"{parent}/ELocationID[@EIdType='doi']"):
        doi = find_doi(place.text)
        if place.get("ValidYN") == "N":
            void.add(doi)
        else:
            located.append(doi)
    listed = [find_doi(own.text) for own in article.iterfind(f"{own_ids}/ArticleId[@IdType='doi']")]
    return next((doi for doi in listed + located if doi and doi not in void), None)


def _pmid(article: etree._Element, path: str, data: str) -> str | None:
    own = article.find(f"{data}/ArticleIdList/ArticleId[@IdType='pubmed']")
    return find_pmid(article.findtext(path)) or find_pmid(own.text if own is not None else None)


def _version(article: etree._Element, parent: str) -> int:
    pmid, citation = article.find(f"{parent}/PMID"), article.find(parent)
    found = (
        (pmid.get("Version") if pmid is not None else None) or "1",
        (citation.get("VersionID") if citation is not None else None) or "1",
    )
    return max((int(text) for text in found if re.fullmatch(r"[0-9]{1,6}", text)), default=1)


def _authors(authors: Iterator[etree._Element]) -> Iterator[str]:
    """Name authors as "Last, First"; PubMed keeps misspelt names, marked as not valid, beside the mended ones."""
    for author in authors:
        if author.get("ValidYN") == "N":
            continue
        last = flat_text(author.find("LastName"))
        first = _first(author, "ForeName", "Initials")
        yield (f"{last}, {first}" if first else last) if last else flat_text(author.find("CollectiveName"))


def _book_authors(article: etree._Element) -> Iterator[str]:
    """Prefer the chapter's own authors, then the book's authors, then its editors."""
    for path in ("BookDocument", "BookDocument/Book"):
        for kind in ("authors", "editors", None):
            test = f"[@Type='{kind}']" if kind else ""
            if names := list(_authors(article.iterfind(f"{path}/AuthorList{test}/Author"))):
                return iter(names)
    return iter(())


def _first(element: etree._Element, *paths: str) -> str:
    texts = (flat_text(element.find(path)).strip() for path in paths)
    return next(filter(None, texts), "")


def _texts(article: etree._Element, path: str) -> Iterator[str]:
    return (flat_text(found) for found in article.iterfind(path))
