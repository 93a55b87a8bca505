"""A PubMed page, saved as HTML or copied as text: title and abstract in, everything around them out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lxml import etree

from exoclass.readers.normalise import build_record, clean
from exoclass.readers.page_html import read_html
from exoclass.records import Record, Reject

MAX_PAGE = 20_000_000
"""Longest page taken for real, in characters; a saved PubMed page has less than a million."""

_LONGEST_TITLE = 500
_HTML = re.compile(r"<!doctype html|<(?:html|head|body|meta|div|main|article|section|title|h1)[\s>]", re.IGNORECASE)

_HEADINGS_AFTER = frozenset(
    {
        "pubmed disclaimer",
        "figures",
        "figure",
        "references",
        "similar articles",
        "cited by",
        "publication types",
        "publication type",
        "mesh terms",
        "substances",
        "grants and funding",
        "grant support",
        "linkout - more resources",
        "related information",
        "conflict of interest statement",
        "conflict of interest",
        "full text links",
        "full text",
        "comment in",
        "comment on",
        "associated data",
        "supplementary concepts",
        "supplementary info",
        "keywords",
        "affiliations",
        "affiliation",
        "erratum in",
        "update of",
        "update in",
        "full text sources",
        "medical",
        "miscellaneous",
        "research materials",
        "other literature sources",
        "copyright",
        "declaration of competing interest",
        "see all similar articles",
        "actions",
        "share",
        "page navigation",
        "title & authors",
        "cite",
        "add to collections",
        "permalink",
    }
)
_AFTER = re.compile(
    r"(?:keywords?|key words)\s*:|©|copyright\b.{0,40}(?:©|\d{4})|conflict of interest|similar articles\b|figures\s*$"
    r"|pmid\s*:\s*\d|pmcid\s*:|doi\s*:\s*10\.|see this image and copyright information|fig(?:ure)?\.? \d+\b",
    re.IGNORECASE,
)
_ABSTRACT = re.compile(r"abstract\s*:?(?:\s+(?P<text>\S.*))?$", re.IGNORECASE)
_NO_ABSTRACT = re.compile(r"no abstract available\.?$", re.IGNORECASE)
_SHORT_CITATION = re.compile(
    r"(?P<authors>\S.{1,120}?)\. (?P<journal>[A-Z][^.]{1,80})\. (?P<year>(?:19|20)\d\d)"
    r"(?: [A-Z][a-z]{2}[^.]{0,12})?\.?$"
)
_CITATION = re.compile(r"(?:^\.? ?(?:19|20)\d\d\b[^;:]{0,20}[;:]|\bdoi: ?10\.\d{4})", re.IGNORECASE)
_PMID = re.compile(r"\bPMID\s*:?\s*(\d{1,9})\b")
_DOI = re.compile(r"\bdoi\s*:\s*(10\.\d{4,9}/\S+)", re.IGNORECASE)
_YEAR = re.compile(r"(?:^|[.\s])((?:19|20)\d\d)(?=[\s;:.]|$)")
_NAVIGATION = re.compile(
    r"skip to main|official website|^dot gov|^https?$|^https?:|the \.gov means|federal government|the site is secure"
    r"|access keys|^u\.?s\.? flag|^here.s how you know|sign in|log ?in|^search|^advanced|user guide|^clipboard|^save"
    r"|^email|^send to|^display options|^format|^cite|^share|full text links|^affiliations?$|^authors?$|^actions$"
    r"|^pmid\b|^pmcid\b|^doi\b|^expand$|^collapse$|^free (?:pmc )?article|^item in clipboard|^national library"
    r"|^(?:review|meta-analysis|clinical trial|randomized controlled trial|case reports|editorial|comment|letter)$",
    re.IGNORECASE,
)


@dataclass
class _Found:
    """What the lines of a page say about its paper."""

    title: str = ""
    line: int = 1
    journal: str = ""
    year: str = ""
    doi: str = ""
    pmid: str = ""
    abstract: list[str] = field(default_factory=list)


def read_page(text: str, file: str) -> Iterator[Record | Reject]:
    """Read the paper of a PubMed page, or the papers of a saved list of abstracts.

    Parameters
    ----------
    text
        The page, HTML or plain text.
    file
        Name to use in sources and rejects.
    """
    if _HTML.search(text[:200_000]):
        try:
            yield from read_html(text, file)
        except (etree.LxmlError, ValueError, RecursionError) as error:
            yield Reject(file, "line 1", f"HTML that cannot be parsed: {error}", clean(text[:200])[:80])
        return
    lines = [" ".join(line.split()) for line in text.splitlines()]
    found = _find(lines)
    if not found.title and not found.abstract:
        yield Reject(file, "line 1", "a page without the title or abstract of a paper", clean(text[:200])[:80])
        return
    yield build_record(
        file=file,
        line=found.line,
        title=found.title,
        abstract=" ".join(found.abstract),
        pmid=found.pmid,
        doi=found.doi,
        journal=found.journal,
        year=found.year,
    )


def _find(lines: list[str]) -> _Found:
    start, abstract = _find_abstract(lines)
    head = lines[:start]
    found = _Found(abstract=abstract)
    number = _find_title(head, found)
    if number is not None:
        found.title, found.line = head[number], number + 1
    # References follow the abstract, so identifiers are taken from what precedes it, or from a line of its own.
    own = [*head, *_own_lines(lines[start:])]
    found.doi = next((match[1] for line in own if (match := _DOI.search(line))), "")
    found.pmid = next((match[1] for line in own if (match := _PMID.search(line))), "")
    found.year = found.year or next(
        (match[1] for line in head if _CITATION.search(line) and (match := _YEAR.search(line))), ""
    )
    return found


def _find_abstract(lines: list[str]) -> tuple[int, list[str]]:
    """Return where the abstract's heading stands and the lines of the abstract itself."""
    for start, line in enumerate(lines):
        match = _ABSTRACT.match(line)
        if match is None or (match["text"] and not line[:9].endswith((":", " "))):
            continue
        body = [match["text"]] if match["text"] else []
        for following in lines[start + 1 :]:
            if following.casefold().rstrip(":") in _HEADINGS_AFTER or _AFTER.match(following):
                break
            body.append(following)
        body = [part for part in body if part and not _NO_ABSTRACT.match(part)]
        if body or match["text"] is None:
            return start, body
    headings = _HEADINGS_AFTER - {"affiliations", "affiliation"}
    stop = next((number for number, line in enumerate(lines) if line.casefold() in headings), len(lines))
    return stop, []


def _find_title(head: list[str], found: _Found) -> int | None:
    """Return the index of the title: before "Lin Cheng et al. Journal. 2017.", or after the line with the DOI."""
    filled = [number for number, line in enumerate(head) if line and not _NAVIGATION.search(line)]
    for position, number in enumerate(filled):
        match = _SHORT_CITATION.match(head[number])
        if match and position and not _CITATION.search(head[number]) and len(match["authors"].split()) <= 12:
            found.journal, found.year = match["journal"], match["year"]
            return filled[position - 1]
    for position, number in enumerate(filled[:-1]):
        if _CITATION.search(head[number]):
            after = filled[position + 1]
            if position and not found.journal and len(head[filled[position - 1]]) < 80:
                found.journal = head[filled[position - 1]]
            return after
    likely = [number for number in filled if len(head[number].split()) >= 4 and len(head[number]) < _LONGEST_TITLE]
    titles = [number for number in likely if not _CITATION.search(head[number])]
    return max(titles, key=lambda number: len(head[number]), default=None)


def _own_lines(lines: list[str]) -> Iterator[str]:
    """Yield the lines after the abstract that begin with the page's own identifiers."""
    for line in lines:
        if line.casefold() in {"references", "similar articles", "cited by", "figures"}:
            return
        if re.match(r"(?:pmid|pmcid|doi)\s*:", line, re.IGNORECASE):
            yield line
