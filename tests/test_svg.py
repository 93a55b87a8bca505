"""Plots put their marks where the figures are, and say in words what they show."""

from __future__ import annotations

import re

import numpy as np
import pytest

from exoclass.curves import Curves, precision_recall, reliability
from exoclass.metrics import Interval
from exoclass.svg import interval_bar, precision_recall_plot, reliability_plot

NAN = float("nan")


def curves_of(probs: list[float], y: list[bool]) -> Curves:
    p, gold = np.array(probs, dtype=np.float64), np.array(y, dtype=bool)
    recall, precision = precision_recall(p, gold)
    return Curves("x", int(gold.sum()), len(gold), 0.8, recall, precision, 0.5, 1.0, reliability(p, gold))


def test_a_bar_ends_at_the_value_and_its_line_at_the_ends_of_the_interval() -> None:
    bar = interval_bar(Interval(0.5, 0.25, 0.75), "F1")
    assert '<rect x="0" y="3" width="50" height="10" class="bar">' in bar
    assert '<line x1="25" y1="8" x2="75" y2="8" class="whisker">' in bar
    assert 'aria-label="F1"' in bar


def test_what_is_not_defined_is_not_drawn() -> None:
    assert 'class="bar"' not in interval_bar(Interval(NAN, NAN, NAN), "F1")
    assert "whisker" not in interval_bar(Interval(0.5, NAN, NAN), "F1")


def test_the_curve_goes_in_steps_to_full_recall() -> None:
    plot = precision_recall_plot(curves_of([0.9, 0.8, 0.1], [True, False, True]), "x")
    assert 'd="M42.0 9.0V9.0H117.0V59.0H192.0"' in plot
    assert '<circle cx="117" cy="9"' in plot
    assert "decisions: precision 1.000, recall 0.500" in plot


def test_each_bin_is_a_dot_with_its_interval() -> None:
    plot = reliability_plot(curves_of([0.05] * 10 + [0.95] * 20, [False] * 10 + [True] * 20), "x")
    assert plot.count('class="error-line"') == plot.count("<circle") == 2
    radii = [float(found) for found in re.findall(r' r="([\d.]+)"', plot)]
    assert radii == sorted(radii)
    assert radii[-1] == pytest.approx(5.5)


def test_empty_curves_are_empty_plots() -> None:
    empty = Curves("x", 0, 0, NAN, (), (), NAN, NAN, ())
    for plot in (precision_recall_plot(empty, "x"), reliability_plot(empty, "x")):
        assert "<circle" not in plot
        assert "nan" not in plot


def test_labels_are_escaped() -> None:
    assert "<b>" not in interval_bar(Interval(0.5, 0.4, 0.6), '"><b>')
