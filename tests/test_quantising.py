"""Graphs in 8-bit integers against the graphs they were made from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import tiny_transformer
from onnx import TensorProto, helper, numpy_helper

from exoclass import onnx_model
from exoclass.finetuning import tagger
from exoclass.onnx_model import Graph, export
from exoclass.quantising import LARGE_SHARE, Rounding, quantise

WIDTH, WORDS, OUT = 96, 40, 24
LARGE = [5, 60]
"""Channels with values fifty times as large as the others', as trained encoders have some."""


@pytest.fixture(scope="module")
def weights() -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings of words, the first of them all noughts, and the weights of one layer."""
    rng = np.random.default_rng(7)
    words = rng.normal(size=(WORDS, WIDTH)).astype(np.float32)
    words[0] = 0
    return words, rng.normal(size=(WIDTH, OUT)).astype(np.float32)


@pytest.fixture(scope="module")
def graphs(weights: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a graph that looks words up and has one layer, and the same in integers.

    Beside the layer it has what some encoders have: the same weights under another name, and a product of no tokens.
    """
    exact, small = (tmp_path_factory.mktemp("graphs") / name for name in ("exact.onnx", "small.onnx"))
    words, layer = weights
    nodes = [
        helper.make_node("Gather", ["words", "input_ids"], ["looked up"]),
        helper.make_node("Mul", ["looked up", "sizes"], ["read"]),
        helper.make_node("MatMul", ["read", "layer"], ["product"]),
        helper.make_node("Identity", ["layer"], ["layer again"]),
        helper.make_node("MatMul", ["read", "layer again"], ["product again"]),
        helper.make_node("Transpose", ["read"], ["turned"], perm=[1, 0, 2]),
        helper.make_node("MatMul", ["turned", "other layer"], ["turned product"]),
        helper.make_node("Transpose", ["turned product"], ["product of no tokens"], perm=[1, 0, 2]),
        helper.make_node("Sum", ["product", "product again", "product of no tokens"], ["states"]),
    ]
    ids = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["n", "m"])]
    states = helper.make_tensor_value_info("states", TensorProto.FLOAT, ["n", "m", OUT])
    sizes = np.where(np.isin(np.arange(WIDTH), LARGE), 50, 1).astype(np.float32)
    arrays = {"words": words, "sizes": sizes, "layer": layer, "other layer": layer[::-1]}
    graph = helper.make_graph(
        nodes, "g", ids, [states], [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), exact)
    quantise(exact, small, [read(range(1, WORDS))])
    return exact, small


def read(*texts: range) -> np.ndarray:
    return np.array([list(text) for text in texts])


def states(path: Path, *texts: range) -> np.ndarray:
    return Graph(path).states(read(*texts))


def test_integers_give_nearly_what_the_exact_graph_gives(graphs: tuple[Path, Path]) -> None:
    before, after = (states(path, range(1, WORDS)) for path in graphs)
    assert 0 < np.abs(before - after).max() < 0.01 * np.abs(before).max()


def test_large_channels_are_computed_exactly(graphs: tuple[Path, Path], weights: tuple[np.ndarray, np.ndarray]) -> None:
    assert round(LARGE_SHARE * WIDTH) == len(LARGE)
    small = onnx.load(graphs[1]).graph
    [kept] = [array for array in small.initializer if array.name == "layer large"]
    assert np.array_equal(numpy_helper.to_array(kept), weights[1][LARGE])


def test_a_product_of_no_tokens_is_left_as_it_is(graphs: tuple[Path, Path]) -> None:
    nodes = {node.output[0]: node for node in onnx.load(graphs[1]).graph.node}
    assert nodes["turned product"].op_type == nodes["product again"].op_type == "MatMul"
    assert nodes["product"].op_type == "Add"


def test_a_text_is_read_the_same_whatever_stands_beside_it(graphs: tuple[Path, Path]) -> None:
    alone = states(graphs[1], range(1, 4))
    for other in range(4, WORDS - 3):
        assert np.array_equal(states(graphs[1], range(1, 4), range(other, other + 3))[0], alone[0])


def test_the_way_of_processors_without_vnni_gives_the_same(
    graphs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = states(graphs[1], range(1, 9))
    monkeypatch.setattr(onnx_model, "_adds_exactly", lambda: False)
    assert np.array_equal(states(graphs[1], range(1, 9)), usual)


def test_a_vector_of_noughts_stays_one(graphs: tuple[Path, Path]) -> None:
    assert not states(graphs[1], range(1)).any()


def test_an_encoder_in_integers_is_smaller_and_close(tiny_encoder: Path, tmp_path: Path) -> None:
    exact, small = tmp_path / "exact.onnx", tmp_path / "small.onnx"
    export(tagger(tiny_transformer(tiny_encoder, read_layers=(0, 2)), 3)[0].encoder, exact)
    shown = np.arange(5, 65).reshape(4, 15)
    quantise(exact, small, [shown])
    assert small.stat().st_size < 0.7 * exact.stat().st_size  # at this size the graph itself weighs
    before, after = (Graph(path).states(shown) for path in (exact, small))
    assert 0 < np.abs(before - after).max() < 0.1


@pytest.mark.parametrize("width", [32, 150])
def test_channels_to_come_make_up_for_rounding(width: int) -> None:
    rng = np.random.default_rng(3)
    common = rng.normal(size=(500, 4))
    seen = (common @ rng.normal(size=(4, width)) + 0.1 * rng.normal(size=(500, width))).astype(np.float32)
    weights = rng.normal(size=(width, 8)).astype(np.float32)
    scales = np.full((1, 8), 0.25, dtype=np.float32)
    nearest = np.round(weights / scales)
    found = Rounding(seen.T.astype(np.float64) @ seen).integers(weights, scales)
    error, worse = (np.square(seen @ (weights - chosen * scales)).mean() for chosen in (found, nearest))
    assert error < worse / 4
