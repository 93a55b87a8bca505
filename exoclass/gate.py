"""The gate between a challenger and the champion: whether a new model may take the old one's place, and if not, why.

Both are scored on the same held-out records. Differences of F1 are judged by the paired bootstrap over records
(Efron and Tibshirani 1993), one-sided, and over labels by Holm's step-down correction, so that a model is not refused
because one of forty labels moved by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from exoclass.backend import Bools, Floats
from exoclass.calibration import AxisColumns
from exoclass.metrics import Interval, evaluate_arrays, whole_rows

BOOTSTRAP = 2000
ALPHA = 0.05
CALIBRATION_SLACK = 0.01
"""Calibration error that an axis may gain where it is not good enough anyway."""

SUSPICIOUS = 0.01
"""A label of a record is contradicted by a model that gives what it says no more than this probability.

Of 0.005 to 0.05, by out-of-fold predictions on the shipped set: where a fifth of 50 new records is wrong, 0.05 notices
it half of the time and 0.01 nine times out of ten. A smaller one would rest on a handful of right records."""


DOUBT_ALPHA = 0.01
"""Level of the test of `suspicious`: good labels are to be held up once in a hundred times at most."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What one model says of the held-out records, shape (n, n_labels), and what it costs.

    Parameters
    ----------
    probs, predicted
        Calibrated probabilities and forced decisions.
    seconds
        Of the processor, per record.
    size
        In bytes on disk.
    """

    probs: Floats
    predicted: Bools
    seconds: float
    size: int


@dataclass(frozen=True, slots=True)
class Difference:
    """F1 of the challenger less that of the champion, with its 95 % interval.

    Parameters
    ----------
    name
        A label id, or ``axis: macro`` of an axis.
    p_worse
        One-sided bootstrap p-value of "it is not worse"; NaN where nothing can be said.
    """

    name: str
    axis: str
    support: int
    champion: float
    challenger: float
    gain: Interval
    p_worse: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What the gate allows.

    Parameters
    ----------
    margin
        Macro-F1 that an axis may lose. More is a reason only if the whole 95 % interval of the difference is a loss.
    slowdown
        Times the champion's time per record.
    calibration
        Mean calibration error of an axis that is always good enough.
    """

    margin: float = 0.01
    slowdown: float = 2.0
    calibration: float = 0.05


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the challenger may take the champion's place; `reasons` say why not."""

    axes: tuple[Difference, ...]
    labels: tuple[Difference, ...]
    calibration: tuple[tuple[str, float, float], ...]
    seconds: tuple[float, float]
    size: tuple[int, int]
    reasons: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether there is no reason against it."""
        return not self.reasons


def judge(
    *,
    ids: Sequence[str],
    axes: Sequence[AxisColumns],
    Y: Bools,
    mask: Bools,
    champion: Scored,
    challenger: Scored,
    limits: Limits,
    seed: int = 13,
) -> Verdict:
    """Compare two models on the same records; see `Verdict`."""
    mask = whole_rows(mask, axes)
    counts = [_counts(Y, one.predicted, mask) for one in (champion, challenger)]
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(Y), np.full(len(Y), 1 / len(Y)), size=BOOTSTRAP).astype(np.float64)
    samples = [np.einsum("bn,knl->kbl", drawn, part.astype(np.float64)) for part in counts]
    totals = [part.sum(axis=1).astype(np.float64) for part in counts]
    labels, overall, reasons = [], [], []
    for axis in axes:
        columns = list(axis.columns)
        present = [column for column in columns if (Y & mask)[:, column].any()]
        labels += [
            _difference(
                ids[c],
                axis.id,
                int((Y & mask)[:, c].sum()),
                [_f1(t[:, c]) for t in totals],
                [_f1(s[:, :, c]) for s in samples],
            )
            for c in present
        ]
        if present:
            means = [float(np.mean(_f1(t[:, present]))) for t in totals]
            spread = [_f1(s[:, :, present]).mean(axis=1) for s in samples]
            found = _difference(f"{axis.id}: macro", axis.id, len(present), means, spread)
            overall.append(found)
            # On some hundred papers a loss of a point or two is what any retraining makes: it has to be shown, too.
            if found.gain.value < -limits.margin and found.gain.high < 0:
                reasons.append(
                    f"{axis.id} loses {-found.gain.value:.3f} macro-F1, more than the margin of {limits.margin:g}"
                )
    reasons += [
        f"{label.name} is significantly worse: F1 {label.champion:.3f} to {label.challenger:.3f}"
        for label in _significant(labels)
    ]
    calibration = _calibration(ids, axes, Y, mask, champion, challenger)
    reasons += [
        f"the calibration error of {name} rises from {old:.3f} to {new:.3f}"
        for name, old, new in calibration
        if new > max(limits.calibration, old + CALIBRATION_SLACK)
    ]
    if challenger.seconds > limits.slowdown * champion.seconds:
        reasons.append(
            f"it takes {1000 * challenger.seconds:.1f} ms per record, the champion {1000 * champion.seconds:.1f} ms"
        )
    return Verdict(
        tuple(overall), tuple(labels), calibration, (champion.seconds, challenger.seconds),
        (champion.size, challenger.size), tuple(reasons),
    )  # fmt: skip


def contradicted(probs: Floats, Y: Bools, mask: Bools) -> Bools:
    """Return which records, shape (n,), have a label to whose state a model gives at most `SUSPICIOUS`."""
    given = np.where(Y, probs, 1 - probs)
    return np.asarray(((given <= SUSPICIOUS) & mask).any(axis=1))


def suspicious(new: Bools, usual: Bools) -> tuple[bool, float]:
    """Return whether new records contradict the champion more often than held-out ones do, and the p-value.

    One-sided Fisher's exact test at `DOUBT_ALPHA`.
    """
    from scipy.stats import fisher_exact

    table = [[int(new.sum()), int((~new).sum())], [int(usual.sum()), int((~usual).sum())]]
    p = float(fisher_exact(np.array(table), alternative="greater").pvalue)
    return p < DOUBT_ALPHA, p


def _counts(Y: Bools, predicted: Bools, mask: Bools) -> Bools:
    return np.stack([Y & predicted & mask, ~Y & predicted & mask, Y & ~predicted & mask])


def _f1(counts: Floats) -> Floats:
    """Return F1 from hits, false alarms and misses along the first axis; 0 where there is nothing."""
    hit, false, miss = counts
    whole = 2 * hit + false + miss
    return np.asarray(np.divide(2 * hit, whole, out=np.zeros_like(whole), where=whole > 0))


def _difference(
    name: str, axis: str, support: int, values: Sequence[float | Floats], spread: Sequence[Floats]
) -> Difference:
    old, new = (float(value) for value in values)
    gains = spread[1] - spread[0]
    low, high = np.percentile(gains, [2.5, 97.5])
    p_worse = (1 + float((gains >= 0).sum())) / (1 + len(gains))
    return Difference(name, axis, support, old, new, Interval(new - old, float(low), float(high)), p_worse)


def _significant(labels: Sequence[Difference]) -> list[Difference]:
    """Return the labels that are worse after Holm's correction."""
    ordered = sorted(labels, key=lambda label: label.p_worse)
    found = []
    for rank, label in enumerate(ordered):
        if label.p_worse > ALPHA / (len(ordered) - rank):
            break
        found.append(label)
    return found


def _calibration(
    ids: Sequence[str], axes: Sequence[AxisColumns], Y: Bools, mask: Bools, champion: Scored, challenger: Scored
) -> tuple[tuple[str, float, float], ...]:
    reports = [
        evaluate_arrays(
            name="", ids=ids, axes=axes, Y=Y, mask=mask, probs=one.probs, predicted=one.predicted,
            review=np.zeros_like(Y), bootstrap=1,
        )
        for one in (champion, challenger)
    ]  # fmt: skip
    return tuple(
        (old.id, old.calibration_error, new.calibration_error)
        for old, new in zip(reports[0].axes, reports[1].axes, strict=True)
        if old.annotated
    )
