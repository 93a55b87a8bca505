"""What leaves the library: predictions with the curator's decisions in them, and labelled data to train on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from exoclass.classifier import Classifier
from exoclass.library import Decision, Entry, Filter, Library
from exoclass.records import Prediction, Tag
from exoclass.taxonomy import Taxonomy
from exoclass.triage import prediction_of
from exoclass.wanting import Want, meets

ANNOTATOR = "curator"
"""Who labelled, in labelled data made of decisions."""

_FLAGS = {"accept": "accepted", "reject": "rejected", "correct": "corrected"}


def predictions(
    library: Library, clf: Classifier, *, verdicts: Sequence[str] = (), wants: Sequence[Want] = ()
) -> Iterator[Prediction]:
    """Yield what is known of each record: what the model says, and in its place what the curator decided.

    Decided labels are "yes" and the others of a judged axis "no", with the model's probability; the flags say
    ``accepted``, ``rejected`` or ``corrected``.

    Parameters
    ----------
    verdicts
        Only records with one of these decisions; empty for all.
    wants
        Only records with these labels, as in triage.
    """
    decisions = {decision.record_id: decision for decision in library.standing_decisions()}
    for entry in library.records(Filter(decided=True) if verdicts else None):
        if verdicts and entry.verdict not in verdicts:
            continue
        shown = as_decided(prediction_of(library, clf, entry), decisions.get(entry.id))
        if meets(shown, wants):
            yield shown


def as_decided(prediction: Prediction, decision: Decision | None) -> Prediction:
    """Return the prediction with a decision in place of the model's own."""
    if decision is None:
        return prediction
    scope = prediction.scope
    if judged := decision.tags.get("scope"):
        probabilities = {tag.id: tag.probability for tag in prediction.all_scopes}
        scope = Tag(judged[0], probabilities.get(judged[0], 0.0), "yes")
    tags = {
        axis: found if axis not in decision.tags else _decided(found or (), decision.tags[axis])
        for axis, found in prediction.tags.items()
    }
    return replace(prediction, scope=scope, tags=tags, flags=(*prediction.flags, _FLAGS[decision.verdict]))


def _decided(tags: tuple[Tag, ...], labels: tuple[str, ...]) -> tuple[Tag, ...]:
    known = tuple(replace(tag, decision="yes" if tag.id in labels else "no") for tag in tags)
    added = tuple(Tag(label, 0.0, "yes") for label in labels if label not in {tag.id for tag in tags})
    return (*known, *added)


def labelled_rows(library: Library, taxonomy: Taxonomy) -> tuple[list[dict[str, Any]], int]:
    """Return accepted and corrected records as rows of labelled data, and how many rejected ones say no label.

    An axis that was not judged, or does not apply to the scope, is null: missing, not negative. A rejected record
    without tags is left out: that a curator does not want a paper says nothing of its labels.
    """
    rows, silent = [], 0
    for decision in library.standing_decisions():
        if not decision.tags:
            silent += 1
            continue
        rows.append(_row(library.get(decision.record_id), decision, taxonomy))
    return rows, silent


def _row(entry: Entry, decision: Decision, taxonomy: Taxonomy) -> dict[str, Any]:
    record = entry.record
    scopes = decision.tags.get("scope", ())
    labels = {
        axis.id: None
        if axis.id not in decision.tags or (scopes and not taxonomy.applies(axis.id, scopes[0]))
        else list(decision.tags[axis.id])
        for axis in taxonomy.axes
        if axis.id != "scope"
    }
    return {
        "id": record.key,
        "pmid": record.pmid,
        "doi": record.doi,
        "year": record.year,
        "title": record.title,
        "abstract": record.abstract,
        "scope": scopes[0] if scopes else None,
        **labels,
        "unsure": list(decision.tags.get("unsure", ())),
        "annotators": [ANNOTATOR],
        "decided": decision.when,
        "note": decision.note,
    }
