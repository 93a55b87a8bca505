"""One SQLite connection whose failures come out as one line with a remedy."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from exoclass.errors import LibraryError

_PAUSE = 0.02
"""Seconds between attempts to switch to write-ahead logging, for which SQLite does not wait by itself."""

_CACHE = 64_000
"""Kibibytes of the file held in memory: enough for the indexes of 100,000 records, which are written all over."""

_FAILURES = {
    sqlite3.SQLITE_NOTADB: ("is no SQLite database", "Name another file for the library."),
    sqlite3.SQLITE_CORRUPT: ("is damaged", "Restore a copy, or move it away and start a new library."),
    sqlite3.SQLITE_BUSY: ("is locked by another program", "Wait until that one has finished, and try again."),
    sqlite3.SQLITE_LOCKED: ("is locked by another program", "Wait until that one has finished, and try again."),
    sqlite3.SQLITE_FULL: ("cannot grow: the disk is full", "Free some space; what was saved before is safe."),
    sqlite3.SQLITE_READONLY: ("is read-only", "Change the permissions of the file and its folder, or copy it."),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", "Check that the folder exists and that you may write to it."),
    sqlite3.SQLITE_PERM: ("cannot be opened", "Check that the folder exists and that you may write to it."),
    sqlite3.SQLITE_IOERR: ("cannot be read or written", "Check the disk; what was saved before is safe."),
}


class Database:
    """A connection in write-ahead mode; one thread uses it at a time.

    Parameters
    ----------
    path
        The file, which is made if it is missing.
    timeout
        Seconds to wait for another process that is writing.

    Raises
    ------
    LibraryError
        By every method, if SQLite cannot do what is asked.
    """

    def __init__(self, path: Path, timeout: float) -> None:
        self.path = path
        self.timeout = timeout
        with self._explained():
            # Transactions are ours: by itself the module would begin them late, and with a lock that cannot grow.
            self._connection = sqlite3.connect(path, timeout=timeout, isolation_level=None)

    def execute(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows."""
        with self._explained():
            return self._connection.execute(sql, values).fetchall()

    def execute_many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run one statement for each row of values."""
        with self._explained():
            self._connection.executemany(sql, rows)

    def insert(self, sql: str, values: Sequence[object]) -> int:
        """Run an INSERT and return the id of its row."""
        with self._explained():
            return self._connection.execute(sql, values).lastrowid or 0

    def set_up(self) -> None:
        """Turn on foreign keys and write-ahead logging, which lets others read while one writes."""
        self.execute("PRAGMA foreign_keys = ON")
        self.execute("PRAGMA synchronous = FULL")  # a decision that was confirmed survives a power cut
        self.execute(f"PRAGMA cache_size = -{_CACHE}")
        deadline = time.monotonic() + self.timeout
        while True:
            try:
                [(mode,)] = self.execute("PRAGMA journal_mode = WAL")
                break
            except LibraryError as error:
                if not _is_busy(error.__cause__) or time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE)
        if mode != "wal":
            cause = f"{self.path} lies where two programs cannot use it safely at once"
            raise LibraryError(cause, "Put the library on a local disk.")

    @contextmanager
    def transaction(self) -> Iterator[Self]:
        """Write all that the block writes, or nothing of it.

        The lock is taken at the beginning: what is read in the block is still true when it writes.
        """
        self.execute("BEGIN IMMEDIATE")
        try:
            yield self
            self.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # SQLite has rolled back by itself after some failures
                self._connection.rollback()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.ProgrammingError, sqlite3.IntegrityError):
            raise  # a fault of ours, not of the file
        except sqlite3.DatabaseError as error:
            # Extended codes carry detail in their upper bytes.
            what, remedy = _FAILURES.get(_code(error), (f"cannot be used: {error}", "Name another file."))
            raise LibraryError(f"the library {self.path} {what}", remedy) from error


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def _is_busy(error: BaseException | None) -> bool:
    return isinstance(error, sqlite3.Error) and _code(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
