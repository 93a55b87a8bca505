"""Every figure against scikit-learn or by hand, and only annotated cells counting."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, confusion_matrix, f1_score

from exoclass.backend import Bools, Floats
from exoclass.calibration import AxisColumns
from exoclass.metrics import EvaluationReport, average_precision, calibration_error, evaluate_arrays

IDS = ("a", "b", "c", "x", "y", "z")
AXES = (AxisColumns("scope", (0, 1, 2), single=True), AxisColumns("disease", (3, 4, 5), single=False))

Data = dict[str, Any]


def draw(seed: int, n: int = 120) -> Data:
    """Return gold labels, probabilities that lean towards them, and a mask with holes of both kinds."""
    generator = np.random.default_rng(seed)
    Y = generator.random((n, 6)) < 0.3
    Y[:, :3] = np.eye(3, dtype=bool)[generator.integers(0, 3, n)]
    probs = np.clip(generator.random((n, 6)) * 0.7 + Y * 0.3, 0, 1).round(2)
    predicted = probs >= 0.5
    predicted[:, :3] = np.eye(3, dtype=bool)[probs[:, :3].argmax(axis=1)]
    mask = np.repeat(generator.random((n, 2)) < 0.9, 3, axis=1)
    mask[:, 3:] &= generator.random((n, 3)) < 0.95
    return {"Y": Y, "mask": mask, "probs": probs, "predicted": predicted, "review": np.abs(probs - 0.5) < 0.05}


def evaluated(data: Data, **options: int) -> EvaluationReport:
    return evaluate_arrays(name="test", ids=IDS, axes=AXES, **(data | {"bootstrap": 200} | options))


@pytest.mark.parametrize("seed", range(3))
def test_f1_of_each_label_is_that_of_scikit_learn(seed: int) -> None:
    data = draw(seed)
    for column, label in enumerate(evaluated(data).labels):
        rows = data["mask"][:, column]
        assert label.f1.value == pytest.approx(f1_score(data["Y"][rows, column], data["predicted"][rows, column]))


@pytest.mark.parametrize("seed", range(3))
def test_average_precision_of_each_label_is_that_of_scikit_learn(seed: int) -> None:
    data = draw(seed)
    for column, label in enumerate(evaluated(data).labels):
        rows = data["mask"][:, column]
        expected = average_precision_score(data["Y"][rows, column], data["probs"][rows, column])
        assert label.average_precision == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("axis", AXES, ids=lambda axis: axis.id)
def test_micro_f1_counts_annotated_cells(seed: int, axis: AxisColumns) -> None:
    data, columns = draw(seed), list(axis.columns)
    cells = data["mask"][:, columns]
    expected = f1_score(data["Y"][:, columns][cells], data["predicted"][:, columns][cells])
    assert evaluated(data).axis(axis.id).micro_f1.value == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("axis", AXES, ids=lambda axis: axis.id)
def test_macro_f1_is_the_mean_over_labels(seed: int, axis: AxisColumns) -> None:
    data = draw(seed)
    parts = [
        f1_score(data["Y"][rows, column], data["predicted"][rows, column])
        for column in axis.columns
        for rows in [data["mask"][:, column]]
    ]
    assert evaluated(data).axis(axis.id).macro_f1.value == pytest.approx(np.mean(parts))


def test_macro_f1_leaves_out_labels_without_positives() -> None:
    data = draw(1)
    data["Y"][:, 5] = False
    report = evaluated(data)
    kept = [label.f1.value for label in report.labels[3:5]]
    assert report.axis("disease").macro_f1.value == pytest.approx(np.mean(kept))
    assert math.isnan(report.labels[5].f1.value)
    assert math.isnan(report.labels[5].recall)
    assert math.isnan(report.labels[5].average_precision)


def test_false_positives_of_a_label_without_positives_lower_micro_f1() -> None:
    data = draw(1)
    data["Y"][:, 5] = False
    data["predicted"][:, 5] = True
    worse = evaluated(data).axis("disease").micro_f1.value
    data["predicted"][:, 5] = False
    assert worse < evaluated(data).axis("disease").micro_f1.value


@pytest.mark.parametrize("seed", range(3))
def test_the_confusion_of_scope_is_that_of_scikit_learn(seed: int) -> None:
    data = draw(seed)
    rows = data["mask"][:, 0]
    report = evaluated(data)
    expected = confusion_matrix(data["Y"][rows, :3].argmax(axis=1), data["predicted"][rows, :3].argmax(axis=1))
    assert report.scope_labels == ("a", "b", "c")
    assert np.array_equal(report.confusion, expected)


def test_the_accuracy_of_scope_is_the_share_on_the_diagonal() -> None:
    report = evaluated(draw(4))
    table = np.array(report.confusion)
    assert report.axis("scope").accuracy == pytest.approx(np.trace(table) / table.sum())
    assert report.axis("disease").accuracy is None


def test_figures_by_hand() -> None:
    Y = np.zeros((4, 6), dtype=bool)
    predicted = np.zeros((4, 6), dtype=bool)
    Y[:3, 3] = True
    predicted[1:, 3] = True
    mask = np.ones((4, 6), dtype=bool)
    mask[2, 3] = False
    review = np.zeros((4, 6), dtype=bool)
    review[0, 3] = review[2, 3] = True
    label = evaluated(
        {"Y": Y, "mask": mask, "probs": np.full((4, 6), 0.5), "predicted": predicted, "review": review}
    ).labels[3]
    assert (label.support, label.annotated) == (2, 3)
    assert (label.precision, label.recall, label.f1.value) == (0.5, 0.5, 0.5)
    assert label.review_share == pytest.approx(1 / 3)
    assert label.calibration_error == pytest.approx((0.5 + 0.5 + 0.5) / 3)


@pytest.mark.parametrize("seed", range(3))
def test_what_stands_in_masked_cells_changes_nothing(seed: int) -> None:
    data = draw(seed)
    hidden = ~data["mask"]
    turned = data | {name: np.where(hidden, ~data[name], data[name]) for name in ("Y", "predicted", "review")}
    turned["probs"] = np.where(hidden, 1 - data["probs"], data["probs"])
    before, after = evaluated(data), evaluated(turned)
    assert repr(asdict(after)["labels"]) == repr(asdict(before)["labels"])
    assert after.confusion == before.confusion
    assert [axis.micro_f1 for axis in after.axes] == [axis.micro_f1 for axis in before.axes]


def test_a_record_with_an_unsure_scope_is_left_out_of_scope() -> None:
    data = draw(2)
    data["mask"][:] = True
    with_all = evaluated(data)
    data["mask"][0, 1] = False  # an annotator could not decide whether it is "b"
    report = evaluated(data)
    rest = evaluated({name: array[1:] for name, array in data.items()})
    assert report.axis("scope").annotated == with_all.axis("scope").annotated - 1
    assert report.confusion == rest.confusion
    assert report.axis("scope").micro_f1.value == rest.axis("scope").micro_f1.value
    assert report.axis("scope").accuracy == rest.axis("scope").accuracy
    assert report.axis("disease").annotated == with_all.axis("disease").annotated


def test_labels_present_but_never_predicted_are_named() -> None:
    data = draw(1)
    data["predicted"][:, [3, 4]] = False
    data["Y"][:, 4] = False  # not present either, so nothing to tell
    assert evaluated(data).never_predicted == ("x",)


def test_a_label_never_predicted_has_no_precision_and_an_f1_of_nought() -> None:
    data = draw(1)
    data["predicted"][:, 3] = False
    label = evaluated(data).labels[3]
    assert math.isnan(label.precision)
    assert label.f1.value == 0.0


@pytest.mark.parametrize("seed", range(3))
def test_every_interval_holds_its_value(seed: int) -> None:
    report = evaluated(draw(seed), bootstrap=500)
    intervals = [label.f1 for label in report.labels]
    intervals += [interval for axis in report.axes for interval in (axis.micro_f1, axis.macro_f1)]
    for interval in intervals:
        assert 0 <= interval.low < interval.value < interval.high <= 1


def test_more_records_make_narrower_intervals() -> None:
    few, many = (evaluated(draw(1, n)).axis("disease").micro_f1 for n in (60, 1500))
    assert many.high - many.low < 0.5 * (few.high - few.low)


def test_an_interval_is_that_of_resampled_records() -> None:
    data = draw(5)
    generator = np.random.default_rng(0)
    cells = data["mask"][:, 3]
    values = []
    for _ in range(2000):
        rows = generator.integers(0, len(cells), len(cells))
        rows = rows[cells[rows]]
        gold, guess = data["Y"][rows, 3], data["predicted"][rows, 3]
        values.append(2 * (gold & guess).sum() / (gold.sum() + guess.sum()))
    interval = evaluated(data, bootstrap=2000).labels[3].f1
    assert [interval.low, interval.high] == pytest.approx(np.percentile(values, [2.5, 97.5]), abs=0.02)


def test_the_same_seed_gives_the_same_intervals() -> None:
    assert evaluated(draw(1), seed=3) == evaluated(draw(1), seed=3)


def test_another_seed_gives_other_intervals_but_the_same_values() -> None:
    first, second = (evaluated(draw(1), seed=seed).axis("disease").micro_f1 for seed in (3, 4))
    assert first.value == second.value
    assert (first.low, first.high) != (second.low, second.high)


def test_no_records_give_undefined_figures() -> None:
    data = {name: array[:0] for name, array in draw(1).items()}
    report = evaluated(data)
    assert report.n_records == 0
    assert math.isnan(report.axis("scope").micro_f1.value)
    assert math.isnan(report.axis("scope").review_share)
    assert report.never_predicted == ()


def test_an_axis_that_was_never_annotated_has_undefined_figures() -> None:
    data = draw(1)
    data["mask"][:, 3:] = False
    axis = evaluated(data).axis("disease")
    assert axis.annotated == 0
    assert math.isnan(axis.micro_f1.value)
    assert math.isnan(axis.calibration_error)


def test_the_review_share_of_an_axis_counts_records() -> None:
    data = draw(1)
    data["mask"][:] = True
    expected = data["review"][:, 3:].any(axis=1).mean()
    assert evaluated(data).axis("disease").review_share == pytest.approx(expected)


@pytest.mark.parametrize(
    ("probs", "y", "bins", "error"),
    [
        ([0.0, 0.0, 1.0, 1.0], [0, 0, 1, 1], 2, 0.0),
        ([0.0, 0.0, 1.0, 1.0], [1, 1, 0, 0], 2, 1.0),
        ([0.2, 0.4, 0.6, 0.8], [0, 1, 1, 1], 2, (2 * abs(0.3 - 0.5) + 2 * abs(0.7 - 1.0)) / 4),
        ([0.8, 0.2, 0.6, 0.4], [1, 0, 1, 1], 2, (2 * abs(0.3 - 0.5) + 2 * abs(0.7 - 1.0)) / 4),
        ([0.1, 0.2, 0.9], [0, 0, 1], 2, (2 * 0.15 + 0.1) / 3),
        ([0.3, 0.9], [1, 1], 10, (0.7 + 0.1) / 2),
    ],
)
def test_calibration_error_by_hand(probs: list[float], y: list[int], bins: int, error: float) -> None:
    assert calibration_error(np.array(probs), np.array(y, dtype=bool), bins) == pytest.approx(error)


def test_the_calibration_error_of_nothing_is_undefined() -> None:
    nothing: Floats = np.zeros(0)
    none: Bools = np.zeros(0, dtype=bool)
    assert math.isnan(calibration_error(nothing, none))


def test_equal_probabilities_share_one_step_of_average_precision() -> None:
    y = np.array([True, False, False, True])
    assert average_precision(np.full(4, 0.5), y) == 0.5 == average_precision(np.full(4, 0.5), y[::-1])
