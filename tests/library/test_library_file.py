"""The file of a library: what is refused, what is migrated, which indexes answer, two processes, kills."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from conftest import ABSTRACT, ROOT, clean_environment, make_record

from exoclass.errors import LibraryError
from exoclass.library import Filter, Library, schema
from exoclass.library.database import Database
from exoclass.records import Prediction, Record, Tag

WHEN = "2025-11-03T00:00:00Z"
PER_CALL = 20

# Adds batches of PER_CALL records, decides on one of each, and says so after every batch.
WRITER = f"""
import sys
from exoclass.library import Library
from exoclass.records import Record
path, name, batches = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with Library.open(path) as library:
    print("open", flush=True)
    for batch in range(batches):
        first = name * 1_000_000 + batch * {PER_CALL} + 1
        numbers = range(first, first + {PER_CALL})
        library.add((Record(f"Title {{n}}", f"Exosomes {{n}}. " * 40, pmid=str(n)) for n in numbers), when="{WHEN}")
        library.decide(str(first), "accept", when="{WHEN}", note=f"batch {{batch}}")
        print(batch, flush=True)
"""


def writer(path: Path, name: int, batches: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(name), str(batches)],
        env=clean_environment() | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip


def raw(path: Path, *statements: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return [row for statement in statements for row in connection.execute(statement)]


def one_line(error: pytest.ExceptionInfo[LibraryError]) -> str:
    assert error.value.remedy
    return str(error.value)


def test_a_new_file_is_ours_and_safe_for_two(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with Library.open(path):
        assert raw(path, "PRAGMA application_id", "PRAGMA user_version", "PRAGMA journal_mode") == [
            (schema.APPLICATION_ID,), (len(schema.MIGRATIONS),), ("wal",)]  # fmt: skip


def test_foreign_keys_hold(tmp_path: Path) -> None:
    with Library.open(tmp_path / "x.db") as library, pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        library._database.execute("INSERT INTO decisions VALUES (1, 99, 'accept', '{}', '', '')")


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("These are my notes on exosomes. " * 50, encoding="utf-8")
    before = path.read_bytes()
    with pytest.raises(LibraryError) as error:
        Library.open(path)
    assert one_line(error) == f"the library {path} is no SQLite database. Name another file for the library."
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE moz_places (id)", "PRAGMA application_id = 7", "PRAGMA user_version = 1"]
)
def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "places.sqlite"
    raw(path, statement)
    before = path.read_bytes()
    with pytest.raises(LibraryError) as error:
        Library.open(path)
    assert "is a database of another program. Name" in one_line(error)
    assert path.read_bytes() == before


def test_a_file_of_a_newer_exoclass_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    Library.open(path).close()
    raw(path, "PRAGMA user_version = 99")
    with pytest.raises(LibraryError) as error:
        Library.open(path)
    assert "written by a newer exoclass (library version 99, not 3). Upgrade exoclass." in one_line(error)


@pytest.mark.parametrize("word", ["application_id", "user_version", "sqlite_master", "journal_mode", "BEGIN"])
def test_a_library_that_another_makes_while_it_is_looked_at_is_no_stranger(tmp_path: Path, word: str) -> None:
    path = tmp_path / "x.db"
    database = Database(path, 1.0)
    made: list[Library] = []

    def make(statement: str) -> None:  # called before the statement is run
        if word in statement and not made:
            made.append(Library.open(path))

    with closing(database):
        database._connection.set_trace_callback(make)
        schema.check_ours(database)
        database.set_up()
        schema.upgrade(database)
    assert made
    made[0].close()


def test_an_empty_file_becomes_a_library(tmp_path: Path) -> None:
    (tmp_path / "x.db").touch()
    with Library.open(tmp_path / "x.db") as library:
        assert library.ids() == ()


def test_a_file_or_folder_that_is_missing_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="there is no library at"):
        Library.open(tmp_path / "x.db", create=False)
    assert not (tmp_path / "x.db").exists()
    with pytest.raises(LibraryError, match=r"cannot be opened\. Check that the folder exists"):
        Library.open(tmp_path / "nowhere" / "x.db")


def test_a_damaged_file_is_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with Library.open(path) as library:
        library.add([make_record(pmid=str(n)) for n in range(1, 200)], when=WHEN)
    content = path.read_bytes()
    path.write_bytes(content[:4096] + os.urandom(len(content) - 4096))
    with pytest.raises(LibraryError, match="is damaged"), Library.open(path) as library:
        list(library.records())


def test_a_lock_that_is_held_too_long_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with Library.open(path, timeout=0.05) as library, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LibraryError) as error:
            library.add([make_record()], when=WHEN)
        assert "is locked by another program. Wait" in one_line(error)
        assert library.ids() == ()  # reading goes on
        other.execute("ROLLBACK")
        assert library.add([make_record()], when=WHEN).counts == {"new": 1}


def test_a_full_disk_loses_the_batch_but_not_the_library(tmp_path: Path) -> None:
    records = [make_record(f"Title {n}", f"{ABSTRACT} {n}", pmid=str(n)) for n in range(1, 400)]
    with Library.open(tmp_path / "x.db") as library:
        library.add(records[:10], when=WHEN)
        [(pages,)] = library._database.execute("PRAGMA page_count")
        library._database.execute(f"PRAGMA max_page_count = {pages + 5}")  # SQLite takes it for a full disk
        with pytest.raises(LibraryError) as error:
            library.add(records, when=WHEN)
        assert "the disk is full. Free some space" in one_line(error)
        assert len(library.ids()) == 10
        library._database.execute("PRAGMA max_page_count = 1000000")
        assert library.add(records, when=WHEN).counts == {"known": 10, "new": 389}


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are another matter there")
def test_a_read_only_file_is_said_to_be() -> None:
    # Not in tmp_path: the superuser's is closed to whoever the test becomes.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.db"
        Library.open(path).close()
        path.chmod(0o444)
        Path(folder).chmod(0o555)
        user = os.geteuid()
        try:
            os.seteuid(65534 if user == 0 else user)
            with pytest.raises(LibraryError) as error, Library.open(path) as library:
                library.add([make_record()], when=WHEN)
        finally:
            os.seteuid(user)
            Path(folder).chmod(0o755)
        assert "is read-only. Change the permissions" in one_line(error) or "cannot be opened" in one_line(error)


def test_a_file_of_version_1_is_migrated(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    content = '{"title": "Old", "abstract": "a", "pmid": "5"}'
    values = f"'5', 'live', '{WHEN}', '{WHEN}', '{content}'"
    insert = f"INSERT INTO records (pmid, state, added, changed, content) VALUES ({values})"
    ours = f"PRAGMA application_id = {schema.APPLICATION_ID}"
    raw(path, *schema._FIRST, ours, "PRAGMA user_version = 1", insert)
    with Library.open(path) as library:
        assert library.get("5").record == Record("Old", "a", pmid="5")
        assert library.add([make_record()], when=WHEN).counts == {"new": 1}
    assert raw(path, "PRAGMA user_version", "SELECT shown FROM records") == [(3,), ("",), ("",)]
    new = tmp_path / "new.db"
    Library.open(new).close()
    shape = "SELECT name, type FROM sqlite_master ORDER BY name"
    assert raw(new, shape) == raw(path, shape)


def test_a_migration_that_fails_leaves_the_old_version_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.db"
    with Library.open(path) as library:
        library.add([make_record()], when=WHEN)
    with monkeypatch.context() as patch:
        patch.setattr(
            schema, "MIGRATIONS", (*schema.MIGRATIONS, ("CREATE TABLE extra (id)", "CREATE TABLE records (id)"))
        )
        with pytest.raises(LibraryError, match="records already exists"):
            Library.open(path)
    assert raw(path, "PRAGMA user_version", "SELECT count(*) FROM sqlite_master WHERE name = 'extra'") == [(3,), (0,)]
    with Library.open(path) as library:
        assert len(library.ids()) == 1


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    records = [Record(f"Title {n}", f"Exosomes {n}.", pmid=str(n), doi=f"10.1/{n}") for n in range(1, 20_001)]
    with Library.open(tmp_path_factory.mktemp("large") / "x.db") as library:
        assert library.add(records, when=WHEN).counts == {"new": 20_000}
        made = (
            Prediction(record, Tag("therapy", (n % 100) / 100, "yes"), {}, "m", "t") for n, record in enumerate(records)
        )
        assert library.save_predictions("m", made, when=WHEN).saved == 20_000
        for number in range(1, 20_001, 400):
            library.decide(number, "accept", when=WHEN)
        library.mark_deleted(["7"], when="2025-11-04")
        yield library


@pytest.mark.parametrize(
    ("wanted", "count", "index"),
    [
        (Filter(), 20_000, "records_changed"),
        (Filter(limit=50, newest_first=True), 50, "records_changed"),
        (Filter(state="live", decided=False, limit=50), 50, "records_state"),
        (Filter(state="deleted"), 1, "records_state"),
        (Filter(decided=True), 50, "records_state"),
        (Filter(decided=False), 19_950, "records_state"),
        (Filter(since="2025-11-04"), 1, "records_changed"),
        (Filter(label="therapy", model="m", at_least=0.99), 200, "scores_label"),
        (Filter(label="therapy", model="m", at_least=0.5, decided=True, state="live"), 0, "scores_label"),
    ],
)
def test_lists_are_answered_by_an_index(large: Library, wanted: Filter, count: int, index: str) -> None:
    assert len(large.ids(wanted)) == count
    assert sum(1 for _ in large.records(wanted)) == count
    sql, values = wanted.sql()
    plan = [row[3] for row in large._database.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    assert index in plan[0], plan
    assert not [step for step in plan if step.startswith("SCAN") and "INDEX" not in step], plan


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        ("SELECT id FROM records WHERE pmid = ?", "sqlite_autoindex_records_1"),
        ("SELECT id FROM records WHERE doi = ?", "records_doi"),
        ("SELECT id FROM records WHERE text_hash = ?", "records_text_hash"),
        ("SELECT record_id FROM title_words WHERE word = ?", "PRIMARY KEY"),
        ("SELECT 1 FROM history WHERE record_id = ?", "history_record"),
    ],
)
def test_records_are_known_again_by_an_index(large: Library, sql: str, index: str) -> None:
    [(_, _, _, step)] = large._database.execute(f"EXPLAIN QUERY PLAN {sql}", ("1",))
    assert index in step


def test_two_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.db"  # made by whoever is first
    both = [writer(path, name, 40) for name in (1, 2)]
    for process in both:
        process.communicate(timeout=300)
        assert process.returncode == 0
    with Library.open(path) as library:
        assert len(library.ids()) == 2 * 40 * PER_CALL
        assert len(library.ids(Filter(decided=True))) == 2 * 40
    assert raw(path, "PRAGMA integrity_check") == [("ok",)]


def test_two_processes_that_add_the_same_records_store_them_once(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    both = [writer(path, 1, 20) for _ in range(2)]
    assert [process.communicate(timeout=300) and process.returncode for process in both] == [0, 0]
    with Library.open(path) as library:
        assert len(library.ids()) == 20 * PER_CALL
        assert len(library.decisions("1000001")) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_kill_at_any_moment_leaves_whole_transactions(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    rng = random.Random(0)
    confirmed = 0
    for name in range(1, 21):
        with writer(path, name, 10_000) as process:
            assert process.stdout
            if name % 5:  # the others are killed while they open the file, the first one while it makes it
                process.stdout.readline()
            time.sleep(rng.uniform(0, 0.15))
            process.send_signal(signal.SIGKILL)
            said = process.stdout.read().split()
        confirmed += len([word for word in said if word.isdigit()])
        with Library.open(path) as library:
            records = [entry.record.pmid for entry in library.records()]
            decided = len(library.ids(Filter(decided=True)))
        assert raw(path, "PRAGMA integrity_check", "PRAGMA foreign_key_check") == [("ok",)]
        assert len(records) % PER_CALL == 0
        assert len(records) // PER_CALL >= decided >= confirmed
        assert len(set(records)) == len(records)
    assert confirmed


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_kill_while_the_file_is_made_leaves_one_that_can_be_made(tmp_path: Path) -> None:
    statements = sum(map(len, schema.MIGRATIONS))
    for number in range(0, statements + 6, 4):
        path = tmp_path / f"{number}.db"
        code = (
            "import os, signal\n"
            "from exoclass.library import Library, database\n"
            f"left, execute = [{number}], database.Database.execute\n"
            "def dying(self, sql, values=()):\n"
            "    left[0] -= 1\n"
            "    if left[0] < 0: os.kill(os.getpid(), signal.SIGKILL)\n"
            "    return execute(self, sql, values)\n"
            "database.Database.execute = dying\n"
            f"Library.open({str(path)!r})\n"
        )
        environment = clean_environment() | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, "-c", code], env=environment, check=False)
        assert done.returncode == -signal.SIGKILL
        with Library.open(path) as library:
            assert library.add([make_record()], when=WHEN).counts == {"new": 1}
