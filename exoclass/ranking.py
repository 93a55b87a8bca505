"""How good an order of papers is for someone who reads it from the top: the measures of title/abstract screening."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SHARES = (0.1, 0.2, 0.5)


@dataclass(frozen=True, slots=True)
class RankingScore:
    """One order of papers against the truth; all values in [0, 1] but `wss95`, which can fall to -0.05.

    Parameters
    ----------
    wss95
        Work saved over sampling at 95 % recall (Cohen et al. 2006): the share of papers that need not be read,
        less the 5 % that reading at random would save at that recall.
    recall_at
        Recall after reading the first 10, 20 and 50 %.
    average_precision
        Area under the precision-recall steps.
    """

    papers: int
    relevant: int
    wss95: float
    recall_at: tuple[float, ...]
    average_precision: float


def score_ranking(relevance: Sequence[float] | np.ndarray, relevant: Sequence[bool] | np.ndarray) -> RankingScore:
    """Score the order of falling `relevance`; ties count as read in the order given.

    >>> score_ranking([0.9, 0.8, 0.1, 0.2], [True, False, False, True]).recall_at
    (0.0, 0.0, 0.5)

    Raises
    ------
    ValueError
        If nothing is relevant.
    """
    truth = np.asarray(relevant, dtype=bool)[np.argsort(-np.asarray(relevance, dtype=float), kind="stable")]
    if not truth.any():
        raise ValueError("nothing is relevant")
    found = truth.cumsum()
    total, wanted = len(truth), int(found[-1])
    read = int(np.searchsorted(found, np.ceil(0.95 * wanted))) + 1
    precision = found / np.arange(1, total + 1)
    return RankingScore(
        papers=total,
        relevant=wanted,
        wss95=(total - read) / total - 0.05,
        recall_at=tuple(
            float(found[int(total * share) - 1]) / wanted if total * share >= 1 else 0.0 for share in SHARES
        ),
        average_precision=float(precision[truth].mean()),
    )
