"""Triage: what a library has that the curator has not seen, tagged, ranked, and each paper once.

A record is news until it was shown. It counts as shown only once the output was written, so that a run which is
killed on the way shows the same again; what a revision, a retraction or a deletion changes afterwards is news again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from exoclass.classifier import Classifier
from exoclass.library import Additions, Entry, Filter, Library, Outcome, Suggestion
from exoclass.records import Deletion, Prediction, Record, Reject
from exoclass.remaining import Remaining
from exoclass.taxonomy import Taxonomy
from exoclass.wanting import Want, meets

Sort = Literal["relevance", "uncertainty", "newest"]
News = Literal["new", "revised", "retracted", "deleted", "seen"]

HAPPENED: dict[News, str] = {
    "revised": "was revised",
    "retracted": "was retracted",
    "deleted": "was withdrawn by PubMed",
}
"""What is told of a paper that changed since it was shown."""

_LOOKED_UP = 1000
"""Records for which papers alike are looked for: nobody reads more at a time."""


@dataclass(frozen=True, slots=True)
class Item:
    """One record of the queue.

    Parameters
    ----------
    relevance
        Calibrated probability, in [0, 1], that the paper is about vesicles as therapy: the sum over the scopes to
        which mechanisms apply.
    news
        Why it is here: ``seen`` if nothing about it is new.
    alike
        Records of the library that may be the same paper; they are never merged by themselves.
    """

    entry: Entry
    prediction: Prediction
    relevance: float
    news: News
    alike: tuple[Suggestion, ...] = ()

    @property
    def unsure(self) -> bool:
        """Whether the model is not sure what kind of paper it is."""
        return self.prediction.scope.decision == "review"


@dataclass(frozen=True, slots=True)
class Queue:
    """What to show.

    Parameters
    ----------
    items
        In the order asked for.
    changed
        Records that were shown before, or decided, and have since been revised, retracted or deleted.
    waiting
        How many more there are than were asked for with ``top``.
    unwanted
        How many lack the labels that were asked for; they wait too.
    """

    items: tuple[Item, ...] = ()
    changed: tuple[Item, ...] = ()
    waiting: int = 0
    unwanted: int = 0

    def groups(self, taxonomy: Taxonomy) -> Groups:
        """Return the items by what the model takes them for."""
        scopes = relevant_scopes(taxonomy)
        sure = [item for item in self.items if not item.unsure]
        return Groups(
            therapy=[item for item in sure if item.prediction.scope.id in scopes],
            unsure=[item for item in self.items if item.unsure],
            other=[item for item in sure if item.prediction.scope.id not in scopes],
        )


@dataclass(frozen=True, slots=True)
class Groups:
    """Papers on therapy, those of which the model is not sure, and the others, each in the order of the queue."""

    therapy: list[Item]
    unsure: list[Item]
    other: list[Item]


@dataclass(frozen=True, slots=True)
class Digest:
    """All that a curator is told on a Monday.

    Parameters
    ----------
    made
        When (UTC), as ISO text.
    model
        Name and content hash of the model.
    asked
        The queries or files that were read.
    remaining
        How much was found so far; None as long as nothing was decided.
    """

    queue: Queue
    made: str
    model: str
    asked: tuple[str, ...] = ()
    remaining: Remaining | None = None


@dataclass(frozen=True, slots=True)
class Intake:
    """What came in from files: additions to the library, rejects, and PMIDs that PubMed has withdrawn."""

    additions: Additions
    rejected: int
    deleted: tuple[str, ...]

    def count(self, *outcomes: Outcome) -> int:
        """Return how many records became one of these in the library."""
        return sum(self.additions.counts[outcome] for outcome in outcomes)


def take_in(
    library: Library, items: Iterable[Record | Reject | Deletion], *, when: str, reject: Callable[[Reject], None]
) -> Intake:
    """Add what readers yield to the library and account for every item."""
    withdrawn: list[str] = []
    rejected = 0

    def records() -> Iterator[Record]:
        nonlocal rejected
        for item in items:
            match item:
                case Record():
                    yield item
                case Reject():
                    rejected += 1
                    reject(item)
                case Deletion():
                    withdrawn.append(item.pmid)

    additions = library.add(records(), when=when)
    return Intake(additions, rejected, library.mark_deleted(withdrawn, when=when).deleted)


def tag_missing(
    library: Library, clf: Classifier, *, when: str, progress: Callable[[int, int], None] = lambda _done, _all: None
) -> int:
    """Predict what `clf` has not read yet, or not since its text changed, and return how many records that were."""
    waiting = library.ids(Filter(unpredicted_by=clf.id))
    predictions = clf.predict(library.get(record_id).record for record_id in waiting)

    def counted() -> Iterator[Prediction]:
        for done, prediction in enumerate(predictions, start=1):
            yield prediction
            progress(done, len(waiting))

    return library.save_predictions(clf.id, counted(), when=when).saved


def queue(
    library: Library,
    clf: Classifier,
    *,
    wants: Sequence[Want] = (),
    sort: Sort = "relevance",
    top: int | None = None,
    everything: bool = False,
) -> Queue:
    """Return what to show, ranked.

    Parameters
    ----------
    wants
        Records must have one of the labels asked for on each axis that is asked for.
    sort
        ``relevance``, falling; ``uncertainty``, the probability nearest one half first; ``newest``, as they came in.
    top
        At most so many.
    everything
        Whatever is not decided yet, and not only what is new.
    """
    relevance = library.score_sums(clf.id, relevant_scopes(clf.taxonomy))
    news = list(library.records(Filter(news=True)))
    changed = [entry for entry in news if _news(entry) not in {"new", "seen"}]
    apart = {entry.id for entry in changed}
    # Ids and numbers are enough to rank by: of a large library only what is shown is read.
    found = library.ids(Filter(decided=False, news=not everything, newest_first=True))
    fresh = [record_id for record_id in found if record_id not in apart]
    if sort != "newest":
        fresh.sort(key=lambda record_id: (_rank(relevance.get(record_id, 0.0), sort), record_id))
    likely = _likely(library, clf, wants, fresh)
    items: list[Item] = []
    unwanted = waiting = 0
    for record_id in fresh:
        if record_id not in likely:
            unwanted += 1
        elif top is not None and len(items) == top:
            waiting += 1
        else:
            item = _item(library, clf, library.get(record_id), relevance)
            if not meets(item.prediction, wants):
                unwanted += 1
            elif item.entry.state != "deleted":
                alike = library.suggestions(record_id, limit=2) if len(items) < _LOOKED_UP else ()
                items.append(replace(item, alike=alike))
    told = tuple(_item(library, clf, entry, relevance) for entry in changed if entry.shown or entry.verdict)
    return Queue(tuple(items), told, waiting, unwanted)


def _likely(library: Library, clf: Classifier, wants: Sequence[Want], among: Sequence[int]) -> set[int]:
    """Return the records that have the labels asked for, by their probabilities alone; of a scope, those that may."""
    found = set(among)
    for axis in {want.axis for want in wants}:
        having: set[int] = set()
        for want in wants:
            if want.axis == axis:
                least = 0.0 if clf.taxonomy.axis(axis).single else clf.calibrator.low_[clf.taxonomy.column(want.label)]
                scores = library.score_sums(clf.id, [want.label])
                having |= {record_id for record_id, probability in scores.items() if probability >= least - 1e-4}
        found &= having
    return found


def relevant_scopes(taxonomy: Taxonomy) -> tuple[str, ...]:
    """Return the scopes that a curator of therapy looks for: those to which mechanisms apply."""
    return tuple(
        label.id for label in taxonomy.labels if label.axis == "scope" and taxonomy.applies("mechanism", label.id)
    )


def _rank(relevance: float, sort: Sort) -> float:
    return -relevance if sort == "relevance" else abs(relevance - 0.5)


def prediction_of(library: Library, clf: Classifier, entry: Entry) -> Prediction:
    """Return what a model says of a record of the library, with the flags that the record has now."""
    stored = [found.prediction for found in library.predictions(entry.id) if found.prediction.model == clf.id]
    # What came in since the records were tagged is tagged now; a deleted record may never have been.
    prediction = stored[-1] if stored else next(clf.predict([entry.record]))
    # A retraction leaves the text as it was, so that it is not tagged again.
    return replace(prediction, flags=tuple(dict.fromkeys((*entry.record.flags, *prediction.flags))))


def _item(library: Library, clf: Classifier, entry: Entry, relevance: dict[int, float]) -> Item:
    return Item(entry, prediction_of(library, clf, entry), relevance.get(entry.id, 0.0), _news(entry))


def _news(entry: Entry) -> News:
    # A decision shows that the curator knew the record as it came.
    known = entry.shown or (entry.added if entry.verdict else "")
    if known == entry.changed:
        return "seen"
    if entry.state == "deleted":
        return "deleted"
    if not known:
        return "new"
    return "retracted" if entry.state == "retracted" else "revised"
