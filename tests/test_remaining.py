"""The estimate of what is left: its interval holds as often as it says, and the hint errs towards reading on."""

from __future__ import annotations

import math

import numpy as np
import pytest

from exoclass.remaining import TARGET, chance_of_missing, estimate


def reading(rng: np.random.Generator, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities in ranked order, and truths drawn from them."""
    probs = np.sort(rng.beta(0.4, 1.2, n))[::-1]
    return probs, rng.random(n) < probs


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(share: float) -> None:
    rng = np.random.default_rng(7)
    covered = []
    for _ in range(200):
        probs, truth = reading(rng)
        read = int(share * len(probs))
        found = estimate(list(truth[:read]), list(probs[:read]), list(probs[read:]))
        covered.append(found.left_low <= truth[read:].sum() <= found.left_high)
    assert np.mean(covered) >= 0.93


def test_a_model_that_is_too_hopeful_is_corrected_by_what_was_read() -> None:
    rng = np.random.default_rng(3)
    probs, truth = reading(rng)
    truth &= rng.random(len(truth)) < 0.5  # half of what the model promises
    read = 200
    found = estimate(list(truth[:read]), list(probs[:read]), list(probs[read:]))
    assert abs(found.left - truth[read:].sum()) < abs(probs[read:].sum() - truth[read:].sum())


def test_the_hint_rarely_stops_too_early() -> None:
    rng = np.random.default_rng(11)
    recalls = []
    for _ in range(100):
        probs, truth = reading(rng)
        for read in range(20, len(probs), 20):
            if chance_of_missing(list(truth[:read]), len(truth)) < 0.05:
                recalls.append(truth[:read].sum() / truth.sum())
                break
    assert len(recalls) > 50
    assert np.mean(np.array(recalls) >= TARGET) >= 0.95


def test_all_read_is_all_found() -> None:
    found = estimate([True, False], [0.9, 0.2], [])
    assert (found.left, found.left_low, found.left_high, found.recall) == (0, 0, 0, 1)
    assert found.line() == "2 read, 1 relevant; nothing is unread."


def test_nothing_found_makes_no_claim() -> None:
    found = estimate([False], [0.1], [0.2, 0.3])
    assert math.isnan(found.recall)
    assert not found.may_stop
    assert found.line() == "1 read, none relevant so far; 2 unread."


def test_never_more_left_than_unread() -> None:
    found = estimate([True] * 50, [0.1] * 50, [0.9] * 3)
    assert found.left_high <= 3
    assert found.left <= 3


def test_the_line_says_when_one_may_stop() -> None:
    early = estimate([True] * 5, [0.9] * 5, [0.5] * 95)
    late = estimate([True] * 30 + [False] * 100, [0.9] * 30 + [0.05] * 100, [0.01] * 10)
    assert "no reason to stop yet" in early.line()
    assert "you may stop" in late.line()
