"""Saved queries, and the windows of time that were, or are to be, fetched for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from exoclass.errors import LibraryError
from exoclass.library.database import Database
from exoclass.library.times import as_date, as_utc


@dataclass(frozen=True, slots=True)
class Query:
    """A query to PubMed, saved under a name; `saved` is when."""

    name: str
    text: str
    saved: str


@dataclass(frozen=True, slots=True)
class Window:
    """A span of days, both included, in which a query is asked for what was added.

    Parameters
    ----------
    opened, done
        When it was asked for, and when it was last fetched as a whole; None as long as it never was.
    found
        Number of records that PubMed counted.
    translation
        What PubMed made of the query, which may change from one time to the next.
    """

    id: int
    query: str
    begins: str
    ends: str
    opened: str
    done: str | None = None
    found: int | None = None
    translation: str = ""

    @property
    def finished(self) -> bool:
        """Whether it was fetched as a whole since it was asked for."""
        return self.done is not None and self.done >= self.opened


class Queries:
    """The queries of a library."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, name: str, text: str, *, when: str) -> Query:
        """Save a query; another text under the same name is another query and begins without windows."""
        query = Query(name, text, as_utc(when))
        with self._database.transaction() as database:
            if known := database.execute("SELECT name, text, saved FROM queries WHERE name = ?", (name,)):
                if known[0][1] == text:
                    return Query(*known[0])
                database.execute("DELETE FROM queries WHERE name = ?", (name,))
            sql = "INSERT INTO queries (name, text, saved) VALUES (?, ?, ?)"
            database.execute(sql, (name, text, query.saved))
        return query

    def get(self, name: str) -> Query:
        """Return a query by its name.

        Raises
        ------
        LibraryError
            If there is no such query.
        """
        sql = "SELECT name, text, saved FROM queries WHERE id = ?"
        return Query(*self._database.execute(sql, (self._id(name),))[0])

    def list(self) -> tuple[Query, ...]:
        """Return all queries by name."""
        rows = self._database.execute("SELECT name, text, saved FROM queries ORDER BY name")
        return tuple(Query(*row) for row in rows)

    def remove(self, name: str) -> None:
        """Forget a query and its windows; the records that it brought stay.

        Raises
        ------
        LibraryError
            If there is no such query.
        """
        with self._database.transaction() as database:
            database.execute("DELETE FROM queries WHERE id = ?", (self._id(name),))

    def open_window(self, name: str, begins: str, ends: str, *, when: str) -> Window:
        """Note that a span of days is to be fetched; a window that is there already is returned as it is.

        Raises
        ------
        LibraryError
            If there is no such query.
        UsageError
            If the dates are none.
        """
        with self._database.transaction() as database:
            sql = "INSERT INTO windows (query_id, begins, ends, opened) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
            span = (as_date(begins), as_date(ends))
            database.execute(sql, (self._id(name), *span, as_utc(when)))
            return next(window for window in self.windows(name) if (window.begins, window.ends) == span)

    def windows(self, name: str) -> tuple[Window, ...]:
        """Return the windows of a query in order of time.

        Raises
        ------
        LibraryError
            If there is no such query.
        """
        sql = (
            "SELECT id, ?, begins, ends, opened, done, found, translation FROM windows WHERE query_id = ? "
            "ORDER BY begins, ends"
        )
        return tuple(Window(*row) for row in self._database.execute(sql, (name, self._id(name))))

    def reopen(self, window: Window, *, when: str) -> Window:
        """Note that a window is to be fetched once more; that it was done before stays noted, too."""
        with self._database.transaction() as database:
            database.execute("UPDATE windows SET opened = ? WHERE id = ?", (as_utc(when), window.id))
        return replace(window, opened=as_utc(when))

    def owe(self, name: str, pmids: Iterable[str], *, when: str) -> None:
        """Note PMIDs that PubMed listed and did not send, so that they are asked for again.

        Raises
        ------
        LibraryError
            If there is no such query.
        """
        with self._database.transaction() as database:
            rows = [(self._id(name), pmid, as_utc(when)) for pmid in pmids]
            database.execute_many(
                "INSERT INTO owed (query_id, pmid, since) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", rows
            )

    def owed(self, name: str) -> dict[str, str]:
        """Return the PMIDs that PubMed still owes, each with the time since when.

        Raises
        ------
        LibraryError
            If there is no such query.
        """
        sql = "SELECT pmid, since FROM owed WHERE query_id = ? ORDER BY pmid"
        return dict(self._database.execute(sql, (self._id(name),)))

    def settle(self, name: str, pmids: Iterable[str]) -> None:
        """Note that PMIDs are not owed any more.

        Raises
        ------
        LibraryError
            If there is no such query.
        """
        with self._database.transaction() as database:
            rows = [(self._id(name), pmid) for pmid in pmids]
            database.execute_many("DELETE FROM owed WHERE query_id = ? AND pmid = ?", rows)

    def mark_done(self, window_id: int, *, when: str, found: int, translation: str = "") -> None:
        """Note that a window was fetched as a whole.

        Raises
        ------
        LibraryError
            If there is no such window.
        """
        with self._database.transaction() as database:
            if not database.execute("SELECT 1 FROM windows WHERE id = ?", (window_id,)):
                raise LibraryError(f"the library has no window {window_id}", "Its query may have been removed.")
            sql = "UPDATE windows SET done = ?, found = ?, translation = ? WHERE id = ?"
            database.execute(sql, (as_utc(when), found, translation, window_id))

    def _id(self, name: str) -> int:
        rows = self._database.execute("SELECT id FROM queries WHERE name = ?", (name,))
        if not rows:
            names = ", ".join(query.name for query in self.list()) or "none"
            raise LibraryError(f"the library has no query named {name!r}", f"Saved are: {names}.")
        return int(rows[0][0])
