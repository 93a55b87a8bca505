"""When two records are the same paper, and what becomes of them then.

PMID decides first, then DOI, then the text. Two PMIDs are two papers whatever else agrees, for so PubMed says. A DOI
alone is not enough: the chapters of a book and the abstracts of a conference share one, so titles have to agree, or
be alike above abstracts that are alike. Equal texts under different DOIs are a preprint and its publication: they stay
apart. A title alone ("Editorial") is no text; then authors, journal and year have to agree as well.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import Literal

from exoclass.records import Record

Key = Literal["pmid", "doi", "text"]

MIN_SHARED = 0.5
"""Share of words that differing titles under one DOI, and their abstracts, have in common if they are one paper."""

MIN_PREFIX = 4
"""Words that a title which lost its subtitle has at least, to be known again under its DOI."""

_OF_A_RUN = frozenset({"supersedes"})
_OF_THE_TEXT = frozenset({"no_abstract", "other_abstract", "non_english"})
_FOR_EVER = frozenset({"retracted", "book"})


@dataclass(frozen=True, slots=True)
class Keys:
    """What a record is found by; `text` is a hash of its letters, None if it has none."""

    pmid: str | None
    doi: str | None
    text: str | None


def keys_of(record: Record) -> Keys:
    """Return the keys of a record; the hash is that of `exoclass.records.Record.key`."""
    text = replace(record, pmid=None, doi=None).key if re.search(r"\w", record.text) else None
    return Keys(record.pmid or None, record.doi.lower() if record.doi else None, text)


def is_same(record: Record, other: Record, by: Key) -> bool:
    """Tell whether two records that agree in one key are one paper.

    Parameters
    ----------
    by
        The key in which they agree.
    """
    if by == "pmid":
        return True
    if record.pmid and other.pmid and record.pmid != other.pmid:
        return False
    if by == "doi":
        return _titles_agree(record, other)
    if record.doi and other.doi and record.doi.lower() != other.doi.lower():
        return False
    if record.abstract and other.abstract:
        return True
    return (record.authors, record.journal, record.year) == (other.authors, other.journal, other.year)


def merge(stored: Record, incoming: Record) -> Record:
    """Return what the library should hold of a paper when it comes again.

    The newer overwrites the older, but what it lacks is kept: an export without MeSH headings takes none away. A lower
    version, and a copy without PMID of a paper that has one, only fill gaps. A retraction is never undone.
    """
    overwrites = incoming.version >= stored.version and bool(incoming.pmid or not stored.pmid)
    first, second = (incoming, stored) if overwrites else (stored, incoming)
    told = {field.name: getattr(first, field.name) or getattr(second, field.name) for field in fields(Record)}
    lacking = not first.abstract or ("other_abstract" in first.flags and "other_abstract" not in second.flags)
    text = second if lacking and second.abstract else first
    flags = {flag for flag in first.flags if flag not in _OF_THE_TEXT}
    flags |= _OF_THE_TEXT.intersection(text.flags) | _FOR_EVER.intersection(second.flags)
    told |= {
        "abstract": text.abstract,
        "version": max(stored.version, incoming.version),
        "flags": tuple(sorted(flags)),
    }
    return Record(**told)


def changes(before: Record, after: Record) -> tuple[str, ...]:
    """Return the names of the fields that differ, leaving out where the record was read and in which run.

    Small or capital letters and punctuation make no other text: exports differ in them, and no revision is meant.
    """
    names = (field.name for field in fields(Record) if field.name not in {"source", "flags"})
    found = [name for name in names if _plain(name, getattr(before, name)) != _plain(name, getattr(after, name))]
    if set(before.flags) - _OF_A_RUN != set(after.flags) - _OF_A_RUN:
        found.append("flags")
    return tuple(found)


def words(title: str) -> tuple[str, ...]:
    """Return the words of a title in small letters.

    >>> words("Exosomes: a cell-free therapy")
    ('exosomes', 'a', 'cell', 'free', 'therapy')
    """
    return tuple(re.findall(r"\w+", title.casefold()))


def _plain(name: str, value: object) -> object:
    if not isinstance(value, str) or name not in {"title", "abstract", "doi"}:
        return value
    return value.casefold() if name == "doi" else "".join(words(value))


def _titles_agree(record: Record, other: Record) -> bool:
    book = "book" in {*record.flags, *other.flags}
    if not record.title or not other.title:
        return not book
    ours, theirs = words(record.title), words(other.title)
    if "".join(ours) == "".join(theirs):
        return True
    if book:
        return False  # "Exosomes" and "Exosomes in the heart" are two chapters
    if min(len(ours), len(theirs)) >= MIN_PREFIX and all(map(str.__eq__, ours, theirs)):
        return True
    # "… in the heart" and "… in the brain" may be two abstracts of one meeting, so the texts have a say.
    return _share(ours, theirs) >= MIN_SHARED and _share(words(record.abstract), words(other.abstract)) >= MIN_SHARED


def _share(ours: tuple[str, ...], theirs: tuple[str, ...]) -> float:
    """Return the share of words in common, of the longer text."""
    return len({*ours} & {*theirs}) / max(len({*ours}), len({*theirs}), 1)
