"""The measures of a ranking on orders small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exoclass.ranking import score_ranking


def test_a_perfect_order_saves_all_that_is_irrelevant() -> None:
    relevant = [True] * 20 + [False] * 80
    found = score_ranking(np.arange(100, 0, -1), relevant)
    assert (found.papers, found.relevant) == (100, 20)
    assert found.average_precision == 1.0
    assert found.wss95 == pytest.approx((100 - 19) / 100 - 0.05)  # 19 of 20 are 95 %
    assert found.recall_at == (0.5, 1.0, 1.0)


def test_the_worst_order_reads_nearly_all() -> None:
    found = score_ranking(np.arange(100), [True] * 20 + [False] * 80)
    assert found.wss95 == pytest.approx(0.01 - 0.05)
    assert found.recall_at == (0.0, 0.0, 0.0)


def test_ties_are_read_in_the_order_given() -> None:
    assert score_ranking([0.0] * 4, [False, True, False, True]).average_precision == pytest.approx((1 / 2 + 2 / 4) / 2)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1).filter(lambda rows: any(r for _, r in rows)))
def test_all_values_lie_where_they_should(rows: list[tuple[float, bool]]) -> None:
    found = score_ranking([p for p, _ in rows], [r for _, r in rows])
    assert -0.05 <= found.wss95 < 0.95
    assert 0 < found.average_precision <= 1
    assert list(found.recall_at) == sorted(found.recall_at)


def test_nothing_relevant_cannot_be_scored() -> None:
    with pytest.raises(ValueError, match="nothing is relevant"):
        score_ranking([0.5], [False])
