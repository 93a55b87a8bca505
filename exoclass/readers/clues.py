"""Clues that databases leave in fields meant for something else: links, notes, titles, joined lists."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote

from exoclass.readers.normalise import find_doi, find_pmid

_URL_DOI = re.compile(
    r"(?:doi\.org/|[?&;](?:id|doi|rft_id)=(?:info(?::|%3a)doi(?:/|%2f)|doi(?::|%3a))?)(10\.\d{4,9}(?:/|%2f)[^&\s#]+)",
    re.IGNORECASE,
)
_URL_PMID = re.compile(
    r"(?:pubmed\.ncbi\.nlm\.nih\.gov/|ncbi\.nlm\.nih\.gov/(?:entrez/)?pubmed/|pubmed\.gov/"
    r"|[?&;](?:id|rft_id)=(?:info(?::|%3a))?pmid(?:[:/]|%3a|%2f))(\d{1,9})(?!\d)",
    re.IGNORECASE,
)
_NOTE_PMID = re.compile(
    r"\s*(?:(?:pubmed\s*(?:pmid|id)|pmid)\s*[:=]?\s*(\d{1,9})|(\d{1,9})\s*\[pmid\])\s*[.;]?\s*", re.I
)
_NOTE_DOI = re.compile(r"\bdoi:?\s*(?:https?://(?:dx\.)?doi\.org/)?(10\.\S+)", re.IGNORECASE)
_NOTE_ON_OTHERS = re.compile(
    r"\s*(?:references?|comments?|errat|correct|retract|republish|summary|update|original|cited|see)\w*\b",
    re.IGNORECASE,
)
_LONG_NOTE = 300
_RETRACTED_TITLE = re.compile(r"\W*retracted(?:\s+(?:article|paper|publication|chapter))?\s*[:\]]", re.IGNORECASE)
_RETRACTED_KINDS = frozenset({"retracted", "retracted publication", "retracted article"})
_COMMA_OUTSIDE_BRACKETS = re.compile(r",(?![^()]{0,300}\))")  # bounded, else quadratic in a long field


def doi_in_url(urls: Iterable[str]) -> str | None:
    """Return the DOI that one of `urls` resolves or carries as a parameter, or None.

    >>> doi_in_url(["http://sfx.example.org/x?sid=E&id=doi:10.5555%2Fev.1&atitle=Exosomes"])
    '10.5555/ev.1'
    """
    for url in urls:
        match = _URL_DOI.search(url)
        if match and (doi := find_doi(unquote(match.group(1)))):
            return doi
    return None


def pmid_in_url(urls: Iterable[str]) -> str | None:
    """Return the PMID of the PubMed page one of `urls` leads to, or None.

    >>> pmid_in_url(["https://www.ncbi.nlm.nih.gov/pmc/articles/PMC90000001/", "https://pubmed.ncbi.nlm.nih.gov/90000001/"])
    '90000001'
    """
    for url in urls:
        if match := _URL_PMID.search(url):
            return find_pmid(match.group(1))
    return None


def pmid_in_note(notes: Iterable[str]) -> str | None:
    """Return the PMID from a note that is nothing but a labelled PMID, or None.

    A PMID inside a longer note is that of another paper ("Comment in: … PMID: 1").

    >>> pmid_in_note(["Cited By: 3", "PMID: 90000001"]), pmid_in_note(["Erratum in: X. PMID: 90000002"])
    ('90000001', None)
    """
    for note in notes:
        if match := _NOTE_PMID.fullmatch(note[:_LONG_NOTE]):
            return find_pmid(match.group(1) or match.group(2))
    return None


def doi_in_note(notes: Iterable[str]) -> str | None:
    """Return the DOI from a short note that speaks of this paper, or None.

    >>> doi_in_note(["References: A, doi: 10.5555/other", "J Test. 2020;1(2):3. doi: 10.5555/ev.1."])
    '10.5555/ev.1'
    """
    for note in notes:
        if len(note) > _LONG_NOTE or _NOTE_ON_OTHERS.match(note):
            continue
        if match := _NOTE_DOI.search(note):
            return find_doi(match.group(1))
    return None


def is_retracted(title: str, kinds: Iterable[str]) -> bool:
    """Tell whether publication types or the publisher's mark in the title say that the paper was retracted.

    >>> is_retracted("RETRACTED: Exosomes in sepsis", []), is_retracted("Retraction of a retracted paper", [])
    (True, False)
    """
    return bool(_RETRACTED_TITLE.match(title)) or any(kind.strip().casefold() in _RETRACTED_KINDS for kind in kinds)


def split_list(text: str) -> tuple[str, ...]:
    """Return the members of a list kept in one field, whatever separates them.

    Semicolons, bars and line breaks separate; commas only where none of these occurs and not inside parentheses.

    >>> split_list("exosome (therapy, animal model), wound healing")
    ('exosome (therapy, animal model)', 'wound healing')
    """
    parts = re.split(r"[;|\n]", text) if re.search(r"[;|\n]", text) else _COMMA_OUTSIDE_BRACKETS.split(text)
    return tuple(part.strip() for part in parts if part.strip())


def split_authors(text: str) -> tuple[str, ...]:
    """Return the names in an author field.

    Commas separate only if every part reads "Surname A": in "Surname, A., Other, B." they do not.

    >>> split_authors("Rossi A, de Wit BC."), split_authors("Rossi, A.; de Wit, B."), split_authors("Rossi, A.")
    (('Rossi A', 'de Wit BC'), ('Rossi, A.', 'de Wit, B.'), ('Rossi, A.',))
    """
    if re.search(r"[;|\n]", text):
        return split_list(text)
    parts = [part.strip() for part in text.split(",")]
    if all(" " in part for part in parts):
        if not parts[0].endswith("."):  # PubMed puts a full stop after the last name
            parts[-1] = parts[-1].removesuffix(".")
        return tuple(parts)
    return (text.strip(),) if text.strip() else ()
