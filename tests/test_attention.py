"""The head as arrays, against the same head in torch and against what label-wise attention is by definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from exoclass.attention import LabelAttention
from exoclass.learning import fit_mean_head, new_head, to_arrays


def some_head(heads: int = 2, labels: int = 3, width: int = 5) -> LabelAttention:
    generator = np.random.default_rng(4)

    def drawn(*shape: int) -> np.ndarray:
        return generator.normal(size=shape).astype(np.float32)

    return LabelAttention(
        drawn(heads, labels, width), drawn(heads, labels, width), drawn(heads, labels), drawn(labels).astype(np.float64)
    )


def states(n: int, width: int = 5) -> np.ndarray:
    return np.random.default_rng(5).normal(size=(n, width)).astype(np.float32)


def test_the_shares_are_those_of_attention_written_out() -> None:
    head, tokens = some_head(), states(7)
    found = head.shares(tokens)
    for label in range(3):
        wanted = np.zeros(7)
        for number in range(2):
            odds = np.exp(tokens @ head.queries[number, label])
            value = tokens @ head.values[number, label] + head.offsets[number, label]
            wanted += odds / odds.sum() * value / 2
        assert found[:, label] == pytest.approx(wanted, abs=1e-5)


def test_without_queries_all_tokens_count_alike() -> None:
    head, tokens = some_head(heads=1), states(4)
    plain = LabelAttention(np.zeros_like(head.queries), head.values, head.offsets, head.bias)
    assert plain.shares(tokens).sum(axis=0) == pytest.approx(
        tokens.mean(axis=0) @ head.values[0].T + head.offsets[0], abs=1e-5
    )


def test_a_text_without_tokens_has_no_shares() -> None:
    assert some_head().shares(np.zeros((0, 0), dtype=np.float32)).shape == (0, 3)


def test_states_of_any_size_give_numbers() -> None:
    assert np.isfinite(some_head().shares(states(6) * np.float32(1e4))).all()


def test_arrays_that_do_not_belong_together_are_told() -> None:
    head = some_head()
    assert head.fits_itself
    assert not LabelAttention(head.queries, head.values[:, :2], head.offsets, head.bias).fits_itself
    assert not LabelAttention(head.queries, head.values * np.float32(np.nan), head.offsets, head.bias).fits_itself


def test_the_arrays_score_as_the_torch_head_they_were_made_from() -> None:
    torch.manual_seed(1)
    head = new_head(2, 3, 5, 0.5).eval()
    with torch.no_grad():
        for name, tensor in [*head.named_parameters(), *head.named_buffers()]:
            tensor.copy_(torch.rand_like(tensor) + (name == "scale"))
        texts = [torch.from_numpy(states(4)), torch.zeros(0, 5), torch.from_numpy(states(9))]
        wanted = head(texts).mean(dim=1).numpy()
    arrays = to_arrays(head)
    found = [arrays.shares(text.numpy()).sum(axis=0) + arrays.bias for text in texts]
    assert np.array(found) == pytest.approx(wanted, abs=1e-5)


def test_the_first_head_tells_means_apart() -> None:
    means = torch.from_numpy(states(40))
    gold = (means[:, [0]] > 0).float()
    head = new_head(2, 1, 5, 0.0).eval()
    fit_mean_head(head, means, lambda scores: torch.nn.functional.binary_cross_entropy_with_logits(scores, gold), 0.001)
    with torch.no_grad():
        found = head(list(means.unsqueeze(1)))
    assert ((found > 0).float() == gold.unsqueeze(1)).float().mean() > 0.95
