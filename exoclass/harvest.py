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

from exoclass.library import Filter, Library
from exoclass.pubmed import BATCH, NO_RECORD, SOURCE, Eutils, EutilsSettings, Limiter, efetch_all
from exoclass.pubmed.search import CEILING, existing, search
from exoclass.records import Record, Reject

OVERLAP = 3
"""Days asked for once more: PubMed's clock is not ours, and it adds records to days that are over."""

FIRST = 30
"""Days that "since last time" reaches back the first time."""

WINDOW = 31
"""Days per window at most."""

WATCHED = 90
"""Days for which a record that came or changed is asked for again, to see whether PubMed has withdrawn it."""


@dataclass(frozen=True, slots=True)
class Harvested:
    """What a harvest brought.

    Parameters
    ----------
    found
        How many records PubMed counts as added in the span.
    new, revised, retracted
        Ids in the library.
    deleted
        PMIDs that PubMed no longer has.
    rejects
        Records that could not be had or read, with the reason.
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
    found: int = 0
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
    ends = [date.fromisoformat(window.ends) for window in library.queries.windows(name) if window.done]
    # A clock that was wrong must not make it ask for nothing.
    return min(max(ends), today) - timedelta(days=overlap) if ends else today - timedelta(days=first)


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

    A window that an earlier run left open is finished first. What was changed is asked for only of records that the
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
    """
    query = next((saved.text for saved in library.queries.list() if saved.name == name), "")
    tally = _Tally()
    left_open = [
        (date.fromisoformat(w.begins), date.fromisoformat(w.ends)) for w in library.queries.windows(name) if not w.done
    ]
    # One day more than today: PubMed's day may have begun already.
    spans = dict.fromkeys([*left_open, *_windows(begins, ends + timedelta(days=1))])
    with Eutils(settings, limiter=limiter, notice=notice) as eutils:
        for first, last in spans:
            _fill(library, eutils, (name, query), (first, last), now, tally, progress, ceiling)
        deleted = _withdrawn(library, eutils, now, min(BATCH, ceiling))
    new, revised, retracted = (tuple(dict.fromkeys(tally.ids[kind])) for kind in ("new", "revised", "retracted"))
    return Harvested(tally.found, new, revised, retracted, deleted, tuple(tally.rejects), tuple(tally.unknown))


def _windows(begins: date, ends: date) -> Iterator[tuple[date, date]]:
    while begins <= ends:
        last = min(ends, begins + timedelta(days=WINDOW - 1))
        yield begins, last
        begins = last + timedelta(days=1)


def _fill(
    library: Library,
    eutils: Eutils,
    query: tuple[str, str],
    span: tuple[date, date],
    now: Callable[[], datetime],
    tally: _Tally,
    progress: Callable[[int, int], None],
    ceiling: int,
) -> None:
    name, text = query
    window = library.queries.open_window(name, *(day.isoformat() for day in span), when=_when(now))
    added = list(search(eutils, text, *span, ceiling=ceiling))
    changed = search(eutils, text, *span, by="mdat", ceiling=ceiling)
    created = list(dict.fromkeys(pmid for part in added for pmid in part.pmids))
    tally.unknown |= dict.fromkeys(name for part in added for name in part.unknown)
    held = library.known(created)
    fresh = [pmid for pmid in created if pmid not in held]
    modified = list(dict.fromkeys(pmid for part in changed for pmid in part.pmids))
    # What came since the window was opened, be it in a run that was killed, is as PubMed has it.
    recent = {entry.record.pmid for entry in library.records(Filter(since=window.opened))}
    known = library.known(modified) - recent
    again = [pmid for pmid in modified if pmid in known]
    _fetch(library, eutils, [*fresh, *again], now, tally, progress)
    tally.found += len(created)
    translation = next((part.translation for part in added), "")
    library.queries.mark_done(window.id, when=_when(now), found=len(created), translation=translation)


def _fetch(
    library: Library,
    eutils: Eutils,
    pmids: Sequence[str],
    now: Callable[[], datetime],
    tally: _Tally,
    progress: Callable[[int, int], None],
) -> None:
    for start in range(0, len(pmids), BATCH):
        batch = pmids[start : start + BATCH]
        items = list(efetch_all(batch, eutils))
        additions = library.add((item for item in items if isinstance(item, Record)), when=_when(now))
        for kind, ids in tally.ids.items():
            ids += [item.record_id for item in additions.items if item.outcome == kind]
        # What the library has and PubMed has not is a withdrawal, which is looked into at the end.
        held = library.known(batch)
        tally.rejects += [
            item
            for item in items
            if isinstance(item, Reject) and not (_is_absent(item) and item.position.removeprefix("PMID ") in held)
        ]
        progress(start + len(batch), len(pmids))


def _withdrawn(library: Library, eutils: Eutils, now: Callable[[], datetime], size: int) -> tuple[str, ...]:
    """Mark what came from PubMed lately and is no longer there, and return the PMIDs."""
    since = (now() - timedelta(days=WATCHED)).isoformat(timespec="seconds")
    watched = [
        entry.record.pmid
        for entry in library.records(Filter(state="live", since=since))
        if entry.record.pmid and entry.record.source.startswith(f"{SOURCE}:")
    ]
    gone: list[str] = []
    for start in range(0, len(watched), size):
        batch = tuple(watched[start : start + size])
        there = existing(eutils, batch)
        missing = [pmid for pmid in batch if pmid not in there]
        # A search index can lag behind: only what cannot be fetched either is gone.
        answers = efetch_all(missing, eutils) if missing else ()
        gone += [item.position.removeprefix("PMID ") for item in answers if _is_absent(item)]
    return library.mark_deleted(gone, when=_when(now)).deleted


def _is_absent(item: object) -> TypeGuard[Reject]:
    return isinstance(item, Reject) and item.reason == NO_RECORD


def _when(now: Callable[[], datetime]) -> str:
    return now().isoformat(timespec="seconds")
