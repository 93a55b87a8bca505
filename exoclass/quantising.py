"""Graphs in 8-bit integers: small, and fast on processors that multiply such integers in hardware.

LLM.int8() (Dettmers et al. 2022) in the operators of ONNX Runtime: the few channels with the largest values stay in
single precision; of the rest each token's vector is scaled by itself, so that what comes out for a text does not depend
on the texts read beside it. Weights are rounded by GPTQ (Frantar et al. 2023), which halves what rounding costs. Sums
of integers are exact, so all processors agree on them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from exoclass.attention import Singles
from exoclass.backend import Floats, Ints

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

LARGE_SHARE = 1 / 48
"""Of the channels that a layer reads, those that stay in single precision: 8 of 384. Twice as many gained little."""

EVENNESS = 0.5
"""How much of the difference in size between the other channels goes over to the weights, as SmoothQuant does."""

MOST_EVEN = 16
"""How far below the mean a channel may lie for that: one that was silent in these texts may speak in others."""

DAMPING = 0.01
"""Of the mean square of the channels, added to each: with few texts, some channels seem to tell nothing. As GPTQ."""

_OPERATORS = "com.microsoft"
"""Where ONNX Runtime keeps operators of its own."""

_TINY = 1e-12

_BLOCK = 64
"""Channels that are rounded before all that come after these make up for them at once, which is faster."""


def quantise(source: Path, target: Path, texts: Iterable[Ints]) -> None:
    """Write a graph whose weights are 8-bit integers.

    Parameters
    ----------
    source
        A graph that `exoclass.onnx_model.export` wrote.
    texts
        Batches of token ids, each of shape (batch, length), that show what layers read. A few dozen abstracts will do.
        What layers read of them is kept in memory: 20 MB an abstract, with six layers 384 wide.
    """
    import onnx

    model = onnx.load(source)
    weights = {tensor.name for tensor in model.graph.initializer}
    layers = {
        node.output[0]: node.input[0]
        for node in model.graph.node
        if node.op_type == "MatMul" and node.input[1] in weights
    }
    seen = _seen(model, list(dict.fromkeys(layers.values())), texts)
    writer = _Writer(model.graph)
    for node in model.graph.node:
        if layers.get(node.output[0]) in seen:
            writer.multiply(node, seen[node.input[0]])
        elif node.op_type == "Gather" and node.input[0] in weights and node.input[1] == "input_ids":
            writer.look_up(node)
        else:
            writer.nodes.append(node)
    writer.finish()
    model.opset_import.append(onnx.helper.make_opsetid(_OPERATORS, 1))
    onnx.save(model, target)


def _seen(model: ModelProto, names: list[str], texts: Iterable[Ints]) -> dict[str, Singles]:
    """Return what layers read of some texts, by the names of their inputs, each of shape (n_tokens, width).

    What is not of tokens, such as positions relative to each other, is left out.
    """
    import onnx
    import onnxruntime

    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    for name in names:
        watched.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(watched.SerializeToString(), providers=["CPUExecutionProvider"])
    found: dict[str, list[Singles]] = {name: [] for name in names}
    for ids in texts:
        for name, values in zip(names, session.run(names, {"input_ids": ids}), strict=True):
            if values.shape[:2] == ids.shape:
                found[name].append(values.reshape(ids.size, -1))
    return {name: np.concatenate(found.pop(name)) for name in names if found[name]}


@dataclass(frozen=True, slots=True)
class _Rows:
    """How vectors became integers.

    Parameters
    ----------
    factors
        By what channels were multiplied, the large ones by 0; shape (width,).
    rounding
        Of the weights of the other channels.
    """

    factors: Singles
    rounding: Rounding


class _Writer:
    """Puts integer operators in the place of others, node by node in their order."""

    def __init__(self, graph: GraphProto) -> None:
        from onnx import numpy_helper

        self.graph, self.nodes = graph, list[Any]()
        self._arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self._rows: dict[str, _Rows] = {}
        self._put("last axis", np.array([-1], dtype=np.int64))
        self._put("tiny", np.array(_TINY, dtype=np.float32))

    def look_up(self, node: NodeProto) -> None:
        """Store the embeddings of words as integers, each with its scale."""
        table, words, [out] = node.input[0], node.input[1], node.output
        embeddings = self._arrays[table]
        scales = _scales(embeddings, axis=1)
        integers = np.round(embeddings / scales).astype(np.int8)
        self._add("Gather", [self._put(f"{table} integers", integers), words], f"{out} rows")
        self._add("Cast", [f"{out} rows"], f"{out} floats", to=1)
        self._add("Gather", [self._put(f"{table} scales", scales), words], f"{out} row scales")
        self._add("Mul", [f"{out} floats", f"{out} row scales"], out)

    def multiply(self, node: NodeProto, seen: Singles) -> None:
        """Multiply in integers, but for the channels that are large in what was `seen`."""
        read, name, [out] = node.input[0], node.input[1], node.output
        if read not in self._rows:  # queries, keys and values of a layer read the same
            self._rows[read] = self._read_rows(read, seen)
        weights, rows = self._arrays[name], self._rows[read]
        large, small = np.flatnonzero(rows.factors == 0), np.flatnonzero(rows.factors)
        left = (weights[small] / rows.factors[small, None]).astype(np.float32)
        integers, scales = np.zeros(weights.shape, dtype=np.int8), _scales(left, axis=0)
        integers[small] = rows.rounding.integers(left, scales)
        # Without a zero of the weights, one for each layer, some versions of ONNX Runtime crash where there is no VNNI.
        zero = self._put(f"{out} zero", np.array(0, dtype=np.int8))
        self._add(
            "MatMulIntegerToFloat",
            [f"{read} integers", self._put(f"{name} integers", integers), f"{read} step",
             self._put(f"{name} scales", scales.reshape(-1)), f"{read} zero", zero],
            f"{out} scaled", domain=_OPERATORS,
        )  # fmt: skip
        self._add("Mul", [f"{out} scaled", f"{read} scales"], f"{out} small")
        self._add("MatMul", [f"{read} large", self._put(f"{name} large", weights[large])], f"{out} large")
        self._add("Add", [f"{out} small", f"{out} large"], out)

    def finish(self) -> None:
        """Leave the new nodes and the arrays that they use in the graph."""
        from onnx import numpy_helper

        del self.graph.node[:], self.graph.initializer[:]
        self.graph.node.extend(self.nodes)
        used = {name for node in self.nodes for name in node.input}
        self.graph.initializer.extend(
            numpy_helper.from_array(array, name) for name, array in self._arrays.items() if name in used
        )

    def _read_rows(self, read: str, seen: Singles) -> _Rows:
        """Turn vectors into integers with a scale for each."""
        largest = np.abs(seen).max(axis=0)
        largest = np.maximum(largest, largest.mean() / MOST_EVEN + _TINY)
        large = np.sort(np.argsort(-largest)[: max(1, round(LARGE_SHARE * len(largest)))])
        factors: Singles = ((largest / largest.mean()) ** -EVENNESS).astype(np.float32)
        factors[large] = 0.0
        rest = seen * factors
        # Scaled vectors end at 1 above. Below they end at -1 where both signs occur, and far nearer to 0 after a GELU;
        # what is lower still, in one token of a hundred, is cut off.
        lowest = min(float(np.quantile(rest.min(axis=1) / np.maximum(np.abs(rest).max(axis=1), _TINY), 0.01)), 0.0)
        zero = round(255 * -lowest / (1 - lowest))
        self._put(f"{read} step", np.array(1 / (255 - zero), dtype=np.float32))
        self._put(f"{read} zero", np.array(zero, dtype=np.uint8))
        self._add("Gather", [read, self._put(f"{read} which", large)], f"{read} large", axis=-1)
        self._add("Mul", [read, self._put(f"{read} factors", factors)], f"{read} rest")
        self._add("Abs", [f"{read} rest"], f"{read} sizes")
        self._add("ReduceMax", [f"{read} sizes", "last axis"], f"{read} largest", keepdims=1)
        self._add("Max", [f"{read} largest", "tiny"], f"{read} scales")
        self._add("Div", [f"{read} rest", f"{read} scales"], f"{read} even")
        self._add("QuantizeLinear", [f"{read} even", f"{read} step", f"{read} zero"], f"{read} integers")
        small = np.flatnonzero(factors)
        return _Rows(factors, Rounding((rest[:, small].T @ rest[:, small]).astype(np.float64)))

    def _add(self, kind: str, inputs: list[str], output: str, **settings: Any) -> None:  # noqa: ANN401 - as ONNX's
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], name=f"{output} {kind}", **settings))

    def _put(self, name: str, array: np.ndarray) -> str:
        self._arrays[name] = array
        return name


class Rounding:
    """How to round the weights of layers that read the same, so that their products change as little as can be.

    Channel by channel, those still to come make up for what rounding did to the products with what was seen.

    Parameters
    ----------
    squares
        Of what the layers read: sums over tokens of the products of two channels, shape (width, width).
    """

    def __init__(self, squares: Floats) -> None:
        damped = squares + np.eye(len(squares)) * (DAMPING * np.mean(np.diag(squares)) + _TINY)
        self._order = np.argsort(-np.diag(damped), kind="stable")
        self._shares = np.linalg.cholesky(np.linalg.inv(damped[np.ix_(self._order, self._order)])).T

    def integers(self, weights: Singles, scales: Singles) -> np.ndarray:
        """Return weights, shape (width, n), as integers from -127 to 127 times `scales`, shape (1, n)."""
        left, found = weights[self._order].astype(np.float64), np.zeros(weights.shape, dtype=np.int8)
        for start in range(0, len(left), _BLOCK):
            block, shares = left[start : start + _BLOCK], self._shares[start : start + _BLOCK, start:]
            missed = np.zeros_like(block)
            for place, channel in enumerate(self._order[start : start + _BLOCK]):
                found[channel] = np.clip(np.round(block[place] / scales[0]), -127, 127)
                missed[place] = (block[place] - found[channel] * scales[0]) / shares[place, place]
                block[place + 1 :] -= np.outer(shares[place, place + 1 : len(block)], missed[place])
            left[start + _BLOCK :] -= shares[:, len(block) :].T @ missed
        return found


def _scales(weights: Singles, axis: int) -> Singles:
    """Return what the integer 1 stands for, so that the largest weight along `axis` is 127."""
    found: Singles = np.maximum(np.abs(weights).max(axis=axis, keepdims=True) / 127, np.float32(_TINY))
    return found
