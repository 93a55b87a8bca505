"""How records come into a library: what each one is to what is there, and the history of what it changes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from exoclass.library.content import dump_record, load_record
from exoclass.library.database import Database
from exoclass.library.identity import Key, Keys, changes, is_same, keys_of, merge
from exoclass.library.suggestions import title_key
from exoclass.records import Record

Outcome = Literal["new", "known", "revised", "retracted", "duplicate"]

_MAX_CANDIDATES = 50
"""Records looked at under one DOI or text; whole supplements of journals share a DOI."""


@dataclass(frozen=True, slots=True)
class Added:
    """What became of one record.

    Parameters
    ----------
    record_id
        The record in the library that it is, or is a copy of.
    outcome
        ``new``; ``known`` if it changes nothing; ``revised``; ``retracted`` if that was not known before;
        ``duplicate`` if it is another copy, under another key, that adds nothing and was not stored.
    by
        The key by which it was known again.
    changes
        The fields that are different now.
    near
        Records that share its DOI or text and yet are other papers.
    """

    record_id: int
    outcome: Outcome
    by: Key | None = None
    changes: tuple[str, ...] = ()
    near: tuple[int, ...] = ()

    @property
    def text_changed(self) -> bool:
        """Whether predictions made before no longer hold."""
        return not {"title", "abstract"}.isdisjoint(self.changes)


@dataclass(frozen=True, slots=True)
class Additions:
    """What became of each record that was given, in order."""

    items: tuple[Added, ...]

    @property
    def counts(self) -> Counter[Outcome]:
        """How often each outcome occurred; the sum is the number of records given."""
        return Counter(item.outcome for item in self.items)

    def ids(self, *outcomes: Outcome) -> tuple[int, ...]:
        """Return the ids of the records with these outcomes, each once."""
        return tuple(dict.fromkeys(item.record_id for item in self.items if item.outcome in outcomes))


@dataclass(frozen=True, slots=True)
class Match:
    """A record of the library and the key by which it was found."""

    record_id: int
    by: Key
    record: Record
    state: str


def find(database: Database, record: Record, keys: Keys) -> tuple[Match | None, tuple[int, ...]]:
    """Return the stored record that is the same paper, and the ids of those that only look so."""
    near: dict[int, None] = {}
    searches: tuple[tuple[Key, str, str | None], ...] = (
        ("pmid", "pmid", keys.pmid),
        ("doi", "doi", keys.doi),
        ("text", "text_hash", keys.text),
    )
    for by, column, value in searches:
        if value is None:
            continue
        # Of several records under one DOI, one with the very same text comes first.
        sql = f"SELECT id, state, content FROM records WHERE {column} = ? ORDER BY text_hash IS NOT ?, id LIMIT ?"  # noqa: S608
        for record_id, state, content in database.execute(sql, (value, keys.text, _MAX_CANDIDATES)):
            other = load_record(content)
            if is_same(record, other, by):
                return Match(record_id, by, other, state), tuple(near)
            near[record_id] = None
    return None, tuple(near)


def add_record(database: Database, record: Record, when: str) -> Added:
    """Put one record into the library; the caller holds the transaction."""
    keys = keys_of(record)
    match, near = find(database, record, keys)
    if match is None:
        state = "retracted" if "retracted" in record.flags else "live"
        sql = "INSERT INTO records (pmid, doi, text_hash, state, added, changed, content) VALUES (?, ?, ?, ?, ?, ?, ?)"
        record_id = database.insert(sql, (keys.pmid, keys.doi, keys.text, state, when, when, dump_record(record)))
        _write_title(database, record_id, record)
        return Added(record_id, "new", near=near)
    merged = merge(match.record, record)
    changed = changes(match.record, merged)
    if not changed:
        outcome: Outcome = "known" if match.by == "pmid" or match.record.key == record.key else "duplicate"
        return Added(match.record_id, outcome, match.by, near=near)
    retracted = "retracted" in set(merged.flags) - set(match.record.flags)
    outcome = "retracted" if retracted else "revised"
    keep(database, match.record_id, outcome, when)
    state = "retracted" if retracted and match.state == "live" else match.state
    keys = keys_of(merged)
    sql = "UPDATE records SET pmid = ?, doi = ?, text_hash = ?, state = ?, changed = ?, content = ? WHERE id = ?"
    values = (keys.pmid, keys.doi, keys.text, state, when, dump_record(merged), match.record_id)
    database.execute(sql, values)
    if "title" in changed:
        rows = [(word, match.record_id) for word in title_key(match.record.title)]
        database.execute_many("DELETE FROM title_words WHERE word = ? AND record_id = ?", rows)
        _write_title(database, match.record_id, merged)
    return Added(match.record_id, outcome, match.by, changed, near)


def keep(database: Database, record_id: int, kind: str, when: str) -> None:
    """Put the record as it is now into its history, before something happens to it."""
    sql = "INSERT INTO history (record_id, kind, at, before) SELECT id, ?, ?, content FROM records WHERE id = ?"
    database.execute(sql, (kind, when, record_id))


def _write_title(database: Database, record_id: int, record: Record) -> None:
    rows = [(word, record_id) for word in title_key(record.title)]
    database.execute_many("INSERT INTO title_words (word, record_id) VALUES (?, ?)", rows)
