"""A close look at a classifier: its scores, the curves behind them, and its most confident mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from exoclass.backend import Bools, Floats
from exoclass.calibration import REVIEW, YES, AxisColumns
from exoclass.classifier import Classifier
from exoclass.corpus import Corpus
from exoclass.curves import AxisCurves, axis_curves
from exoclass.evidence import explain, sentences
from exoclass.metrics import EvaluationReport, whole_rows
from exoclass.records import Evidence, Record
from exoclass.training import evaluate, seen_in_training

MOST_MISTAKES = 40

MistakeKind = Literal["confused", "added", "missed"]
KINDS: tuple[MistakeKind, ...] = ("confused", "added", "missed")


@dataclass(frozen=True, slots=True)
class Mistake:
    """One wrong decision.

    Parameters
    ----------
    kind
        "confused": another label of a single-label axis was chosen; "added": the label does not hold;
        "missed": it does.
    label
        The label decided wrongly; of a confused axis the one that was chosen.
    gold, predicted
        All labels of the axis that hold, and all that were given.
    probability
        What the model gave `label`.
    review
        The model would have said "review" rather than decide.
    evidence
        What spoke for `label`, also where it was missed.
    """

    record: Record
    axis: str
    kind: MistakeKind
    label: str
    gold: tuple[str, ...]
    predicted: tuple[str, ...]
    probability: float
    review: bool
    evidence: Evidence | None


@dataclass(frozen=True, slots=True)
class Mistakes:
    """How many decisions are wrong in one way, and the most confident of them, first things first."""

    kind: MistakeKind
    count: int
    worst: tuple[Mistake, ...]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that an HTML report tells.

    Parameters
    ----------
    seen
        Evaluated records that the model was trained on.
    model, digest, taxonomy, data
        Id of the model, sha256 of its manifest, of its labels, and of the records.
    threshold
        One cut for all labels of the many-label axes; None for the learned ones.
    """

    report: EvaluationReport
    curves: tuple[AxisCurves, ...]
    mistakes: tuple[Mistakes, ...]
    seen: int
    model: str
    digest: str
    taxonomy: str
    data: str
    threshold: float | None = None


def diagnose(
    clf: Classifier, corpus: Corpus, *, name: str, threshold: float | None = None, most: int = MOST_MISTAKES
) -> Diagnosis:
    """Score a classifier on labelled records and look at where it fails.

    Parameters
    ----------
    name, threshold
        As in `exoclass.training.evaluate`.
    most
        How many mistakes to explain at most; each kind gets its share.
    """
    Y, mask = corpus.binarize(clf.taxonomy)
    probs = clf.probabilities(corpus.texts)
    predicted: Bools = clf.calibrator.decide(probs, forced=True, threshold=threshold) == YES
    axes = clf.calibrator.axes
    wrong = (predicted != Y) & whole_rows(mask, axes)
    review: Bools = clf.calibrator.decide(probs, threshold=threshold) == REVIEW

    def explain(row: int, column: int) -> Mistake:
        record = corpus[row].record
        return _mistake(clf, record, column, Y[row], predicted[row], probs[row], bool(review[row, column]))

    return Diagnosis(
        report=evaluate(clf, corpus, name=name, threshold=threshold, probs=probs),
        curves=axis_curves(ids=clf.taxonomy.ids, axes=axes, Y=Y, mask=mask, probs=probs, predicted=predicted),
        mistakes=tuple(
            Mistakes(kind, len(cells), tuple(explain(row, column) for row, column in cells[:share]))
            for kind, cells, share in _ranked(axes, wrong, predicted, probs, most)
        ),
        seen=seen_in_training(clf, corpus),
        model=clf.id,
        digest=clf.digest,
        taxonomy=clf.taxonomy.fingerprint,
        data=corpus.fingerprint,
        threshold=threshold,
    )


def _ranked(
    axes: Sequence[AxisColumns], wrong: Bools, predicted: Bools, probs: Floats, most: int
) -> list[tuple[MistakeKind, list[tuple[int, int]], int]]:
    """Return for each kind of mistake its cells by falling confidence, and how many of them to show.

    A wrong choice on a single-label axis is one mistake, in the cell that was chosen.
    """
    single = np.zeros(wrong.shape[1], dtype=bool)
    single[[column for axis in axes if axis.single for column in axis.columns]] = True
    confidence = np.where(predicted, probs, 1 - probs)
    masks: tuple[Bools, ...] = (wrong & predicted & single, wrong & predicted & ~single, wrong & ~predicted & ~single)
    ranked = []
    for mask in masks:
        cells = np.argwhere(mask)[np.argsort(-confidence[mask], kind="stable")]
        ranked.append([(int(row), int(column)) for row, column in cells])
    turns = sorted((turn, kind) for kind, cells in enumerate(ranked) for turn in range(len(cells)))[:most]
    shares = [sum(kind == number for _, kind in turns) for number in range(len(KINDS))]
    return list(zip(KINDS, ranked, shares, strict=True))


def _mistake(
    clf: Classifier, record: Record, column: int, gold: Bools, predicted: Bools, probs: Floats, review: bool
) -> Mistake:
    taxonomy = clf.taxonomy
    axis = taxonomy.labels[column].axis
    single = taxonomy.axis(axis).single
    own = taxonomy.columns(axis)
    text = record.text
    return Mistake(
        record=record,
        axis=axis,
        kind="missed" if gold[column] else "confused" if single else "added",
        label=taxonomy.ids[column],
        gold=tuple(taxonomy.ids[c] for c in own if gold[c]),
        predicted=tuple(taxonomy.ids[c] for c in own if predicted[c]),
        probability=float(probs[column]),
        review=review,
        evidence=explain(text, clf.backend.attribute(text, [column]), sentences(text))[0],
    )
