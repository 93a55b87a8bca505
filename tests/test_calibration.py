"""Probabilities, thresholds and "not sure": on synthetic scores whose true probabilities are known."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from exoclass.backend import Bools, Floats
from exoclass.calibration import NO, REVIEW, YES, AxisColumns, CalibrationConfig, Calibrator
from exoclass.metrics import calibration_error

CONFIG = CalibrationConfig(prior_strength=2.0, threshold_prior=15.0, review_share=0.05, review_accuracy=0.88)
SCOPE = AxisColumns("scope", (0, 1, 2), single=True)
DISEASE = AxisColumns("disease", (3, 4, 5), single=False)
AXES = (SCOPE, DISEASE)
N = 4000


def sigmoid(values: Floats) -> Floats:
    result: Floats = 1 / (1 + np.exp(-values))
    return result


def draw(n: int = N, seed: int = 3) -> tuple[Floats, Bools, Bools]:
    """Return scores, labels drawn from known functions of the scores, and a mask of 90 %."""
    generator = np.random.default_rng(seed)
    scores = generator.normal(size=(n, 6))
    Y = np.zeros((n, 6), dtype=bool)
    gumbel = generator.gumbel(size=(n, 3))
    best = (2.5 * scores[:, :3] + np.array([1.0, 0.0, -1.0]) + gumbel).argmax(axis=1)
    Y[np.arange(n), best] = True
    Y[:, 3:] = generator.random((n, 3)) < sigmoid(scores[:, 3:] * [3.0, 0.5, 1.5] + [0.0, -1.0, -2.0])
    mask = np.repeat(generator.random((n, 2)) < 0.9, 3, axis=1)
    return scores, Y, mask


@pytest.fixture(scope="module")
def fitted() -> Calibrator:
    return Calibrator(AXES, CONFIG).fit(*draw())


def fixed(**values: list[float]) -> Calibrator:
    """Return a calibrator with thresholds at 0.5, bands from 0.4 to 0.6, and a scope that is sure from 0.7 on."""
    plain = {
        "slopes": [1.0] * 6,
        "offsets": [0.0] * 6,
        "thresholds": [0.5] * 6,
        "low": [0.0] * 3 + [0.4] * 3,
        "high": [0.7] * 3 + [0.6] * 3,
    }
    return Calibrator.from_dict(plain | values, AXES, CONFIG)


def test_fit_returns_the_calibrator_itself() -> None:
    calibrator = Calibrator(AXES, CONFIG)
    assert calibrator.fit(*draw(100)) is calibrator


SCORES = arrays(np.float64, st.tuples(st.integers(1, 5), st.just(6)), elements=st.floats(-1e6, 1e6))


@given(SCORES)
def test_probabilities_lie_between_zero_and_one(fitted: Calibrator, scores: Floats) -> None:
    probs = fitted.probabilities(scores)
    assert probs.shape == scores.shape
    assert (probs >= 0).all()
    assert (probs <= 1).all()


@given(SCORES)
def test_the_probabilities_of_scope_add_up_to_one(fitted: Calibrator, scores: Floats) -> None:
    assert fitted.probabilities(scores)[:, :3].sum(axis=1) == pytest.approx(1.0)


@pytest.mark.parametrize("column", range(6))
def test_a_higher_score_never_means_a_lower_probability(fitted: Calibrator, column: int) -> None:
    scores = np.zeros((50, 6))
    scores[:, column] = np.linspace(-12, 12, 50)
    probs = fitted.probabilities(scores)[:, column]
    assert (np.diff(probs) >= 0).all()
    assert probs[-1] > probs[0]


def test_scores_that_tell_nothing_or_the_contrary_do_not_turn_the_ranking_round() -> None:
    scores, Y, mask = draw(500)
    calibrator = Calibrator(AXES, CONFIG).fit(-scores, Y, mask)
    assert (calibrator.slopes_ > 0).all()


@pytest.mark.parametrize("column", [3, 4, 5])
def test_the_true_curve_of_a_label_is_found(fitted: Calibrator, column: int) -> None:
    slope, offset = {3: (3.0, 0.0), 4: (0.5, -1.0), 5: (1.5, -2.0)}[column]
    assert fitted.slopes_[column] == pytest.approx(slope, rel=0.15)
    assert fitted.offsets_[column] == pytest.approx(offset, abs=0.2)


def test_the_true_curve_of_scope_is_found(fitted: Calibrator) -> None:
    assert fitted.slopes_[:3] == pytest.approx([2.5] * 3, rel=0.1)
    offsets = fitted.offsets_[:3]
    assert offsets - offsets[1] == pytest.approx([1.0, 0.0, -1.0], abs=0.15)


@pytest.mark.parametrize("column", range(6))
def test_new_records_get_a_small_calibration_error(fitted: Calibrator, column: int) -> None:
    scores, Y, _ = draw(seed=11)
    error = calibration_error(fitted.probabilities(scores)[:, column], Y[:, column])
    assert error < 0.03


def test_calibration_mends_what_raw_scores_get_wrong(fitted: Calibrator) -> None:
    scores, Y, _ = draw(seed=11)
    raw = calibration_error(sigmoid(scores[:, 5]), Y[:, 5])
    assert raw > 5 * calibration_error(fitted.probabilities(scores)[:, 5], Y[:, 5])


def test_masked_cells_are_not_learnt_from(fitted: Calibrator) -> None:
    scores, Y, mask = draw()
    again = Calibrator(AXES, CONFIG).fit(scores, np.where(mask, Y, ~Y), mask)
    assert again.to_dict() == fitted.to_dict()


def test_scores_of_masked_cells_do_not_matter(fitted: Calibrator) -> None:
    scores, Y, mask = draw()
    again = Calibrator(AXES, CONFIG).fit(np.where(mask, scores, 5.0), Y, mask)
    assert again.to_dict() == fitted.to_dict()


def test_records_without_one_scope_are_left_out_of_scope(fitted: Calibrator) -> None:
    scores, Y, mask = draw()
    two, none = np.zeros((2, 6), dtype=bool), np.zeros((2, 6), dtype=bool)
    two[:, :2] = True
    unannotated = np.zeros((4, 6), dtype=bool)
    unannotated[:, :3] = True
    again = Calibrator(AXES, CONFIG).fit(
        np.vstack([scores, np.full((4, 6), 9.0)]), np.vstack([Y, two, none]), np.vstack([mask, unannotated])
    )
    assert again.to_dict() == fitted.to_dict()


def test_nothing_annotated_leaves_scores_as_log_odds() -> None:
    scores, Y, mask = draw(50)
    calibrator = Calibrator(AXES, CONFIG).fit(scores, Y, np.zeros_like(mask))
    assert calibrator.probabilities(scores)[:, 3:] == pytest.approx(sigmoid(scores[:, 3:]))


def rare(positives: int) -> tuple[Floats, Bools, Bools]:
    """Return data in which the last label has so few positives."""
    scores, Y, mask = draw()
    few = np.flatnonzero(Y[:, 5] & mask[:, 5])[:positives]
    Y[:, 5] = False
    Y[few, 5] = True
    return scores, Y, mask


def thresholds(data: tuple[Floats, Bools, Bools], prior: float) -> Floats:
    return Calibrator(AXES, replace(CONFIG, threshold_prior=prior)).fit(*data).thresholds_[3:]


def test_with_a_strong_prior_all_thresholds_of_an_axis_are_the_pooled_one() -> None:
    assert np.ptp(thresholds(rare(40), 1e9)) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("positives", [1, 3, 10])
def test_few_positives_shrink_the_threshold_to_the_pooled_one(positives: int) -> None:
    data = rare(positives)
    pooled, own, mixed = (thresholds(data, prior)[2] for prior in (1e12, 1e-12, 15.0))
    assert abs(own - pooled) > 0.05
    assert mixed - pooled == pytest.approx((own - pooled) * positives / (positives + 15), abs=1e-5)


def test_many_positives_keep_their_own_threshold() -> None:
    data = draw()
    own, mixed = thresholds(data, 1e-12), thresholds(data, 15.0)
    assert mixed == pytest.approx(own, abs=0.01)


def test_a_label_without_positives_has_the_pooled_threshold() -> None:
    data = rare(0)
    assert thresholds(data, 15.0)[2] == pytest.approx(thresholds(data, 1e12)[2], abs=1e-5)


def test_a_label_without_positives_is_not_calibrated_upwards() -> None:
    scores, Y, mask = rare(0)
    probs = Calibrator(AXES, CONFIG).fit(scores, Y, mask).probabilities(scores)[:, 5]
    assert probs.mean() < 0.02


def test_few_positives_shrink_the_curve_to_that_of_the_axis() -> None:
    data = rare(2)
    loose, tight = (
        Calibrator(AXES, replace(CONFIG, prior_strength=strength)).fit(*data).slopes_[3:] for strength in (1e-6, 1e9)
    )
    assert np.ptp(tight) < 1e-3
    assert np.ptp(loose) > 0.5


def test_the_threshold_of_a_label_is_the_one_with_the_best_f1() -> None:
    scores, Y, mask = draw()
    calibrator = Calibrator(AXES, replace(CONFIG, threshold_prior=1e-12)).fit(scores, Y, mask)
    probs, gold = calibrator.probabilities(scores)[mask[:, 4], 4], Y[mask[:, 4], 4]

    def f1(cut: float) -> float:
        guess = probs >= cut
        return float(2 * (guess & gold).sum() / (guess.sum() + gold.sum()))

    best = max(f1(float(cut)) for cut in probs)
    assert f1(float(calibrator.thresholds_[4])) == pytest.approx(best, abs=1e-3)


def test_the_review_band_lies_around_the_threshold(fitted: Calibrator) -> None:
    low, cut, high = fitted.low_[3:], fitted.thresholds_[3:], fitted.high_[3:]
    assert (low < cut).all()
    assert (cut < high).all()

    def logit(values: Floats) -> Floats:
        return np.asarray(np.log(values / (1 - values)))

    assert logit(high) - logit(cut) == pytest.approx(logit(cut) - logit(low), abs=1e-4)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_the_review_band_holds_the_share_that_was_asked_for(share: float) -> None:
    scores, Y, mask = draw()
    calibrator = Calibrator(AXES, replace(CONFIG, review_share=share)).fit(scores, Y, mask)
    decisions = calibrator.decide(calibrator.probabilities(scores))[:, 3:]
    assert (decisions == REVIEW)[mask[:, 3:]].mean() == pytest.approx(share, abs=0.01)


def test_sure_scopes_are_right_in_the_share_that_was_asked_for(fitted: Calibrator) -> None:
    scores, Y, _ = draw(seed=11)
    decisions = fitted.decide(fitted.probabilities(scores))[:, :3]
    sure = (decisions == YES).any(axis=1)
    assert 0.2 < sure.mean() < 0.95
    assert Y[:, :3][decisions == YES].mean() == pytest.approx(CONFIG.review_accuracy, abs=0.03)


def test_a_higher_accuracy_asked_for_means_fewer_sure_scopes() -> None:
    data = draw()
    cuts = [
        Calibrator(AXES, replace(CONFIG, review_accuracy=accuracy)).fit(*data).high_[0]
        for accuracy in (0.8, 0.88, 0.95)
    ]
    assert cuts[0] < cuts[1] < cuts[2]


@pytest.mark.parametrize(
    ("prob", "decision"), [(0.39, NO), (0.4, REVIEW), (0.5, REVIEW), (0.59, REVIEW), (0.6, YES), (1.0, YES), (0.0, NO)]
)
def test_below_the_band_is_no_within_review_above_yes(prob: float, decision: int) -> None:
    probs = np.array([[0.8, 0.1, 0.1, prob, 0.0, 0.0]])
    assert fixed().decide(probs)[0, 3] == decision


@pytest.mark.parametrize(("prob", "decision"), [(0.49, NO), (0.5, YES)])
def test_a_forced_decision_is_cut_at_the_threshold(prob: float, decision: int) -> None:
    probs = np.array([[0.8, 0.1, 0.1, prob, 0.0, 0.0]])
    assert fixed().decide(probs, forced=True)[0, 3] == decision


@pytest.mark.parametrize(("prob", "decision"), [(0.24, NO), (0.25, YES), (0.45, YES)])
def test_a_threshold_that_is_given_replaces_the_learned_ones(prob: float, decision: int) -> None:
    probs = np.array([[0.8, 0.1, 0.1, prob, 0.0, 0.0]])
    assert fixed().decide(probs, threshold=0.25)[0, 3] == decision


@pytest.mark.parametrize("options", [{}, {"forced": True}, {"threshold": 0.9}])
def test_exactly_one_scope_is_chosen(fitted: Calibrator, options: dict[str, Any]) -> None:
    scores, _, _ = draw(300)
    probs = fitted.probabilities(scores)
    decisions = fitted.decide(probs, **options)[:, :3]
    assert ((decisions != NO).sum(axis=1) == 1).all()
    assert (decisions.argmax(axis=1) == probs[:, :3].argmax(axis=1)).all()


@pytest.mark.parametrize(("prob", "decision"), [(0.69, REVIEW), (0.7, YES)])
def test_a_scope_below_its_sure_probability_is_review(prob: float, decision: int) -> None:
    probs = np.array([[0.1, prob, 0.9 - prob, 0.0, 0.0, 0.0]])
    assert fixed().decide(probs)[0].tolist() == [NO, decision, NO, NO, NO, NO]


def test_a_forced_scope_is_never_review() -> None:
    assert fixed().decide(np.array([[0.3, 0.4, 0.3, 0, 0, 0]]), forced=True)[0, 1] == YES


@pytest.mark.parametrize("options", [{"forced": True}, {"threshold": 0.3}])
def test_without_a_band_no_label_is_review(fitted: Calibrator, options: dict[str, Any]) -> None:
    axes = (SCOPE, replace(DISEASE, exclusive=(5,)))
    calibrator = Calibrator.from_dict(fitted.to_dict(), axes, CONFIG)
    generator = np.random.default_rng(1)
    decisions = calibrator.decide(generator.random((500, 6)), **options)[:, 3:]
    assert (decisions == YES).any()
    assert not (decisions == REVIEW).any()


@pytest.mark.parametrize(
    ("probs", "decisions"),
    [
        ([0.9, 0.1, 0.8], [YES, NO, NO]),  # another label is likelier: it does not stand alone
        ([0.7, 0.1, 0.8], [REVIEW, NO, YES]),  # it is likelier: the other is at most "not sure"
        ([0.5, 0.1, 0.8], [REVIEW, NO, YES]),
        ([0.1, 0.1, 0.8], [NO, NO, YES]),
        ([0.9, 0.1, 0.5], [YES, NO, NO]),
        ([0.9, 0.7, 0.1], [YES, YES, NO]),  # the others do not exclude each other
        ([0.5, 0.1, 0.5], [REVIEW, NO, REVIEW]),
    ],
)
def test_an_exclusive_label_stands_alone(probs: list[float], decisions: list[int]) -> None:
    axes = (SCOPE, replace(DISEASE, exclusive=(5,)))
    calibrator = Calibrator.from_dict(fixed().to_dict(), axes, CONFIG)
    assert calibrator.decide(np.array([[0.8, 0.1, 0.1, *probs]]))[0, 3:].tolist() == decisions


def test_two_exclusive_labels_are_never_both_yes() -> None:
    axes = (SCOPE, replace(DISEASE, exclusive=(4, 5)))
    calibrator = Calibrator.from_dict(fixed().to_dict(), axes, CONFIG)
    probs = np.random.default_rng(1).random((500, 6))
    yes = calibrator.decide(probs)[:, 3:] == YES
    assert yes[:, 1:].any()
    assert not ((yes[:, 1] | yes[:, 2]) & (yes.sum(axis=1) > 1)).any()


def test_what_was_learned_survives_json(fitted: Calibrator) -> None:
    copy = Calibrator.from_dict(json.loads(json.dumps(fitted.to_dict())), AXES, CONFIG)
    scores, _, _ = draw(500, seed=12)
    assert np.array_equal(copy.probabilities(scores), fitted.probabilities(scores))
    for options in ({}, {"forced": True}):
        probs = fitted.probabilities(scores)
        assert np.array_equal(copy.decide(probs, **options), fitted.decide(probs, **options))


@pytest.mark.parametrize("name", ["slopes", "offsets", "thresholds", "low", "high"])
@pytest.mark.parametrize(
    "bad", [[1.0] * 5, [1.0] * 7, [], 1.0, "x", None, [[1.0] * 6], ["x"] * 6, [float("nan")] * 6, [float("inf")] * 6]
)
def test_values_that_do_not_fit_are_refused(name: str, bad: Any) -> None:  # noqa: ANN401 - anything from a JSON file
    with pytest.raises((KeyError, TypeError, ValueError)):
        Calibrator.from_dict(fixed().to_dict() | {name: bad}, AXES, CONFIG)


@pytest.mark.parametrize("name", ["slopes", "offsets", "thresholds", "low", "high"])
def test_a_missing_value_is_refused(name: str) -> None:
    values = fixed().to_dict()
    del values[name]
    with pytest.raises(KeyError, match=name):
        Calibrator.from_dict(values, AXES, CONFIG)


def test_no_records_give_no_rows(fitted: Calibrator) -> None:
    probs = fitted.probabilities(np.zeros((0, 6)))
    assert probs.shape == (0, 6)
    assert fitted.decide(probs).shape == (0, 6)
