"""From PubMed into the library: what a saved query has that is new, revised, retracted or withdrawn.

Work is cut into windows of days. A window is noted when it is opened and when it is done, and records are added batch
by batch, so that a run which is killed loses one batch at most: the next one asks for the window again and skips what
the library has. (PubMed's own memory of a search, its WebEnv, expires within hours and is not relied on.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TypeGuard

from exoclass.errors import UsageError
from exoclass.library import Filter, Library, Window
from exoclass.pubmed import BATCH, NO_RECORD, NOT_SENT, SOURCE, Eutils, EutilsSettings, Limiter, efetch_all
from exoclass.pubmed.search import CEILING, check_query, existing, search
from exoclass.records import Record, Reject

OVERLAP = 3
"""Days asked for once more: PubMed's clock is not ours, and it adds records to days that are over."""

FIRST = 30
"""Days that "since last time" reaches back the first time."""

WINDOW = 31
"""Days per window at most."""

WATCHED = 90
"""Days for which a record that came or changed is looked for again, lest PubMed has withdrawn it, and for which one is
asked for again that PubMed listed and says it does not have."""


@dataclass(frozen=True, slots=True)
class Harvested:
    """What a harvest brought.

    Parameters
    ----------
    found
        How many records PubMed lists as added in the span, and in older windows that were finished first.
    new, revised, retracted
        Ids in the library.
    deleted
        PMIDs that PubMed no longer has.
    rejects
        Records that could not be had or read, with the reason. Those that could not be had are asked for again.
    unknown
        What PubMed does not know in the query, and left out.
    """

    found: int
    new: tuple[int, ...]
    revised: tuple[int, ...]
    retracted: tuple[int, ...]
    deleted: tuple[str, ...]
    rejects: tuple[Reject, ...]
    unknown: tuple[str, ...] = ()


@dataclass
class _Tally:
    found: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    ids: dict[str, list[int]] = field(default_factory=lambda: {"new": [], "revised": [], "retracted": []})
    rejects: list[Reject] = field(default_factory=list)
    unknown: dict[str, None] = field(default_factory=dict)


def since_last(library: Library, name: str, *, today: date, overlap: int = OVERLAP, first: int = FIRST) -> date:
    """Return the day from which "since last time" asks.

    Raises
    ------
    LibraryError
        If there is no such query.
    """
    # A window that ends in the future was asked for only up to the day on which it was done.
    ends = [min(w.ends, w.done[:10]) for w in library.queries.windows(name) if w.done]
    # A clock that was wrong must not make it ask for nothing.
    last = min(date.fromisoformat(max(ends)), today) if ends else None
    return last - timedelta(days=overlap) if last else today - timedelta(days=first)


def harvest(
    library: Library,
    name: str,
    begins: date,
    ends: date,
    *,
    settings: EutilsSettings,
    now: Callable[[], datetime],
    limiter: Limiter | None = None,
    notice: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    ceiling: int = CEILING,
) -> Harvested:
    """Bring into the library what PubMed added, changed or withdrew between two days, both included.

    Windows that an earlier run left open are finished first. What was changed is asked for only of records that the
    library has: a revision of an old record is no news to somebody who never saw it.

    Parameters
    ----------
    name
        Of a saved query.
    progress
        Called with how many records have been fetched, and of how many.

    Raises
    ------
    PubMedError
        If PubMed cannot be asked; what came before is in the library, and the next run goes on from there.
    LibraryError
        If there is no such query, or the library cannot be written.
    UsageError
        If the days are in the wrong order, or the query cannot be one.
    """
    query = library.queries.get(name).text
    check_query(query)
    if begins > ends:
        raise UsageError(f"{begins} is after {ends}", "Give the earlier day first.")
    tally = _Tally()
    with Eutils(settings, limiter=limiter, notice=notice) as eutils:
        for window in _opened(library, name, begins, ends, now):
            _fill(library, eutils, query, window, now, tally, progress, ceiling)
        _collect_owed(library, eutils, name, now, tally, progress)
        deleted = _withdrawn(library, eutils, now, min(BATCH, ceiling), notice or (lambda _: None))
    new, revised, retracted = (tuple(dict.fromkeys(tally.ids[kind])) for kind in ("new", "revised", "retracted"))
    rejects = tuple(dict.fromkeys(tally.rejects))
    return Harvested(len(tally.found), new, revised, retracted, deleted, rejects, tuple(tally.unknown))


def _opened(library: Library, name: str, begins: date, ends: date, now: Callable[[], datetime]) -> list[Window]:
    """Return the windows that were left open and those of the span, all noted before anything is asked.

    So a long span that is cut short is finished by the next run, whichever days that one is about.
    """
    left_open = [window for window in library.queries.windows(name) if not window.finished]
    windows = {window.id: window for window in left_open}
    # One day more than today: PubMed's day may have begun already.
    for first, last in _windows(begins, ends + timedelta(days=1)):
        window = library.queries.open_window(name, first.isoformat(), last.isoformat(), when=_when(now))
        if window.finished:
            window = library.queries.reopen(window, when=_when(now))
        windows[window.id] = window
    return list(windows.values())


def _windows(begins: date, ends: date) -> Iterator[tuple[date, date]]:
    while begins <= ends:
        last = min(ends, begins + timedelta(days=WINDOW - 1))
        yield begins, last
        begins = last + timedelta(days=1)


def _fill(
    library: Library,
    eutils: Eutils,
    query: str,
    window: Window,
    now: Callable[[], datetime],
    tally: _Tally,
    progress: Callable[[int, int], None],
    ceiling: int,
) -> None:
    span = (date.fromisoformat(window.begins), date.fromisoformat(window.ends))
    added = list(search(eutils, query, *span, ceiling=ceiling))
    changed = search(eutils, query, *span, by="mdat", ceiling=ceiling)
    created = list(dict.fromkeys(pmid for part in added for pmid in part.pmids))
    tally.unknown |= dict.fromkeys(name for part in added for name in part.unknown)
    held = library.known(created)
    fresh = [pmid for pmid in created if pmid not in held]
    modified = list(dict.fromkeys(pmid for part in changed for pmid in part.pmids))
    # What came from PubMed since the window was opened, be it in a run that was killed, is as PubMed has it.
    recent = {entry.record.pmid for entry in library.records(Filter(since=window.opened)) if _is_fetched(entry.record)}
    known = library.known(modified) - recent
    again = [pmid for pmid in modified if pmid in known]
    owed = _fetch(library, eutils, [*fresh, *again], now, tally, progress)
    library.queries.owe(window.query, owed, when=_when(now))
    tally.found.update(created)
    translation = next((part.translation for part in added), "")
    library.queries.mark_done(window.id, when=_when(now), found=len(created), translation=translation)


def _fetch(
    library: Library,
    eutils: Eutils,
    pmids: Sequence[str],
    now: Callable[[], datetime],
    tally: _Tally,
    progress: Callable[[int, int], None],
) -> list[str]:
    """Fetch PMIDs batch by batch into the library, and return those that PubMed lists and does not send."""
    owed: list[str] = []
    tally.asked.update(pmids)
    for start in range(0, len(pmids), BATCH):
        batch = pmids[start : start + BATCH]
        items = list(efetch_all(batch, eutils))
        additions = library.add((item for item in items if isinstance(item, Record)), when=_when(now))
        for kind, ids in tally.ids.items():
            ids += [item.record_id for item in additions.items if item.outcome == kind]
        # What the library has and PubMed has not is a withdrawal, which is looked into at the end.
        held = library.known(batch)
        rejects = [
            item for item in items if isinstance(item, Reject) and not (_is_absent(item) and _pmid(item) in held)
        ]
        tally.rejects += rejects
        owed += [_pmid(item) for item in rejects if _is_absent(item) or item.reason.startswith(NOT_SENT)]
        progress(start + len(batch), len(pmids))
    return owed


def _collect_owed(
    library: Library,
    eutils: Eutils,
    name: str,
    now: Callable[[], datetime],
    tally: _Tally,
    progress: Callable[[int, int], None],
) -> None:
    """Ask again for what PubMed listed in an earlier run and did not send."""
    since = library.queries.owed(name)
    there = tally.asked | library.known(since)
    _fetch(library, eutils, [pmid for pmid in since if pmid not in there], now, tally, progress)
    long_ago = (now() - timedelta(days=WATCHED)).isoformat()
    still = {_pmid(item): item for item in tally.rejects}
    settled = [
        pmid
        for pmid, moment in since.items()
        if not (item := still.get(pmid))
        or not (item.reason.startswith(NOT_SENT) or (_is_absent(item) and moment > long_ago))
    ]
    library.queries.settle(name, settled)


def _withdrawn(
    library: Library, eutils: Eutils, now: Callable[[], datetime], size: int, notice: Callable[[str], None]
) -> tuple[str, ...]:
    """Mark what came from PubMed lately and is no longer there, and return the PMIDs."""
    since = (now() - timedelta(days=WATCHED)).isoformat(timespec="seconds")
    watched = [
        entry.record.pmid
        for entry in library.records(Filter(since=since))
        if entry.record.pmid and entry.state != "deleted" and _is_fetched(entry.record)
    ]
    there: set[str] = set()
    for start in range(0, len(watched), size):
        there |= existing(eutils, tuple(watched[start : start + size]))
    missing = [pmid for pmid in watched if pmid not in there]
    gone: list[str] = []
    # A search index can lag behind: only what cannot be fetched either is gone, and only if another record can be. A
    # withdrawal is final, and a server that has lost everything answers like one from which all was withdrawn.
    witness = [pmid for pmid in watched if pmid in there][:1]
    for start in range(0, len(missing), BATCH - 1):
        items = list(efetch_all([*witness, *missing[start : start + BATCH - 1]], eutils))
        absent = [_pmid(item) for item in items if _is_absent(item)]
        if len(watched) > 1 and not any(isinstance(item, Record) for item in items):
            notice(f"PubMed has none of {len(items):,} records that it had: not taken for a withdrawal")
            return ()
        gone += absent
    return library.mark_deleted(gone, when=_when(now)).deleted


def _is_fetched(record: Record) -> bool:
    """Tell whether a record came from PubMed itself and not from a file."""
    return record.source.startswith(f"{SOURCE}:")


def _pmid(reject: Reject) -> str:
    return reject.position.removeprefix("PMID ")


def _is_absent(item: object) -> TypeGuard[Reject]:
    return isinstance(item, Reject) and item.reason == NO_RECORD


def _when(now: Callable[[], datetime]) -> str:
    return now().isoformat(timespec="seconds")
