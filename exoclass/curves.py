"""What the plots of an evaluation show: precision against recall, and probability against truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from exoclass.backend import Bools, Floats
from exoclass.calibration import AxisColumns
from exoclass.metrics import average_precision, whole_rows

MOST_POINTS = 200
BINS = 10
FEWEST = 5  # a bin of fewer cells joins its neighbour: the share among three tells nothing
_Z = 1.959964  # 95 % of a normal distribution lie within so many standard deviations


@dataclass(frozen=True, slots=True)
class Bin:
    """Cells of similar probability: their mean probability, and the share of them that are true.

    Parameters
    ----------
    low, high
        Wilson's 95 % interval of `share` (Wilson 1927).
    """

    count: int
    mean: float
    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Curves:
    """The curves of one label, or of all cells of an axis.

    Parameters
    ----------
    id
        The label; empty for the cells of a whole axis.
    support, annotated
        Cells that are true, and cells that are known.
    recall, precision
        The steps of the precision-recall curve, one per true cell found, `MOST_POINTS` at most.
    decided_recall, decided_precision
        Where the decisions of the model lie; NaN where not defined.
    bins
        What `reliability` returned for the cells.
    """

    id: str
    support: int
    annotated: int
    average_precision: float
    recall: tuple[float, ...]
    precision: tuple[float, ...]
    decided_recall: float
    decided_precision: float
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class AxisCurves:
    """The curves of an axis: all its cells together, then its labels by falling support, those with none left out."""

    id: str
    pooled: Curves
    labels: tuple[Curves, ...]


def axis_curves(
    *, ids: Sequence[str], axes: Sequence[AxisColumns], Y: Bools, mask: Bools, probs: Floats, predicted: Bools
) -> tuple[AxisCurves, ...]:
    """Return the curves of every axis.

    Parameters
    ----------
    ids
        Label ids in column order.
    Y, mask, probs, predicted
        Shape (n, n_labels), as `exoclass.metrics.evaluate_arrays` takes them; the same cells count.
    """
    mask = whole_rows(mask, axes)

    def of(name: str, columns: Sequence[int]) -> Curves:
        cells = np.ix_(np.arange(len(Y)), np.array(columns, dtype=np.int64))
        known = mask[cells]
        return _curves(name, probs[cells][known], Y[cells][known], predicted[cells][known])

    found = []
    for axis in axes:
        labels = [curves for column in axis.columns if (curves := of(ids[column], [column])).support]
        labels.sort(key=lambda curves: -curves.support)
        found.append(AxisCurves(axis.id, of("", axis.columns), tuple(labels)))
    return tuple(found)


def precision_recall(probs: Floats, y: Bools) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return recall and precision after each step at which recall grows; equal probabilities share one step.

    >>> precision_recall(np.array([0.9, 0.8, 0.1]), np.array([True, False, True]))
    ((0.5, 1.0), (1.0, 0.6666666666666666))
    """
    positives = int(y.sum())
    if not positives:
        return (), ()
    order = np.argsort(-probs, kind="stable")
    ranked = probs[order]
    last = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True])
    hits = np.cumsum(y[order])[last]
    grows = np.flatnonzero(np.diff(np.r_[0, hits]))
    if len(grows) > MOST_POINTS:
        grows = grows[np.linspace(0, len(grows) - 1, MOST_POINTS).round().astype(np.int64)]
    recall, precision = hits[grows] / positives, hits[grows] / (last[grows] + 1)
    return tuple(map(float, recall)), tuple(map(float, precision))


def reliability(probs: Floats, y: Bools) -> tuple[Bin, ...]:
    """Return the cells in bins by rising probability.

    The bins are `BINS` of equal width; one with fewer than `FEWEST` cells is merged with the next, or at the end with
    the one before.

    >>> probs, y = np.array([0.01, 0.02, 0.03, 0.12, 0.13, 1.0]), np.array([False, False, True, False, True, True])
    >>> [(found.count, round(found.mean, 3), found.share) for found in reliability(probs, y)]
    [(6, 0.218, 0.5)]
    """
    number = np.minimum((probs * BINS).astype(np.int64), BINS - 1)
    edges = [0]
    counts = np.bincount(number, minlength=BINS).cumsum()
    for until in map(int, counts):
        if until - edges[-1] >= FEWEST:
            edges.append(until)
    if len(edges) > 1:
        edges[-1] = len(probs)
    elif len(probs):
        edges.append(len(probs))
    order = np.argsort(probs, kind="stable")
    return tuple(_bin(probs[order[start:end]], y[order[start:end]]) for start, end in pairwise(edges))


def _bin(probs: Floats, y: Bools) -> Bin:
    share = float(y.mean())
    return Bin(len(y), float(probs.mean()), share, *_wilson(share, len(y)))


def _curves(name: str, probs: Floats, y: Bools, predicted: Bools) -> Curves:
    recall, precision = precision_recall(probs, y)
    hits, named, positives = int((y & predicted).sum()), int(predicted.sum()), int(y.sum())
    return Curves(
        id=name,
        support=positives,
        annotated=len(y),
        average_precision=average_precision(probs, y),
        recall=recall,
        precision=precision,
        decided_recall=hits / positives if positives else float("nan"),
        decided_precision=hits / named if named else float("nan"),
        bins=reliability(probs, y),
    )


def _wilson(share: float, count: int) -> tuple[float, float]:
    whole = 1 + _Z**2 / count
    centre = share + _Z**2 / (2 * count)
    width = _Z * (share * (1 - share) / count + _Z**2 / (4 * count**2)) ** 0.5
    return max((centre - width) / whole, 0.0), min((centre + width) / whole, 1.0)
