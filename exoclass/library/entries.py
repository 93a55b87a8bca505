"""Records as the library has them, now and before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from exoclass.library.content import load_record
from exoclass.library.database import Database
from exoclass.library.filters import State
from exoclass.library.judgements import Verdict
from exoclass.records import Record


@dataclass(frozen=True, slots=True)
class Entry:
    """A record as the library has it.

    Parameters
    ----------
    verdict
        The newest decision; None if there is none.
    added, changed
        When it came, and when it was last revised, retracted or deleted (UTC).
    shown
        `changed` as it was when the curator last saw the record; empty if that was never.
    """

    id: int
    record: Record
    state: State
    verdict: Verdict | None
    added: str
    changed: str
    shown: str


@dataclass(frozen=True, slots=True)
class Revision:
    """A record as it was from `when` on, and how it came to be so."""

    kind: Literal["added", "revised", "retracted", "deleted"]
    when: str
    record: Record


def entries(database: Database, condition: str, values: Sequence[object]) -> list[Entry]:
    """Return the entries that meet a condition in SQL, in no certain order."""
    sql = f"SELECT id, content, state, verdict, added, changed, shown FROM records WHERE {condition}"  # noqa: S608
    return [
        Entry(record_id, load_record(content), state, verdict or None, added, changed, shown)
        for record_id, content, state, verdict, added, changed, shown in database.execute(sql, values)
    ]


def history_of(database: Database, entry: Entry) -> tuple[Revision, ...]:
    """Return a record as it came, and as it was after each event, in order."""
    events = database.execute("SELECT kind, at, before FROM history WHERE record_id = ? ORDER BY id", (entry.id,))
    kinds = [("added", entry.added), *((kind, at) for kind, at, _ in events)]
    records = [*(load_record(before) for _, _, before in events), entry.record]
    return tuple(Revision(kind, at, record) for (kind, at), record in zip(kinds, records, strict=True))
