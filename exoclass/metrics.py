"""How good predictions are: per label, per axis, with bootstrap intervals and calibration error.

Only annotated cells count: an axis that does not apply to a record, or a label an annotator was unsure of, is left
out of every figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exoclass.backend import Bools, Floats
from exoclass.calibration import AxisColumns

_CHUNK = 100  # bootstrap samples computed at once: bounds memory to _CHUNK x n_records x n_labels bytes


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and its 95 % percentile-bootstrap interval over records (Efron 1979)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LabelScore:
    """One label's figures; NaN where a figure is not defined (no positives, say)."""

    id: str
    axis: str
    support: int
    annotated: int
    precision: float
    recall: float
    f1: Interval
    average_precision: float
    calibration_error: float
    review_share: float


@dataclass(frozen=True, slots=True)
class AxisScore:
    """One axis: F1 over all cells (micro) and as the mean over labels that have positives (macro)."""

    id: str
    annotated: int
    micro_f1: Interval
    macro_f1: Interval
    calibration_error: float
    review_share: float
    accuracy: float | None = None


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """The one result that feeds the console table, ``--json`` and the model card.

    Parameters
    ----------
    name
        What was evaluated on what, for people.
    n_records
        Records evaluated.
    axes, labels
        In taxonomy order.
    scope_labels, confusion
        Labels of the single-choice axis, and counts of gold (row) against predicted (column).
    never_predicted
        Labels that have positives here but are never predicted.
    """

    name: str
    n_records: int
    axes: tuple[AxisScore, ...]
    labels: tuple[LabelScore, ...]
    scope_labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    never_predicted: tuple[str, ...]

    def axis(self, axis_id: str) -> AxisScore:
        """Return the figures of one axis."""
        return next(axis for axis in self.axes if axis.id == axis_id)


def evaluate_arrays(
    *,
    name: str,
    ids: Sequence[str],
    axes: Sequence[AxisColumns],
    Y: Bools,
    mask: Bools,
    probs: Floats,
    predicted: Bools,
    review: Bools,
    bootstrap: int = 1000,
    seed: int = 13,
) -> EvaluationReport:
    """Compare predictions with gold labels.

    Parameters
    ----------
    ids
        Label ids in column order.
    Y, mask, probs, predicted, review
        Shape (n, n_labels): gold, annotated, calibrated probability, forced decision, "not sure".
    bootstrap
        Number of resamples of records.
    """
    mask = whole_rows(mask, axes)
    hit, false, miss = Y & predicted & mask, ~Y & predicted & mask, Y & ~predicted & mask
    samples = _resample(np.stack([hit, false, miss]), bootstrap, seed)
    totals = np.stack([hit, false, miss]).sum(axis=1)
    labels, axis_scores = [], []
    for axis in axes:
        columns = list(axis.columns)
        rows: Bools = np.asarray(mask[:, columns].any(axis=1))
        labels += [
            _label_score(
                ids[c], axis.id, Y[:, c], mask[:, c], probs[:, c], review[:, c], totals[:, c], samples[:, :, c]
            )
            for c in columns
        ]
        present = [c for c in columns if totals[0, c] + totals[2, c] > 0]
        own = [label for label in labels if label.axis == axis.id]
        axis_scores.append(
            AxisScore(
                id=axis.id,
                annotated=int(rows.sum()),
                micro_f1=_interval(_f1(totals[:, columns].sum(axis=1)), _f1(samples[:, :, columns].sum(axis=2))),
                macro_f1=_interval(_mean(_f1(totals[:, present])), _mean(_f1(samples[:, :, present]))),
                calibration_error=_mean_known([label.calibration_error for label in own if label.support]),
                review_share=float(review[rows][:, columns].any(axis=1).mean()) if rows.any() else float("nan"),
                accuracy=_accuracy(Y, predicted, rows, columns) if axis.single else None,
            )
        )
    single = next((axis for axis in axes if axis.single), None)
    return EvaluationReport(
        name=name,
        n_records=len(Y),
        axes=tuple(axis_scores),
        labels=tuple(labels),
        scope_labels=tuple(ids[c] for c in single.columns) if single else (),
        confusion=_confusion(Y, predicted, mask, list(single.columns)) if single else (),
        never_predicted=tuple(
            ids[c] for c in range(len(ids)) if totals[0, c] + totals[2, c] and not totals[0, c] + totals[1, c]
        ),
    )


def whole_rows(mask: Bools, axes: Sequence[AxisColumns]) -> Bools:
    """Return the mask without the records for which an annotator was unsure between labels of a single-label axis."""
    result = mask.copy()
    for axis in axes:
        columns = list(axis.columns)
        if axis.single:
            result[:, columns] = mask[:, columns].all(axis=1, keepdims=True)
    return result


def calibration_error(probs: Floats, y: Bools, bins: int = 10) -> float:
    """Return the expected calibration error with equally filled bins (Nixon et al. 2019), NaN for no records.

    >>> calibration_error(np.array([0.0, 0.0, 1.0, 1.0]), np.array([False, False, True, True]), bins=2)
    0.0
    """
    if not len(probs):
        return float("nan")
    order = np.argsort(probs, kind="stable")
    parts = [part for part in np.array_split(order, min(bins, len(order))) if len(part)]
    return float(sum(len(part) * abs(probs[part].mean() - y[part].mean()) for part in parts) / len(probs))


def average_precision(probs: Floats, y: Bools) -> float:
    """Return the area under the precision-recall steps, NaN without positives; ties share one step.

    >>> average_precision(np.array([0.9, 0.8, 0.1]), np.array([True, False, True]))
    0.8333333333333333
    """
    positives = int(y.sum())
    if not positives:
        return float("nan")
    order = np.argsort(-probs, kind="stable")
    ranked, gold = probs[order], y[order]
    last = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True])
    hits = np.cumsum(gold)[last]
    return float(np.sum(np.diff(np.r_[0, hits]) / positives * hits / (last + 1)))


def _label_score(
    label_id: str,
    axis: str,
    y: Bools,
    known: Bools,
    probs: Floats,
    review: Bools,
    total: NDArray[np.int64],
    sample: NDArray[np.int64],
) -> LabelScore:
    hit, false, miss = (int(value) for value in total)
    return LabelScore(
        id=label_id,
        axis=axis,
        support=hit + miss,
        annotated=int(known.sum()),
        precision=hit / (hit + false) if hit + false else float("nan"),
        recall=hit / (hit + miss) if hit + miss else float("nan"),
        f1=_interval(_f1(total) if hit + miss else float("nan"), _f1(sample)),
        average_precision=average_precision(probs[known], y[known]),
        calibration_error=calibration_error(probs[known], y[known]),
        review_share=float(review[known].mean()) if known.any() else float("nan"),
    )


def _resample(counts: Bools, bootstrap: int, seed: int) -> NDArray[np.int64]:
    """Return hit, false and miss counts of resampled records, shape (3, bootstrap, n_labels)."""
    kinds, n, n_labels = counts.shape
    generator = np.random.default_rng(seed)
    flat = np.ascontiguousarray(counts.transpose(1, 0, 2).reshape(n, kinds * n_labels), dtype=np.float32)
    parts = []
    for start in range(0, bootstrap, _CHUNK):
        size = min(_CHUNK, bootstrap - start)
        weights = (
            generator.multinomial(n, np.full(n, 1 / n), size=size).astype(np.float32) if n else np.zeros((size, 0))
        )
        parts.append((weights @ flat).round().astype(np.int64))
    stacked = np.concatenate(parts) if parts else np.zeros((0, kinds * n_labels), dtype=np.int64)
    return stacked.reshape(-1, kinds, n_labels).transpose(1, 0, 2)


def _f1(counts: NDArray[np.int64]) -> Floats:
    """Return F1 from hit, false and miss counts on the first axis, NaN where there is nothing to find or found."""
    hit, false, miss = counts.astype(np.float64)
    whole = 2 * hit + false + miss
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Floats = np.asarray(np.where(whole > 0, 2 * hit / whole, np.nan))
    return result


def _mean(values: Floats) -> Floats:
    """Return the mean over the last axis, NaN counting as nothing to average."""
    known = ~np.isnan(values)
    count = known.sum(axis=-1)
    result: Floats = np.where(count > 0, np.where(known, values, 0.0).sum(axis=-1) / np.maximum(count, 1), np.nan)
    return result


def _mean_known(values: Sequence[float]) -> float:
    return float(_mean(np.array(values, dtype=np.float64))) if values else float("nan")


def _interval(value: Floats | float, samples: Floats) -> Interval:
    known = samples[~np.isnan(samples)]
    if not len(known):
        return Interval(float(value), float("nan"), float("nan"))
    low, high = np.percentile(known, [2.5, 97.5])
    return Interval(float(value), float(low), float(high))


def _accuracy(Y: Bools, predicted: Bools, rows: Bools, columns: list[int]) -> float:
    right = np.asarray((Y & predicted)[rows][:, columns].any(axis=1))
    return float(right.mean()) if len(right) else float("nan")


def _confusion(Y: Bools, predicted: Bools, mask: Bools, columns: list[int]) -> tuple[tuple[int, ...], ...]:
    gold, guess = Y[:, columns], predicted[:, columns]
    rows = mask[:, columns].all(axis=1) & (gold.sum(axis=1) == 1)
    table = np.zeros((len(columns), len(columns)), dtype=np.int64)
    np.add.at(table, (gold[rows].argmax(axis=1), guess[rows].argmax(axis=1)), 1)
    return tuple(tuple(int(cell) for cell in row) for row in table)
