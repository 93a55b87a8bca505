"""Records that may be the same paper: shown to the curator with the evidence, never merged.

Title and year alone are wrong more often than right, so a like title needs a shared author, or a DOI or text.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from difflib import SequenceMatcher

from exoclass.library.content import load_record
from exoclass.library.database import Database
from exoclass.library.identity import keys_of, words
from exoclass.records import Record

MIN_ALIKE = 0.85
"""Likeness of titles, from 0 to 1, below which nothing is suggested."""

_KEY_WORDS = 6
_KEY_LETTERS = 4
_MAX_PER_WORD = 2000
"""Records looked at per word; a word in more titles than that says little."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A record that may be the same paper.

    Parameters
    ----------
    alike
        Likeness of the titles, from 0 to 1.
    reasons
        What speaks for it, in words for people.
    """

    record_id: int
    record: Record
    alike: float
    reasons: tuple[str, ...]


def title_key(title: str) -> tuple[str, ...]:
    """Return the longest words of a title, which tend to be the rarest.

    >>> title_key("Exosomes of stem cells heal wounds")
    ('exosomes', 'wounds', 'cells', 'heal', 'stem')
    """
    long = {word for word in words(title) if len(word) >= _KEY_LETTERS}
    return tuple(sorted(long, key=lambda word: (-len(word), word))[:_KEY_WORDS])


def suggest(database: Database, record: Record, *, leave_out: int | None, limit: int) -> tuple[Suggestion, ...]:
    """Return records that may be the same paper as `record`, the likeliest first."""
    found = []
    for record_id in _candidates(database, record):
        rows = database.execute("SELECT content FROM records WHERE id = ? AND state != 'deleted'", (record_id,))
        if record_id == leave_out or not rows:
            continue
        other = load_record(rows[0][0])
        suggestion = _compare(record_id, record, other)
        if suggestion:
            found.append(suggestion)
    found.sort(key=lambda suggestion: (-len(suggestion.reasons), -suggestion.alike, suggestion.record_id))
    return tuple(found[:limit])


def _candidates(database: Database, record: Record) -> list[int]:
    keys = keys_of(record)
    sql = "SELECT id FROM records WHERE doi = ? UNION SELECT id FROM records WHERE text_hash = ? LIMIT ?"
    found = [row[0] for row in database.execute(sql, (keys.doi, keys.text, _MAX_PER_WORD))]
    wanted = title_key(record.title)
    shared: Counter[int] = Counter()
    for word in wanted:
        rows = database.execute("SELECT record_id FROM title_words WHERE word = ? LIMIT ?", (word, _MAX_PER_WORD + 1))
        if len(rows) <= _MAX_PER_WORD:
            shared.update(row[0] for row in rows)
    # Half of the words: a misspelt one, or one that both titles do not keep, must not hide the pair.
    enough = max(1, len(wanted) // 2)
    return [*dict.fromkeys([*found, *(record_id for record_id, count in shared.items() if count >= enough)])]


def _compare(record_id: int, record: Record, other: Record) -> Suggestion | None:
    matcher = SequenceMatcher(None, " ".join(words(record.title)), " ".join(words(other.title)), autojunk=False)
    same_doi = bool(record.doi and other.doi and record.doi.lower() == other.doi.lower())
    same_text = keys_of(record).text is not None and keys_of(record).text == keys_of(other).text
    hopeless = matcher.real_quick_ratio() < MIN_ALIKE or matcher.quick_ratio() < MIN_ALIKE
    alike = 0.0 if hopeless and not same_doi and not same_text else matcher.ratio()
    authors = bool(_family(record) & _family(other))
    unknown = not record.authors or not other.authors
    years = abs(record.year - other.year) if record.year and other.year else None
    likely = alike >= MIN_ALIKE and (authors or (unknown and years in {None, 0, 1}))
    if not (likely or same_doi or same_text):
        return None
    reasons = {
        "same DOI": same_doi,
        "same text": same_text,
        f"titles {alike:.0%} alike": alike >= MIN_ALIKE,
        "same first author": authors,
        "same journal": bool(record.journal and other.journal and words(record.journal) == words(other.journal)),
        "same year": years == 0,
    }
    return Suggestion(record_id, other, alike, tuple(reason for reason, holds in reasons.items() if holds))


def _family(record: Record) -> set[str]:
    """Return the parts of the first author's name that are longer than initials; which is which is not known."""
    return (
        {word for word in re.findall(r"\w+", record.authors[0].casefold()) if len(word) > 2}
        if record.authors
        else set()
    )
