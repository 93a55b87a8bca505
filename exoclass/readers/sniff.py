"""Which format a file has, judged by its content and never by its name."""

from __future__ import annotations

import csv
import re
from enum import StrEnum
from typing import NoReturn

from exoclass.errors import InputError, UnknownFormatError
from exoclass.readers.foreign import refuse_binary, refuse_root, refuse_text
from exoclass.readers.source import decode


class Format(StrEnum):
    """The formats exoclass reads."""

    PUBMED_XML = "pubmed_xml"
    MEDLINE = "medline"
    RIS = "ris"
    CSV = "csv"
    JSONL = "jsonl"
    PAGE = "page"


FORMATS = "PubMed XML, MEDLINE (.nbib), RIS, CSV or TSV with a header line, JSON Lines, or a saved PubMed page"
"""The formats in words, for messages."""

_PUBMED_ROOTS = frozenset({"PubmedArticleSet", "PubmedBookArticleSet", "PubmedArticle", "PubmedBookArticle"})
_HTML_ROOTS = frozenset(
    {
        "html",
        "head",
        "body",
        "meta",
        "link",
        "title",
        "div",
        "main",
        "article",
        "section",
        "p",
        "h1",
        "span",
        "script",
        "style",
    }
)
_XML_PROLOG = re.compile(
    r"(?:\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^\[<>]*(?:\[[^\]]*\]\s*)?>)*", re.DOTALL | re.IGNORECASE
)
_ROOT = re.compile(r"<(?:[\w.-]+:)?([A-Za-z][\w.-]*)")
_HTML = re.compile(r"<!doctype html|<html[\s>]|<body[\s>]|<head[\s>]", re.IGNORECASE)
_TAG_LINE = re.compile(r"^[ \t]{0,3}([A-Z][A-Z0-9]{1,3}) {0,2}-(?: |$)", re.MULTILINE)
_MEDLINE_ONLY = frozenset(
    {
        "PMID",
        "STAT",
        "OWN",
        "DCOM",
        "LR",
        "FAU",
        "LID",
        "AID",
        "CRDT",
        "EDAT",
        "MHDA",
        "PHST",
        "PST",
        "JID",
        "PMC",
        "BTI",
        "CTI",
        "OAB",
    }
)
_RIS_ONLY = frozenset({"TY", "ER", "T1", "A1", "Y1", "JO", "JF", "N2", "UR"})
_HEADER_WORDS = frozenset(
    {
        "title",
        "abstract",
        "pmid",
        "doi",
        "year",
        "ti",
        "ab",
        "au",
        "py",
        "authors",
        "author",
        "journal",
        "article_title",
        "primary_title",
        "text",
    }
)
_HEADER_PHRASES = ("title", "abstract", "pubmed id", "publication year", "author", "doi", "pmid", "journal", "source")
_PAGE_MARKS = ("Skip to main page content", "PubMed Disclaimer", "An official website of the United States government")


def sniff(head: bytes, file: str = "the input") -> Format:
    r"""Recognise a format by the first bytes of its content.

    Parameters
    ----------
    head
        The beginning of the content, decompressed; a few kilobytes suffice.
    file
        Name to use in messages.

    Raises
    ------
    InputError
        If there is nothing in it.
    UnknownFormatError
        If it is something else, saying what it looks like and what to export instead.

    Examples
    --------
    >>> sniff(b"1.\n\nTY - JOUR\nTI - Exosomes\nER -\n").value
    'ris'
    """
    refuse_binary(head, file)
    text = decode(head).replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff \t\n\v\f")
    if not text.replace("\0", " ").strip():
        raise InputError(f"{file} is empty", "Export the records again, or check that the command before wrote any.")
    if "\0" in text:
        _give_up(file, "binary data")
    return _sniff_text(text, file)


def _sniff_text(text: str, file: str) -> Format:
    refuse_text(text, file)
    if text.startswith("<"):
        return _sniff_markup(text, file)
    if re.match(r'\{\s*[}"]', text):
        return Format.JSONL
    found = _sniff_tags(text)
    if found is None and _is_page(text):
        found = Format.PAGE
    if found is None and _is_table(text):
        found = Format.CSV
    if found is None and _HTML.search(text):
        found = Format.PAGE
    if found is None and sum(line.startswith('{"') for line in text.splitlines()) > 1:
        found = Format.JSONL
    return found or _give_up(file, "none of the formats that exoclass reads")


def _sniff_markup(text: str, file: str) -> Format:
    prolog = _XML_PROLOG.match(text)
    match = _ROOT.match(text, prolog.end() if prolog else 0)
    root = match.group(1) if match else ""
    if root in _PUBMED_ROOTS or re.search(r"<PubmedArticleSet[\s>]", text):
        return Format.PUBMED_XML
    # <article> is the root of JATS too, but there it has a <front> with <article-meta>.
    jats = root == "article" and re.search(r"<article-meta|<front[\s>]|dtd-version=", text)
    if root.lower() in _HTML_ROOTS and not jats:
        return Format.PAGE
    if root:
        refuse_root(root, file)
    if _HTML.match(text):
        return Format.PAGE
    return _give_up(file, "none of the formats that exoclass reads")


def _sniff_tags(text: str) -> Format | None:
    """Tell RIS from MEDLINE: both write ``TI  - ``, so what counts is the first tag that only one of them has."""
    tags = _TAG_LINE.findall(text)
    for tag in tags:
        if tag in _RIS_ONLY:
            return Format.RIS
        if tag in _MEDLINE_ONLY:
            return Format.MEDLINE
    return Format.RIS if len(tags) > 1 else None


def _is_page(text: str) -> bool:
    if any(mark in text for mark in _PAGE_MARKS):
        return True
    lines = {line.strip() for line in text.splitlines()}
    named = {"Affiliations", "Affiliation"} & lines or re.search(r"\b(?:PMID|doi): ?\d", text)
    return "Abstract" in lines and bool(named)


def _is_table(text: str) -> bool:
    whole, _, cut = text.rpartition("\n")  # the last line may be cut
    lines = [line for line in whole.split("\n") if line.strip()] or [cut]
    if not lines[0].strip():
        return False
    first = lines[0].strip().strip('"').casefold()
    if first in _HEADER_WORDS or first.startswith("sep="):
        return True
    for delimiter in "\t,;":
        try:
            counts = [len(row) for row in csv.reader(lines[:50], delimiter=delimiter) if row]
            header = next(csv.reader(lines[:1], delimiter=delimiter))
        except csv.Error:
            continue
        cells = [cell.strip().casefold() for cell in header]
        short = [cell for cell in cells if len(cell) < 60]
        known = sum(cell in _HEADER_WORDS or any(word in cell for word in _HEADER_PHRASES) for cell in short)
        if len(cells) > 1 and known > 1:
            return True
        # A table of something else: its reader names the columns it found, which helps more than "unknown format".
        if len(cells) > 2 and len(counts) > 2 and len(set(counts)) == 1:
            return True
    return False


def _give_up(file: str, kind: str) -> NoReturn:
    raise UnknownFormatError(f"{file} holds {kind}", f"exoclass reads {FORMATS}.")
