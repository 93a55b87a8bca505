"""Saved queries and their windows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from exoclass.errors import LibraryError, UsageError
from exoclass.library import Library, Query

MONDAY, FRIDAY = "2025-11-03T00:00:00Z", "2025-11-07T00:00:00Z"


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "x.db") as opened:
        yield opened


def test_queries_are_saved_listed_and_removed(library: Library) -> None:
    library.queries.save("wounds", "exosomes AND wound", when=MONDAY)
    library.queries.save("heart", "exosomes AND heart", when=MONDAY)
    assert library.queries.list() == (
        Query("heart", "exosomes AND heart", MONDAY), Query("wounds", "exosomes AND wound", MONDAY)
    )  # fmt: skip
    library.queries.open_window("heart", "2025-10-01", "2025-10-31", when=MONDAY)
    library.queries.remove("heart")
    assert [query.name for query in library.queries.list()] == ["wounds"]


def test_a_query_saved_again_keeps_its_windows_unless_it_is_another(library: Library) -> None:
    library.queries.save("q", "exosomes", when=MONDAY)
    library.queries.open_window("q", "2025-10-01", "2025-10-31", when=MONDAY)
    assert library.queries.save("q", "exosomes", when=FRIDAY).saved == MONDAY
    assert len(library.queries.windows("q")) == 1
    assert library.queries.save("q", "vesicles", when=FRIDAY).saved == FRIDAY
    assert library.queries.windows("q") == ()


def test_windows_are_opened_once_and_marked_done(library: Library) -> None:
    library.queries.save("q", "exosomes", when=MONDAY)
    later = library.queries.open_window("q", "2025/11/01", "2025/11/02", when=MONDAY)
    first = library.queries.open_window("q", "2025-10-01", "2025-10-31", when=MONDAY)
    assert library.queries.open_window("q", "2025-10-01", "2025-10-31", when=FRIDAY) == first
    assert library.queries.windows("q") == (first, later)
    assert (first.done, first.found, later.begins) == (None, None, "2025-11-01")
    library.queries.mark_done(first.id, when=FRIDAY, found=41, translation='"exosomes"[MeSH]')
    done, undone = library.queries.windows("q")
    assert (done.done, done.found, done.translation, undone.done) == (FRIDAY, 41, '"exosomes"[MeSH]', None)


def test_what_is_not_there_is_named(library: Library) -> None:
    library.queries.save("q", "exosomes", when=MONDAY)
    for ask in (library.queries.remove, library.queries.windows):
        with pytest.raises(LibraryError, match=r"no query named 'x'\. Saved are: q"):
            ask("x")
    with pytest.raises(LibraryError, match="no window 5"):
        library.queries.mark_done(5, when=FRIDAY, found=0)
    with pytest.raises(UsageError, match="no date"):
        library.queries.open_window("q", "October", "November", when=MONDAY)


def test_a_window_is_finished_only_if_it_was_done_since_it_was_asked_for(library: Library) -> None:
    library.queries.save("q", "exosomes", when=MONDAY)
    window = library.queries.open_window("q", "2025-10-01", "2025-10-31", when=MONDAY)
    assert not window.finished
    library.queries.mark_done(window.id, when=MONDAY, found=1)
    assert library.queries.windows("q")[0].finished
    again = library.queries.reopen(window, when=FRIDAY)
    [stored] = library.queries.windows("q")
    assert (again.opened, stored.opened, stored.done, stored.finished) == (FRIDAY, FRIDAY, MONDAY, False)


def test_what_is_owed_is_kept_until_it_is_settled_or_its_query_is_another(library: Library) -> None:
    library.queries.save("q", "exosomes", when=MONDAY)
    library.queries.owe("q", ["2", "1"], when=MONDAY)
    library.queries.owe("q", ["2", "3"], when=FRIDAY)
    assert library.queries.owed("q") == {"1": MONDAY, "2": MONDAY, "3": FRIDAY}
    library.queries.settle("q", ["1", "3", "99"])
    assert library.queries.owed("q") == {"2": MONDAY}
    library.queries.save("q", "vesicles", when=FRIDAY)
    assert library.queries.owed("q") == {}


def test_a_query_is_had_by_its_name(library: Library) -> None:
    library.queries.save("q", "exosomes", when=MONDAY)
    assert library.queries.get("q") == Query("q", "exosomes", MONDAY)
    with pytest.raises(LibraryError, match="no query named 'x'"):
        library.queries.get("x")
