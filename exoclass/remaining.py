"""How much a curator who reads in ranked order has found so far: an estimate, and a hint when to stop; never a promise.

Two methods that fail in different ways. The *estimate* trusts the model: the calibrated probabilities of what was not
read add up to the number that is left, corrected by how far they were out on what was read (a Gamma-Poisson model,
whose prior says that the probabilities hold). The *hint* does not trust it: it is the test of Callaghan and
Müller-Hansen, "Statistical stopping criteria for automated screening in systematic reviews", Systematic Reviews 9:273,
2020, which asks how likely so few relevant papers among those read last would be if the target had been missed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TARGET = 0.95
"""Share of the relevant papers that screening aims at."""

ALPHA = 0.05
PRIOR = 5.0
"""How many relevant papers the belief that the probabilities hold is worth."""


@dataclass(frozen=True, slots=True)
class Remaining:
    """What was found, and what may be left.

    Parameters
    ----------
    read, unread, found
        Numbers of papers; `found` are relevant.
    left, left_low, left_high
        Estimate of the relevant ones among the unread, and its 95 % interval.
    recall, recall_low, recall_high
        The same as a share of all relevant ones, in [0, 1]; NaN as long as nothing was found.
    p_missed
        Probability, at most, of reading so few relevant papers lately if less than `TARGET` had been found.
    """

    read: int
    unread: int
    found: int
    left: float
    left_low: int
    left_high: int
    recall: float
    recall_low: float
    recall_high: float
    p_missed: float

    @property
    def may_stop(self) -> bool:
        """Whether the test says that the target is reached."""
        return self.p_missed < ALPHA

    def line(self) -> str:
        """Return both findings for people."""
        if not self.unread:
            return f"{self.read:,} read, {self.found:,} relevant; nothing is unread."
        if not self.found:
            return f"{self.read:,} read, none relevant so far; {self.unread:,} unread."
        said = (
            f"{self.read:,} read, {self.found:,} relevant: an estimated {self.recall:.0%} "
            f"({self.recall_low:.0%}-{self.recall_high:.0%}) of all, with about {self.left:.0f} "
            f"({self.left_low:,}-{self.left_high:,}) left among {self.unread:,} unread."
        )
        if self.may_stop:
            return f"{said} What you read last speaks for {TARGET:.0%} found (p = {self.p_missed:.3f}): you may stop."
        return f"{said} What you read last is no reason to stop yet (p = {self.p_missed:.2f})."


def estimate(read: Sequence[bool], read_probs: Sequence[float], unread_probs: Sequence[float]) -> Remaining:
    """Estimate what is left.

    Parameters
    ----------
    read
        Whether each paper that was read is relevant, in the order in which they were read.
    read_probs, unread_probs
        Calibrated probabilities of being relevant, of the same papers and of the others.
    """
    from scipy.stats import nbinom

    found, expected, rest = int(sum(read)), float(sum(read_probs)), float(sum(unread_probs))
    shape, rate = found + PRIOR, expected + PRIOR
    left = shape / rate * rest
    if rest > 0:
        low, high = (int(nbinom.ppf(q, shape, rate / (rate + rest))) for q in (0.025, 0.975))
    else:
        low = high = 0
    low, high = min(low, len(unread_probs)), min(high, len(unread_probs))
    left = min(left, float(len(unread_probs)))

    def recall(missed: float) -> float:
        return found / (found + missed) if found else math.nan

    return Remaining(
        read=len(read), unread=len(unread_probs), found=found, left=left, left_low=low, left_high=high,
        recall=recall(left), recall_low=recall(high), recall_high=recall(low),
        p_missed=chance_of_missing(read, len(read) + len(unread_probs)),
    )  # fmt: skip


def chance_of_missing(read: Sequence[bool], total: int, *, target: float = TARGET) -> float:
    """Return the p-value of the hypothesis that less than `target` of the relevant papers were found.

    The papers read last are taken for a random draw from all that were unread then. With a ranking better than
    chance they are richer than that, so that the test errs towards reading on. As the authors do, the smallest p over
    all lengths of "last" is taken.

    >>> chance_of_missing([True, True, False], 100) > 0.9
    True
    >>> chance_of_missing([True] * 20 + [False] * 70, 100) < 0.05
    True
    """
    from scipy.stats import hypergeom

    if not any(read):
        return 1.0
    drawn = np.asarray(read, dtype=int)[::-1].cumsum()  # relevant among the last 1, 2, … papers
    sizes = np.arange(1, len(read) + 1)
    found = int(drawn[-1])
    # So many there would have to be in each urn for the target to be missed.
    needed = np.floor(found / target + 1 - (found - drawn))
    return float(np.min(hypergeom.cdf(drawn, total - (len(read) - sizes), needed, sizes)))
