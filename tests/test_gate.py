"""The gate on arrays whose outcome is known: what it stops, what it lets pass, and how often by chance."""

from __future__ import annotations

import numpy as np
import pytest

from exoclass.backend import Bools
from exoclass.calibration import AxisColumns
from exoclass.gate import Limits, Scored, Verdict, contradicted, judge, suspicious

N, LABELS = 300, 6
IDS = tuple(f"label{number}" for number in range(LABELS))
AXES = (AxisColumns("disease", (0, 1, 2), False, ()), AxisColumns("mechanism", (3, 4, 5), False, ()))


def truth(rng: np.random.Generator) -> Bools:
    return rng.random((N, LABELS)) < 0.3


def scored(Y: Bools, rng: np.random.Generator, errors: float | list[float], *, seconds: float = 1e-3) -> Scored:
    """Return decisions that are wrong at a rate, and probabilities that know it."""
    wrong = rng.random(Y.shape) < np.asarray(errors)
    predicted = Y ^ wrong
    rate = np.clip(np.broadcast_to(np.asarray(errors), Y.shape), 0.01, 0.99)
    return Scored(np.where(predicted, 1 - rate, rate), predicted, seconds, 1000)


def compare(Y: Bools, champion: Scored, challenger: Scored, limits: Limits | None = None) -> Verdict:
    return judge(
        ids=IDS, axes=AXES, Y=Y, mask=np.ones_like(Y), champion=champion, challenger=challenger,
        limits=limits or Limits(),
    )  # fmt: skip


def test_the_same_model_passes() -> None:
    rng = np.random.default_rng(1)
    Y = truth(rng)
    one = scored(Y, rng, 0.1)
    verdict = compare(Y, one, one)
    assert verdict.passed
    assert all(found.gain.value == found.gain.low == found.gain.high == 0 for found in verdict.labels)


def test_a_better_model_passes_and_a_worse_one_does_not() -> None:
    rng = np.random.default_rng(2)
    Y = truth(rng)
    good, bad = scored(Y, rng, 0.05), scored(Y, rng, 0.25)
    assert compare(Y, bad, good).passed
    verdict = compare(Y, good, bad)
    assert any("disease loses 0." in reason for reason in verdict.reasons)
    assert any("is significantly worse: F1 0." in reason for reason in verdict.reasons)


def test_a_loss_within_chance_is_no_reason() -> None:
    rng = np.random.default_rng(8)
    Y = truth(rng)[:40]
    before, after = scored(Y, rng, 0.2), scored(Y, rng, 0.2)
    if compare(Y, before, after).axes[0].gain.value > 0:
        before, after = after, before
    verdict = compare(Y, before, after, Limits(margin=0.0))
    assert verdict.axes[0].gain.value < 0 < verdict.axes[0].gain.high
    assert not [reason for reason in verdict.reasons if reason.startswith("disease loses")]


def test_one_label_that_breaks_is_found_although_the_axis_holds() -> None:
    rng = np.random.default_rng(3)
    Y = truth(rng)
    before = scored(Y, rng, 0.15)
    after = scored(Y, rng, [0.0, 0.0, 0.4, 0.1, 0.1, 0.1])
    [reason] = [reason for reason in compare(Y, before, after).reasons if "significantly" in reason]
    assert reason.startswith("label2 is significantly worse")


def test_chance_seldom_stops_a_model_that_is_as_good() -> None:
    rng = np.random.default_rng(4)
    stopped = 0
    for _ in range(40):
        Y = truth(rng)
        verdict = compare(Y, scored(Y, rng, 0.1), scored(Y, rng, 0.1), Limits(margin=1.0))
        stopped += any("significantly" in reason for reason in verdict.reasons)
    assert stopped <= 6  # Holm at 5 %: two of 40 on average


def test_a_slow_or_overconfident_model_is_stopped() -> None:
    rng = np.random.default_rng(5)
    Y = truth(rng)
    good = scored(Y, rng, 0.2)
    slow = Scored(good.probs, good.predicted, 3 * good.seconds, good.size)
    assert compare(Y, good, slow).reasons == ("it takes 3.0 ms per record, the champion 1.0 ms",)
    sure = Scored(np.where(good.predicted, 0.999, 0.001), good.predicted, good.seconds, good.size)
    assert {reason.split(" of ")[0] for reason in compare(Y, good, sure).reasons} == {"the calibration error"}


def test_the_p_value_is_that_of_the_worse_side() -> None:
    rng = np.random.default_rng(6)
    Y = truth(rng)
    verdict = compare(Y, scored(Y, rng, 0.02), scored(Y, rng, 0.3))
    assert all(found.p_worse < 0.01 for found in verdict.labels)
    back = compare(Y, scored(Y, rng, 0.3), scored(Y, rng, 0.02))
    assert all(found.p_worse > 0.9 for found in back.labels)


def test_records_that_contradict() -> None:
    probs = np.array([[0.995, 0.5], [0.5, 0.5], [0.005, 0.5], [0.005, 0.5]])
    Y = np.array([[False, True], [True, False], [True, False], [True, False]])
    mask = np.array([[True, True], [True, True], [True, True], [False, True]])
    assert contradicted(probs, Y, mask).tolist() == [True, False, True, False]


@pytest.mark.parametrize(("wrong", "found"), [(10, False), (12, False), (30, True), (60, True)])
def test_too_many_contradictions_are_suspicious(wrong: int, found: bool) -> None:
    new, usual = np.arange(100) < wrong, np.arange(250) < 25
    assert suspicious(new, usual)[0] == found
