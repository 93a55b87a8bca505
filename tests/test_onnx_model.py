"""The ONNX graph against the torch model it was made from, and the gate that a small graph has to pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import tiny_transformer

from exoclass.errors import ModelError
from exoclass.finetuning import tagger
from exoclass.onnx_model import MAX_F1_LOSS, MAX_SHIFT, Graph, Parity, export, halve, parity

IDS = np.array([[2, 7, 8, 9, 3], [2, 11, 3, 0, 0]])
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
Y = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], dtype=bool)
ALL = np.ones_like(Y)
SCORES = np.where(Y, 2.0, -2.0)


@pytest.fixture(scope="module")
def model(tiny_encoder: Path) -> torch.nn.Module:
    torch.manual_seed(1)
    found: torch.nn.Module = tagger(tiny_transformer(tiny_encoder, read_layers=(0, 2)), 3)[0].encoder
    return found.eval()


@pytest.fixture(scope="module")
def exact(model: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "exact.onnx"
    export(model, path)
    return path


def test_the_graph_gives_what_torch_gives_at_other_lengths_than_it_was_traced_with(
    model: torch.nn.Module, exact: Path
) -> None:
    with torch.inference_mode():
        wanted = model(torch.from_numpy(IDS), torch.from_numpy(MASK)).numpy()
    assert Graph(exact).states(IDS).shape == (2, 5, 64)
    for ids, mask, states in zip(IDS, MASK, wanted, strict=True):  # a text alone is read as beside another, padded
        [found] = Graph(exact).states(ids[None, mask > 0])
        assert found == pytest.approx(states[mask > 0], abs=1e-5)


def test_the_graph_in_half_precision_is_smaller_and_close(exact: Path, tmp_path: Path) -> None:
    halve(exact, tmp_path / "small.onnx")
    assert (tmp_path / "small.onnx").stat().st_size < 0.7 * exact.stat().st_size  # at this size the graph itself weighs
    before, after = (Graph(path).states(IDS) for path in (exact, tmp_path / "small.onnx"))
    assert not np.array_equal(before, after)
    assert np.abs(before - after).max() < 5e-3


@pytest.mark.parametrize("content", [b"", b"nothing", b"\x08\x07"])
def test_what_is_no_graph_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(content)
    with pytest.raises(ModelError, match="no usable ONNX graph"):
        Graph(tmp_path / "x.onnx")


def test_equal_scores_are_at_parity() -> None:
    assert parity(SCORES, SCORES, Y, ALL) == Parity(0.0, 0.0)
    assert Parity(MAX_SHIFT, MAX_F1_LOSS).holds


def test_a_moved_probability_fails_the_gate_though_no_decision_changes() -> None:
    found = parity(SCORES, SCORES * 1.5, Y, ALL)
    assert found.shift == pytest.approx(1 / (1 + np.exp(-3)) - 1 / (1 + np.exp(-2)), abs=1e-4)
    assert found.f1_loss == 0
    assert not found.holds


def test_lost_decisions_fail_the_gate_though_probabilities_hardly_move() -> None:
    before, after = SCORES.copy(), SCORES.copy()
    before[:, 0], after[:, 0] = np.where(Y[:, 0], 0.01, -0.01), np.where(Y[:, 0], -0.01, 0.01)
    found = parity(before, after, Y, ALL)
    assert found.shift < 0.01
    assert found.f1_loss == 1
    assert not found.holds


def test_a_single_decision_of_a_label_is_no_loss() -> None:
    before, after = SCORES.copy(), SCORES.copy()
    before[0, 0], after[0, 0] = 0.01, -0.01
    assert parity(before, after, Y, ALL).f1_loss == 0
    before[1, 0], after[1, 0] = -0.01, 0.01
    assert parity(before, after, Y, ALL).f1_loss > MAX_F1_LOSS


def test_a_cell_that_is_not_annotated_costs_no_f1() -> None:
    mask = ALL.copy()
    mask[0, 0] = False
    assert parity(SCORES, np.where(mask, SCORES, -SCORES), Y, mask).f1_loss == 0


def test_single_labels_are_compared_as_a_choice() -> None:
    Y_one = np.array([[1, 0], [0, 1]], dtype=bool)
    before = np.array([[3.0, 1.0], [1.0, 3.0]])
    assert parity(before, before + 5, Y_one, np.ones_like(Y_one), single=[0, 1]) == Parity(0.0, 0.0)
    turned = parity(before, before[:, ::-1], Y_one, np.ones_like(Y_one), single=[0, 1])
    assert turned.f1_loss == 1
