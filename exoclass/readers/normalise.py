"""The door: raw fields from any format become one clean `Record`, or a `Reject` that says why not."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from exoclass.records import Record, Reject

MAX_CHARS = 100_000
"""Longest title plus abstract taken for real, in characters; the longest in PubMed are about 15,000."""

_STOPWORDS = frozenset(
    "the of and in to a with for was were that is by on as from this are we at an be or which not has have can".split()
)
_WORD = re.compile(r"[^\W\d_]+")
_NEITHER_LATIN_NOR_GREEK = re.compile(r"[^\u0000-\u024f\u0370-\u03ff]")
_DOI = re.compile(r"\b10\.\d{4,9}/[^\s\"<>;]+", re.IGNORECASE)
_PMID = re.compile(r"\d{1,9}")
_YEAR = re.compile(r"(?<!\d)(1[89]\d\d|20\d\d)(?!\d)")
_COPYRIGHT = re.compile(
    r"\s*(?:copyright\s*(?:©|\(c\)|ⓒ)?|©|ⓒ|\(c\))[\s,:]*(?:\d{4}|the authors?\b|by\b)[^.]{0,120}(?:\.|$)"
    r"(?:\s*(?:published by [^.]{0,80}|all rights reserved)\.?)*\s*$"
    r"|\s*all rights reserved\.?\s*$|\s*this article is protected by copyright\.?\s*$"
    r"|\s*\(psycinfo database record.*$|\s*\[author abstract\]\.?\s*$",  # PsycINFO through Ovid, ProQuest
    re.IGNORECASE,
)
_NO_ABSTRACT = frozenset({"", "[no abstract available]", "no abstract available", "no abstract", "n/a", "na", "-"})
_NO_TITLE = frozenset({"", "[not available]", "[not available].", "not available"})


def build_record(
    *,
    file: str,
    line: int,
    title: str | None = "",
    abstract: str | None = "",
    pmid: str | None = None,
    doi: str | None = None,
    journal: str | None = None,
    year: str | int | None = None,
    authors: Iterable[str] = (),
    keywords: Iterable[str] = (),
    publication_types: Iterable[str] = (),
    mesh_terms: Iterable[str] = (),
    version: int = 1,
    flags: Iterable[str] = (),
) -> Record | Reject:
    """Clean raw fields and return a record, or a reject if there is nothing to tag.

    Parameters
    ----------
    file, line
        Where the record begins; `line` counts from 1.
    title, abstract
        Raw text. A title in brackets (PubMed's mark of a translation) loses them.
    pmid, doi, year
        Raw text from which the identifier is taken; anything that holds none becomes `None`.
    flags
        Flags the reader already knows (``retracted``, ``book``, …).

    Returns
    -------
    Record or Reject
        A reject if both title and abstract are empty, or if the text is too long to be an abstract.
    """
    clean_title = _title(clean(title))
    clean_abstract = clean(abstract)
    if clean_abstract.casefold() in _NO_ABSTRACT:
        clean_abstract = ""
    length = len(clean_title) + len(clean_abstract)
    if length > MAX_CHARS:
        reason = f"title and abstract have {length:,} characters, more than the {MAX_CHARS:,} that an abstract can have"
        return Reject(file, f"line {line}", reason, (clean_title or clean_abstract)[:80])
    if not clean_title and not clean_abstract:
        return Reject(file, f"line {line}", "neither a title nor an abstract", find_pmid(pmid) or find_doi(doi) or "")
    clean_abstract = strip_copyright(clean_abstract)
    found = set(flags)
    types = _words(publication_types)
    if not clean_abstract:
        found.add("no_abstract")
    if not looks_english(f"{clean_title} {clean_abstract}"):
        found.add("non_english")
    if any(kind.casefold() == "retracted publication" for kind in types):
        found.add("retracted")
    return Record(
        title=clean_title,
        abstract=clean_abstract,
        pmid=find_pmid(pmid),
        doi=find_doi(doi),
        journal=clean(journal) or None,
        year=find_year(year),
        authors=_words(authors),
        keywords=_words(keywords),
        publication_types=types,
        mesh_terms=_words(mesh_terms),
        version=version,
        source=f"{file}:{line}",
        flags=tuple(sorted(found)),
    )


class _Visible(dict[int, int | str | None]):
    """A table for `str.translate`, filled as characters are met: looking each one up anew takes ten times as long."""

    def __missing__(self, code: int) -> int | str | None:
        char, kind = chr(code), unicodedata.category(chr(code))
        shown = None if kind in {"Cf", "Cs", "Co"} else code
        self[code] = " " if char.isspace() or kind in {"Cc", "Zs"} else shown
        return self[code]


_VISIBLE = _Visible()


def clean(text: str | None) -> str:
    """Return `text` in NFC with control characters gone and white space folded to single blanks."""
    if not text:
        return ""
    return " ".join(unicodedata.normalize("NFC", text).translate(_VISIBLE).split())


def excerpt(text: str | None) -> str:
    """Return the first 80 characters of `text`, cleaned: enough to find the place in a file.

    >>> excerpt("TI  -  Exosomes in   stroke")
    'TI - Exosomes in stroke'
    """
    return clean((text or "")[:400])[:80]


def strip_copyright(abstract: str) -> str:
    """Return `abstract` without the publisher's copyright notice at its end.

    Only the last 300 characters are looked at (the rule of ASReview), so a sentence about copyright stays.
    """
    cut = max(0, len(abstract) - 300)
    head, tail = abstract[:cut], abstract[cut:]
    while (shorter := _COPYRIGHT.sub("", tail)) != tail:
        tail = shorter
    stripped = (head + tail).rstrip()
    return stripped or abstract


def find_pmid(text: str | None) -> str | None:
    """Return the PMID in `text`, or None if it is not one number of at most nine digits.

    >>> find_pmid("PMID: 30943982"), find_pmid("WOS:000123"), find_pmid("2214991469; 51887")
    ('30943982', None, None)
    """
    if not text:
        return None
    bare = re.sub(r"(?i)^\s*(?:pmid|pubmed(?:\s*id)?|medline)\s*[:=]?\s*", "", text).strip()
    return bare.lstrip("0") or None if _PMID.fullmatch(bare) else None


def find_doi(text: str | None) -> str | None:
    """Return the DOI in `text` in lower case and without resolver prefix or trailing punctuation, or None.

    >>> find_doi("https://doi.org/10.1000/ABC.1.")
    '10.1000/abc.1'
    """
    match = _DOI.search(text or "")
    if match is None:
        return None
    doi = match.group().rstrip(".,:'\"]}")
    while doi.endswith(")") and doi.count(")") > doi.count("("):
        doi = doi[:-1].rstrip(".,")
    return doi.lower()


def find_year(text: str | int | None) -> int | None:
    """Return the first year between 1800 and 2099 in `text`, or None.

    >>> find_year("1998 Dec-1999 Jan"), find_year("2014///"), find_year("n.d.")
    (1998, 2014, None)
    """
    match = _YEAR.search(str(text)) if text is not None else None
    return int(match.group()) if match else None


def looks_english(text: str) -> bool:
    """Tell whether `text` reads as English, by the share of its commonest function words.

    Texts under 20 words are judged by their script alone, since a title can lack function words.
    """
    foreign = sum(char.isalpha() for char in _NEITHER_LATIN_NOR_GREEK.findall(text))
    if foreign:
        letters = sum(char.isalpha() for char in text)
        if letters - foreign < 0.7 * letters:
            return False
    words = [word.casefold() for word in _WORD.findall(text)]
    if len(words) < 20:
        return True
    return sum(word in _STOPWORDS for word in words) >= 0.08 * len(words)


def _title(title: str) -> str:
    if title.casefold() in _NO_TITLE:
        return ""
    match = re.fullmatch(r"\[(.+?)\.?\]\.?", title)
    return match.group(1) if match and "[" not in match.group(1) else title


def _words(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(word for word in map(clean, values) if word)
