"""Curves hold the same figures as the metrics, count the same cells, and stay small."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exoclass.calibration import AxisColumns
from exoclass.curves import FEWEST, MOST_POINTS, axis_curves, precision_recall, reliability
from exoclass.metrics import average_precision, evaluate_arrays

CELLS = st.lists(st.tuples(st.sampled_from([0.0, 0.05, 0.2, 0.5, 0.5001, 0.9, 1.0]), st.booleans()), max_size=60)
AXES = (AxisColumns("scope", (0, 1, 2), True), AxisColumns("disease", (3, 4), False))
IDS = ("a", "b", "c", "d", "e")


def arrays(cells: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([p for p, _ in cells], dtype=np.float64), np.array([y for _, y in cells], dtype=bool)


@given(CELLS)
def test_the_area_under_the_steps_is_the_average_precision(cells: list[tuple[float, bool]]) -> None:
    probs, y = arrays(cells)
    recall, precision = precision_recall(probs, y)
    if not y.any():
        assert recall == precision == ()
        return
    assert np.sum(np.diff(np.r_[0, recall]) * precision) == pytest.approx(average_precision(probs, y))
    assert recall[-1] == 1
    assert all(0 < value <= 1 for value in precision)


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    generator = np.random.default_rng(1)
    probs = generator.random(5000)
    y = generator.random(5000) < probs
    recall, precision = precision_recall(probs, y)
    assert len(recall) == len(precision) == MOST_POINTS
    assert recall[0] == pytest.approx(1 / y.sum())
    assert recall[-1] == 1


@given(CELLS)
def test_every_cell_is_in_one_bin_and_bins_are_not_tiny(cells: list[tuple[float, bool]]) -> None:
    probs, y = arrays(cells)
    bins = reliability(probs, y)
    assert sum(found.count for found in bins) == len(cells)
    assert len(bins) <= 10
    assert sum(found.count * found.share for found in bins) == pytest.approx(y.sum())
    if len(bins) > 1:
        assert min(found.count for found in bins) >= FEWEST
    assert [found.mean for found in bins] == sorted(found.mean for found in bins)
    assert all(0 <= found.low <= found.share + 1e-9 and found.share - 1e-9 <= found.high <= 1 for found in bins)


def test_an_interval_is_that_of_wilson() -> None:
    [found] = reliability(np.full(10, 0.5), np.arange(10) < 3)
    assert (found.low, found.high) == pytest.approx((0.1078, 0.6032), abs=1e-4)


def test_curves_count_the_cells_that_the_metrics_count() -> None:
    generator = np.random.default_rng(5)
    n = 80
    Y = np.zeros((n, 5), dtype=bool)
    Y[np.arange(n), generator.integers(0, 3, n)] = True
    Y[:, 3:] = generator.random((n, 2)) < 0.4
    mask = generator.random((n, 5)) < 0.9
    probs = generator.random((n, 5))
    predicted = probs > 0.5
    report = evaluate_arrays(
        name="x", ids=IDS, axes=AXES, Y=Y, mask=mask, probs=probs, predicted=predicted, review=~mask, bootstrap=2
    )
    found = axis_curves(ids=IDS, axes=AXES, Y=Y, mask=mask, probs=probs, predicted=predicted)
    labels = {label.id: label for label in report.labels}
    assert [axis.id for axis in found] == ["scope", "disease"]
    for axis in found:
        assert axis.pooled.support == sum(curves.support for curves in axis.labels)
        support = [curves.support for curves in axis.labels]
        assert support == sorted(support, reverse=True)
        for curves in axis.labels:
            label = labels[curves.id]
            figures = (curves.support, curves.annotated, curves.average_precision)
            assert figures == (label.support, label.annotated, label.average_precision)
            assert (curves.decided_precision, curves.decided_recall) == (label.precision, label.recall)
        micro = report.axis(axis.id).micro_f1.value
        p, r = axis.pooled.decided_precision, axis.pooled.decided_recall
        assert 2 * p * r / (p + r) == pytest.approx(micro)


def test_no_records_make_empty_curves() -> None:
    nothing = np.zeros((0, 5), dtype=bool)
    found = axis_curves(ids=IDS, axes=AXES, Y=nothing, mask=nothing, probs=np.zeros((0, 5)), predicted=nothing)
    assert [(axis.labels, axis.pooled.bins, axis.pooled.recall) for axis in found] == [((), (), ())] * 2
