"""The library as a whole: one file that keeps records, predictions, decisions, queries and windows.

Times are given by the caller as ISO text with a time zone. Everything that is written is written in transactions of
at most `BATCH` records, so a kill leaves whole batches, and two processes take turns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Self, TypeVar

from exoclass.errors import LibraryError, UsageError
from exoclass.library.adding import Added, Additions, add_record, keep
from exoclass.library.database import Database
from exoclass.library.entries import Entry, Revision, entries, history_of
from exoclass.library.filters import Filter
from exoclass.library.judgements import (
    Decision,
    SavedPredictions,
    StoredPrediction,
    Verdict,
    decisions_of,
    predictions_of,
    save_decision,
    save_prediction,
    score_sums,
    standing_decisions,
)
from exoclass.library.queries import Queries
from exoclass.library.schema import check_ours, upgrade
from exoclass.library.suggestions import Suggestion, suggest
from exoclass.library.times import as_utc
from exoclass.records import Prediction, Record

_T = TypeVar("_T")

BATCH = 500
"""Records per transaction, and per page when they are read."""


@dataclass(frozen=True, slots=True)
class Marked:
    """PMIDs that are deleted now, that were before, and that the library does not have."""

    deleted: tuple[str, ...]
    already: tuple[str, ...]
    unknown: tuple[str, ...]


class Library:
    """A library that is open; use it in a ``with`` block, and in one thread.

    Attributes
    ----------
    queries
        Saved queries and their windows.

    Raises
    ------
    LibraryError
        By every method, if the file cannot be read or written.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.queries = Queries(database)

    @classmethod
    def open(cls, path: str | Path, *, timeout: float = 30.0, create: bool = True) -> Self:
        """Open a library, bringing an older file up to date.

        Parameters
        ----------
        timeout
            Seconds to wait for another process that is writing.
        create
            Make the file if it is missing.

        Raises
        ------
        LibraryError
            If the file is no library, is one of a newer exoclass, or cannot be opened.
        """
        path = Path(path)
        if not create and not path.exists():
            raise LibraryError(f"there is no library at {path}", "Check the path, or add records to make one.")
        database = Database(path, timeout)
        try:
            check_ours(database)
            database.set_up()
            upgrade(database)
        except BaseException:
            database.close()
            raise
        return cls(database)

    def __enter__(self) -> Self:
        """Return the library itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file; what was written is safe already."""
        self._database.close()

    def add(self, records: Iterable[Record], *, when: str) -> Additions:
        """Add records, knowing again those that are here, and keep what a revision replaces.

        A record that was deleted stays so when an old export brings it back.
        """
        moment = as_utc(when)
        items: list[Added] = []
        for batch in _batches(records):
            with self._database.transaction() as database:
                items += [add_record(database, record, moment) for record in batch]
        return Additions(tuple(items))

    def mark_deleted(self, pmids: Iterable[str], *, when: str) -> Marked:
        """Mark records that PubMed has withdrawn; they stay, with their history and decisions."""
        moment = as_utc(when)
        deleted, already, unknown = [], [], []
        for batch in _batches(dict.fromkeys(pmids)):
            with self._database.transaction() as database:
                for pmid in batch:
                    rows = database.execute("SELECT id, state FROM records WHERE pmid = ?", (pmid,))
                    if not rows:
                        unknown.append(pmid)
                    elif rows[0][1] == "deleted":
                        already.append(pmid)
                    else:
                        keep(database, rows[0][0], "deleted", moment)
                        sql = "UPDATE records SET state = 'deleted', changed = ? WHERE id = ?"
                        database.execute(sql, (moment, rows[0][0]))
                        deleted.append(pmid)
        return Marked(tuple(deleted), tuple(already), tuple(unknown))

    def save_predictions(self, model: str, predictions: Iterable[Prediction], *, when: str) -> SavedPredictions:
        """Save what a model says, in place of what the same model said of these records before.

        Parameters
        ----------
        model
            Identity of the model: name and content hash.
        """
        moment, saved = as_utc(when), 0
        unknown: list[str] = []
        for batch in _batches(predictions):
            with self._database.transaction() as database:
                for prediction in batch:
                    if save_prediction(database, model, prediction, moment):
                        saved += 1
                    else:
                        unknown.append(prediction.record.key)
        return SavedPredictions(saved, tuple(unknown))

    def decide(
        self,
        record: int | str,
        verdict: Verdict,
        *,
        when: str,
        tags: Mapping[str, Sequence[str]] | None = None,
        note: str = "",
    ) -> Decision:
        """Keep what the curator decided; an earlier decision is kept too, but the newest holds.

        Parameters
        ----------
        record
            Id in the library, or PMID as text.
        tags
            Ids of labels per axis, needed to correct.

        Raises
        ------
        LibraryError
            If there is no such record.
        UsageError
            If tags are corrected without any being given.
        """
        if verdict == "correct" and not tags:
            raise UsageError("a correction without tags corrects nothing", "Give the labels that hold.")
        moment = as_utc(when)
        given = {axis: tuple(ids) for axis, ids in (tags or {}).items()}
        visible = note.encode("utf-8", "replace").decode()  # the command line may pass bytes that are no Unicode
        with self._database.transaction() as database:
            decision = Decision(self.get(record).id, verdict, given, visible, moment)
            save_decision(database, decision)
        return decision

    def get(self, record: int | str) -> Entry:
        """Return a record by its id in the library, or by PMID given as text.

        Raises
        ------
        LibraryError
            If there is no such record.
        """
        column = "id" if isinstance(record, int) else "pmid"
        found = entries(self._database, f"{column} = ?", [record])
        if not found:
            name = f"record {record}" if isinstance(record, int) else f"PMID {record}"
            raise LibraryError(f"{name} is not in the library", "Add it first.")
        return found[0]

    def records(self, wanted: Filter | None = None) -> Iterator[Entry]:
        """Iterate over records in constant memory but for their ids.

        Which ones they are is settled at the first; the library can be written to meanwhile.
        """
        for page in _batches(self.ids(wanted)):
            found = {
                entry.id: entry for entry in entries(self._database, f"id IN ({', '.join('?' * len(page))})", page)
            }
            yield from (found[record_id] for record_id in page)

    def ids(self, wanted: Filter | None = None) -> tuple[int, ...]:
        """Return the ids of records in the order of the filter."""
        return tuple(row[0] for row in self._database.execute(*(wanted or Filter()).sql()))

    def mark_shown(self, seen: Iterable[Entry]) -> None:
        """Note that the curator has seen these records as they are here; a change since then is news again."""
        for batch in _batches(seen):
            with self._database.transaction() as database:
                rows = [(entry.changed, entry.id) for entry in batch]
                database.execute_many("UPDATE records SET shown = ? WHERE id = ?", rows)

    def score_sums(self, model: str, labels: Iterable[str]) -> dict[int, float]:
        """Return for each record that `model` has read the sum of the probabilities of `labels`, by id.

        Probabilities under `filters.MIN_SCORE` count as 0; a record without any above it is not in the answer.
        """
        return score_sums(self._database, model, labels)

    def known(self, pmids: Iterable[str]) -> frozenset[str]:
        """Return those PMIDs that are in the library, whatever their state: they need not be fetched again."""
        sql = "SELECT pmid FROM records WHERE pmid IN ({})"
        pages = (self._database.execute(sql.format(", ".join("?" * len(page))), page) for page in _batches(pmids))
        return frozenset(row[0] for page in pages for row in page)

    def history(self, record: int | str) -> tuple[Revision, ...]:
        """Return a record as it came, and as it was after each event, in order.

        Raises
        ------
        LibraryError
            If there is no such record.
        """
        return history_of(self._database, self.get(record))

    def predictions(self, record: int | str) -> tuple[StoredPrediction, ...]:
        """Return what each model said of a record, the newest last.

        Raises
        ------
        LibraryError
            If there is no such record.
        """
        entry = self.get(record)
        return predictions_of(self._database, entry.id, entry.record)

    def decisions(self, record: int | str) -> tuple[Decision, ...]:
        """Return the decisions on a record, the newest last.

        Raises
        ------
        LibraryError
            If there is no such record.
        """
        return decisions_of(self._database, self.get(record).id)

    def standing_decisions(self) -> tuple[Decision, ...]:
        """Return the decision that holds for each record that has one, in the order in which these were made."""
        return tuple(standing_decisions(self._database))

    def suggestions(self, record: int | str | Record, *, limit: int = 5) -> tuple[Suggestion, ...]:
        """Return records that may be the same paper as one of the library, or as one that is not in it.

        Raises
        ------
        LibraryError
            If there is no such record.
        """
        if isinstance(record, Record):
            return suggest(self._database, record, leave_out=None, limit=limit)
        entry = self.get(record)
        return suggest(self._database, entry.record, leave_out=entry.id, limit=limit)


def _batches(items: Iterable[_T]) -> Iterator[list[_T]]:
    """Yield lists of up to `BATCH` items, taken before a transaction begins: their source may be slow."""
    source = iter(items)
    while batch := list(islice(source, BATCH)):
        yield batch
