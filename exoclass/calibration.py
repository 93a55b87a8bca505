"""From raw scores to calibrated probabilities, decisions and "not sure": one layer for every backend.

Fitted on out-of-fold scores, so a label is judged on records its model has not seen. A label with few positives
borrows from the other labels of its axis: its calibration is drawn towards the pooled one by a prior, its thresholds
by a weighted mean. scikit-learn's calibrators and threshold tuners are binary and its one-vs-rest ignores tuned
thresholds (scikit-learn#30036, #29551), so this step is our own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from exoclass.backend import Bools, Floats

YES, REVIEW, NO = 2, 1, 0
_EPS = 1e-6
_LEARNED = ("slopes", "offsets", "thresholds", "low", "high")


@dataclass(frozen=True, slots=True)
class CalibrationConfig:
    """Settings; each is explained beside its value in ``configs/tfidf.toml``."""

    prior_strength: float
    threshold_prior: float
    review_share: float
    review_accuracy: float


@dataclass(frozen=True, slots=True)
class AxisColumns:
    """The columns of one axis; `single` if exactly one label holds, `exclusive` those that stand alone."""

    id: str
    columns: tuple[int, ...]
    single: bool
    exclusive: tuple[int, ...] = ()


class Calibrator:
    """Probabilities, thresholds and review bands per label.

    Parameters
    ----------
    axes
        Columns by axis, from the taxonomy.
    config
        Settings, stored as given.

    Attributes
    ----------
    slopes_, offsets_
        Shape (n_labels,). Many-label axes: ``p = sigmoid(slope * score + offset)`` (Platt 1999). Single-label axes:
        ``p = softmax(slope * score + offset)``, one slope for the axis.
    thresholds_
        Shape (n_labels,): the cut that a forced yes/no decision uses.
    low_, high_
        Shape (n_labels,): below `low_` is "no", from `high_` on is "yes", between them "review".
    """

    def __init__(self, axes: Sequence[AxisColumns], config: CalibrationConfig) -> None:
        self.axes = tuple(axes)
        self.config = config

    def fit(self, scores: Floats, Y: Bools, mask: Bools) -> Self:
        """Learn from out-of-fold scores, all of shape (n, n_labels)."""
        n_labels = scores.shape[1]
        self.slopes_, self.offsets_ = np.ones(n_labels), np.zeros(n_labels)
        self.thresholds_, self.low_, self.high_ = (np.full(n_labels, 0.5) for _ in range(3))
        for axis in self.axes:
            if axis.single:
                self._fit_single(axis, scores, Y, mask)
            else:
                self._fit_multi(axis, scores, Y, mask)
        for name in _LEARNED:  # rounded here, so that a loaded model decides as the one that was saved
            setattr(self, name + "_", getattr(self, name + "_").round(6))
        return self

    def keep(self, columns: Bools, other: Calibrator) -> Self:
        """Take what another one has learnt of some columns, shape (n_labels,): all or none of a single-label axis."""
        for name in _LEARNED:
            getattr(self, name + "_")[columns] = getattr(other, name + "_")[columns]
        return self

    def probabilities(self, scores: Floats) -> Floats:
        """Return calibrated probabilities, shape (n, n_labels); rows of a single-label axis add up to one."""
        logits = scores * self.slopes_ + self.offsets_
        probs = _sigmoid(logits)
        for axis in self.axes:
            if axis.single:
                probs[:, list(axis.columns)] = _softmax(logits[:, list(axis.columns)])
        return probs

    def decide(self, probs: Floats, *, forced: bool = False, threshold: float | None = None) -> NDArray[np.int8]:
        """Return YES, REVIEW or NO per cell, shape (n, n_labels).

        Parameters
        ----------
        forced
            Leave out "review": one threshold per label, and the likeliest label of a single-label axis.
        threshold
            One cut for all labels of the many-label axes instead of the learned ones; there is no review band then.
        """
        low, high = (self.thresholds_, self.thresholds_) if forced else (self.low_, self.high_)
        decisions = np.zeros(probs.shape, dtype=np.int8)
        for axis in self.axes:
            columns = np.array(axis.columns)
            part = probs[:, columns]
            if axis.single:
                best = part.argmax(axis=1)
                sure = forced | (part.max(axis=1) >= high[columns][best])
                decisions[np.arange(len(probs)), columns[best]] = np.where(sure, YES, REVIEW)
                continue
            lower, upper = (low[columns], high[columns]) if threshold is None else (threshold, threshold)
            decisions[:, columns] = np.where(part >= upper, YES, np.where(part >= lower, REVIEW, NO))
            _settle_exclusive(decisions, probs, axis, NO if forced or threshold is not None else REVIEW)
        return decisions

    def to_dict(self) -> dict[str, Any]:
        """Return the learned values, ready for JSON."""
        return {name: [round(float(value), 6) for value in getattr(self, name + "_")] for name in _LEARNED}

    @classmethod
    def from_dict(cls, values: dict[str, Any], axes: Sequence[AxisColumns], config: CalibrationConfig) -> Self:
        """Build a fitted calibrator from what `to_dict` returned; raises KeyError, TypeError or ValueError."""
        calibrator = cls(axes, config)
        n_labels = sum(len(axis.columns) for axis in axes)
        for name in _LEARNED:
            array = np.array(values[name], dtype=np.float64)
            if array.shape != (n_labels,):
                raise ValueError(f"{name} has {array.size} values for {n_labels} labels")
            if not np.isfinite(array).all():
                raise ValueError(f"{name} has a value that is no number")
            setattr(calibrator, name + "_", array)
        return calibrator

    def _fit_single(self, axis: AxisColumns, scores: Floats, Y: Bools, mask: Bools) -> None:
        columns = np.array(axis.columns)
        rows = mask[:, columns].all(axis=1) & (Y[:, columns].sum(axis=1) == 1)
        if not rows.any():
            return
        part, gold = scores[np.ix_(rows, columns)], Y[np.ix_(rows, columns)].argmax(axis=1)
        slope, offsets = _fit_softmax(part, gold, self.config.prior_strength)
        self.slopes_[columns], self.offsets_[columns] = slope, offsets
        probs = _softmax(part * slope + offsets)
        best = probs.argmax(axis=1)
        self.high_[columns] = _sure_from(probs.max(axis=1), best == gold, self.config.review_accuracy)
        self.low_[columns] = 0.0

    def _fit_multi(self, axis: AxisColumns, scores: Floats, Y: Bools, mask: Bools) -> None:
        columns = list(axis.columns)
        known = mask[:, columns]
        if not known.any():
            return
        prior = _fit_platt(scores[:, columns][known], Y[:, columns][known], (1.0, 0.0), 1e-3)
        for column in columns:
            rows = mask[:, column]
            self.slopes_[column], self.offsets_[column] = _fit_platt(
                scores[rows, column], Y[rows, column], prior, self.config.prior_strength
            )
        probs = self.probabilities(scores)
        pooled = _best_cut(probs[:, columns][known], Y[:, columns][known])
        for column in columns:
            rows = mask[:, column]
            positives = int(Y[rows, column].sum())
            own = _best_cut(probs[rows, column], Y[rows, column]) if positives else pooled
            share = positives / (positives + self.config.threshold_prior)
            self.thresholds_[column] = share * own + (1 - share) * pooled
        cuts = _logit(self.thresholds_[columns])
        width = np.quantile(np.abs(_logit(probs[:, columns]) - cuts)[known], self.config.review_share)
        self.low_[columns], self.high_[columns] = _sigmoid(cuts - width), _sigmoid(cuts + width)


def _settle_exclusive(decisions: NDArray[np.int8], probs: Floats, axis: AxisColumns, beside: int) -> None:
    """Let a label that stands alone hold only where it beats every other label of its axis.

    The others are at most `beside` where it holds.
    """
    others = [column for column in axis.columns if column not in axis.exclusive]
    for column in axis.exclusive:
        rivals = [*others, *(rival for rival in axis.exclusive if rival != column)]
        beaten = (decisions[:, rivals] == YES).any(axis=1) & (probs[:, rivals].max(axis=1) >= probs[:, column])
        decisions[beaten, column] = NO
        alone = decisions[:, column] == YES
        decisions[np.ix_(alone, rivals)] = np.minimum(decisions[np.ix_(alone, rivals)], beside)


def _fit_platt(scores: Floats, y: Bools, prior: tuple[float, float], strength: float) -> tuple[float, float]:
    """Return slope and offset of a logistic curve with a Gaussian prior around `prior` (Newton's method)."""
    theta = np.array(prior, dtype=np.float64)
    centre = theta.copy()
    design = np.column_stack([scores, np.ones_like(scores)])
    target = y.astype(np.float64)
    for _ in range(50):
        probs = _sigmoid(design @ theta)
        gradient = design.T @ (probs - target) + strength * (theta - centre)
        weight = probs * (1 - probs)
        hessian = design.T @ (design * weight[:, None]) + (strength + 1e-9) * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        theta = theta - np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-8:
            break
    return max(float(theta[0]), 1e-2), float(theta[1])  # a falling curve would turn the ranking round


def _fit_softmax(scores: Floats, gold: NDArray[np.int64], strength: float) -> tuple[float, Floats]:
    """Return one slope and an offset per column of a softmax, with a Gaussian prior around slope 1 and offsets 0."""
    from scipy.optimize import minimize

    rows = np.arange(len(gold))

    def loss(theta: Floats) -> tuple[float, Floats]:
        probs = _softmax(scores * theta[0] + theta[1:])
        error = probs.copy()
        error[rows, gold] -= 1
        penalty = theta - np.r_[1.0, np.zeros(len(theta) - 1)]
        value = -np.log(np.maximum(probs[rows, gold], _EPS)).sum() + 0.5 * strength * penalty @ penalty
        return value, np.r_[(error * scores).sum(), error.sum(axis=0)] + strength * penalty

    start = np.r_[1.0, np.zeros(scores.shape[1])]
    bounds = [(1e-2, None), *[(None, None)] * scores.shape[1]]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return float(found[0]), np.asarray(found[1:], dtype=np.float64)


def _sigmoid(logits: Floats) -> Floats:
    result: Floats = 1.0 / (1.0 + np.exp(-np.clip(logits, -30, 30)))
    return result


def _logit(probs: Floats) -> Floats:
    clipped = np.clip(probs, _EPS, 1 - _EPS)
    result: Floats = np.log(clipped / (1 - clipped))
    return result


def _softmax(logits: Floats) -> Floats:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: Floats = shifted / shifted.sum(axis=1, keepdims=True)
    return result


def _best_cut(probs: Floats, y: Bools) -> float:
    """Return the threshold with the best F1, midway to the next lower probability."""
    order = np.argsort(-probs, kind="stable")
    ranked, gold = probs[order], y[order]
    hits = np.cumsum(gold)
    f1 = 2 * hits / (np.arange(1, len(gold) + 1) + max(int(gold.sum()), 1))
    f1[:-1][ranked[:-1] == ranked[1:]] = -1  # no cut between equal probabilities
    best = int(f1.argmax())
    below = ranked[best + 1] if best + 1 < len(ranked) else 0.0
    return float(np.clip((ranked[best] + below) / 2, 0.05, 0.95))


def _sure_from(top: Floats, right: Bools, accuracy: float) -> float:
    """Return the least top probability from which on decisions are right in the share `accuracy`."""
    order = np.argsort(-top, kind="stable")
    running = np.cumsum(right[order]) / np.arange(1, len(right) + 1)
    good = np.flatnonzero(running >= accuracy)
    return float(np.clip(top[order][good[-1]], 0.3, 0.9)) if len(good) else 0.9
