"""The tables of a library, and how a file made by an older exoclass is brought up to date.

Version *n* is what the first *n* `MIGRATIONS` make, so a new file and an old one end up alike.
"""

from __future__ import annotations

from exoclass.errors import LibraryError
from exoclass.library.database import Database

APPLICATION_ID = 0x45584F4C
"""Marks the file as ours: ``EXOL``, where other programs that use SQLite put theirs."""

# `verdict` repeats the newest decision, and '' means none, so that one index finds what is left to decide.
# `content` is the record as JSON; the columns before it are what is searched.
# `history.before` is the record as it was until the event; what it became stands in the next row, or in `records`.
# `title_words` holds a few long words of each title: it finds candidates for titles that are merely alike.
_FIRST = (
    """
    CREATE TABLE records (
        id INTEGER PRIMARY KEY,
        pmid TEXT UNIQUE,
        doi TEXT,
        text_hash TEXT,
        state TEXT NOT NULL CHECK (state IN ('live', 'retracted', 'deleted')),
        verdict TEXT NOT NULL DEFAULT '' CHECK (verdict IN ('', 'accept', 'reject', 'correct')),
        added TEXT NOT NULL,
        changed TEXT NOT NULL,
        content TEXT NOT NULL
    )
    """,
    "CREATE INDEX records_doi ON records (doi) WHERE doi IS NOT NULL",
    "CREATE INDEX records_text_hash ON records (text_hash)",
    "CREATE INDEX records_state ON records (state, verdict, changed)",
    "CREATE INDEX records_changed ON records (changed)",
    """
    CREATE TABLE history (
        id INTEGER PRIMARY KEY,
        record_id INTEGER NOT NULL REFERENCES records (id),
        kind TEXT NOT NULL CHECK (kind IN ('revised', 'retracted', 'deleted')),
        at TEXT NOT NULL,
        before TEXT NOT NULL
    )
    """,
    "CREATE INDEX history_record ON history (record_id)",
    """
    CREATE TABLE title_words (
        word TEXT NOT NULL,
        record_id INTEGER NOT NULL REFERENCES records (id),
        PRIMARY KEY (word, record_id)
    ) WITHOUT ROWID
    """,
    "CREATE TABLE models (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    "CREATE TABLE labels (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    """
    CREATE TABLE predictions (
        id INTEGER PRIMARY KEY,
        record_id INTEGER NOT NULL REFERENCES records (id),
        model_id INTEGER NOT NULL REFERENCES models (id),
        made TEXT NOT NULL,
        text_hash TEXT,
        content TEXT NOT NULL,
        UNIQUE (record_id, model_id)
    )
    """,
    """
    CREATE TABLE scores (
        prediction_id INTEGER NOT NULL REFERENCES predictions (id) ON DELETE CASCADE,
        model_id INTEGER NOT NULL REFERENCES models (id),
        label_id INTEGER NOT NULL REFERENCES labels (id),
        probability REAL NOT NULL,
        record_id INTEGER NOT NULL REFERENCES records (id),
        PRIMARY KEY (prediction_id, label_id)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX scores_label ON scores (model_id, label_id, probability, record_id)",
    """
    CREATE TABLE decisions (
        id INTEGER PRIMARY KEY,
        record_id INTEGER NOT NULL REFERENCES records (id),
        verdict TEXT NOT NULL CHECK (verdict IN ('accept', 'reject', 'correct')),
        tags TEXT NOT NULL,
        note TEXT NOT NULL,
        at TEXT NOT NULL
    )
    """,
    "CREATE INDEX decisions_record ON decisions (record_id)",
    "CREATE TABLE queries (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, text TEXT NOT NULL, saved TEXT NOT NULL)",
    """
    CREATE TABLE windows (
        id INTEGER PRIMARY KEY,
        query_id INTEGER NOT NULL REFERENCES queries (id) ON DELETE CASCADE,
        begins TEXT NOT NULL,
        ends TEXT NOT NULL,
        opened TEXT NOT NULL,
        done TEXT,
        found INTEGER,
        translation TEXT NOT NULL DEFAULT '',
        UNIQUE (query_id, begins, ends)
    )
    """,
)

# `shown` is `changed` as it was when the curator last saw the record, and '' before: what has news is shown < changed.
_SHOWN = (
    "ALTER TABLE records ADD COLUMN shown TEXT NOT NULL DEFAULT ''",
    "CREATE INDEX records_news ON records (id) WHERE shown < changed",
)

# PMIDs that PubMed listed for a query and then did not send, each with the time when that was first so.
_OWED = (
    """
    CREATE TABLE owed (
        query_id INTEGER NOT NULL REFERENCES queries (id) ON DELETE CASCADE,
        pmid TEXT NOT NULL,
        since TEXT NOT NULL,
        PRIMARY KEY (query_id, pmid)
    ) WITHOUT ROWID
    """,
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST, _SHOWN, _OWED)
"""Statements that lead from each version to the next; one that has been released is never edited, only followed."""


def check_ours(database: Database) -> None:
    """Refuse a file of another application, or of a newer exoclass, before anything in it is changed.

    Raises
    ------
    LibraryError
        If the file is not a library that this exoclass can use.
    """
    # In one statement: between two of them, another process may make the library.
    [(application, version, tables)] = database.execute(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master) "
        "FROM pragma_application_id, pragma_user_version"
    )
    if application == 0 and version == 0 and tables == 0:
        return  # new, or its making was cut short before anything was in it
    if application != APPLICATION_ID:
        raise LibraryError(f"{database.path} is a database of another program", "Name another file for the library.")
    if version > len(MIGRATIONS):
        cause = f"{database.path} was written by a newer exoclass (library version {version}, not {len(MIGRATIONS)})"
        raise LibraryError(cause, "Upgrade exoclass.")


def upgrade(database: Database) -> None:
    """Bring the file to the current version, wholly or not at all.

    Raises
    ------
    LibraryError
        If the file cannot be used or written.
    """
    [(version,)] = database.execute("PRAGMA user_version")
    if version == len(MIGRATIONS):
        return
    with database.transaction():
        check_ours(database)  # another process may have been quicker
        [(version,)] = database.execute("PRAGMA user_version")
        for statement in (statement for step in MIGRATIONS[version:] for statement in step):
            database.execute(statement)
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
