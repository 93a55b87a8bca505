"""ONNX: a fine-tuned model written as a graph, made small, and run without torch.

Whether a small graph, in half precision or in integers (see `exoclass.quantising`), may stand in for the torch model is
decided by `parity`, never assumed.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from exoclass.attention import Singles
from exoclass.backend import Bools, Floats, Ints
from exoclass.errors import ModelError

MAX_SHIFT = 0.05
"""How far any probability may move when the graph is made small."""

MAX_F1_LOSS = 0.005
"""How much F1 any label may lose with it, if more than one of its decisions changes: a single one of a rare label is
several points, and which side of the line it falls on is chance."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How a small graph compares with the model it was made from, on the same texts."""

    shift: float
    f1_loss: float

    @property
    def holds(self) -> bool:
        """Whether the small graph may be used."""
        return self.shift <= MAX_SHIFT and self.f1_loss <= MAX_F1_LOSS


def export(encoder: Any, path: Path) -> None:  # noqa: ANN401 - of `exoclass.encoder.states_of`
    """Write a model that takes ``input_ids`` (batch, length), all of them tokens, and gives their states.

    Without padding, no mask has to be added to what tokens pay to each other: a tenth of the time.
    """
    import torch

    encoder.encoder.set_attn_implementation("eager")  # of torch's fused one, checks stay in the graph: a tenth slower
    ids = torch.ones(2, 8, dtype=torch.long)
    axes = {0: "batch", 1: "length"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # notes of the tracer on constants that do not vary here
        torch.onnx.export(
            encoder.eval(), (ids,), str(path), opset_version=18, dynamo=False,
            input_names=["input_ids"], output_names=["states"], dynamic_axes={"input_ids": axes, "states": axes},
        )  # fmt: skip


def halve(source: Path, target: Path) -> None:
    """Write a graph whose weights are stored in half precision; ONNX Runtime computes in single all the same."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(source)
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) > 1:
            name = tensor.name
            stored = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{name}.half")
            tensor.CopyFrom(stored)
            casts.append(onnx.helper.make_node("Cast", [stored.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, target)


def parity(before: Floats, after: Floats, Y: Bools, mask: Bools, single: Sequence[int] = ()) -> Parity:
    """Compare raw scores of two models on labelled texts, all of shape (n, n_labels).

    The columns of `single` are compared as softmax probabilities and by the label with the highest score, the others
    as sigmoid probabilities cut at one half.
    """
    one = list(single)
    p, q = _probabilities(before, one), _probabilities(after, one)
    shift = float(np.abs(p - q).max(initial=0.0))
    was, now = _decide(p, one), _decide(q, one)
    losses = _f1(was, Y, mask) - _f1(now, Y, mask)
    losses[((was != now) & mask).sum(axis=0) <= 1] = 0.0
    return Parity(round(shift, 5), round(float(losses.max(initial=0.0)), 5))


def _probabilities(scores: Floats, one: list[int]) -> Floats:
    probs = 1 / (1 + np.exp(-scores))
    if one:
        raised = np.exp(scores[:, one] - scores[:, one].max(axis=1, keepdims=True))
        probs[:, one] = raised / raised.sum(axis=1, keepdims=True)
    return probs


def _decide(probs: Floats, one: list[int]) -> Bools:
    decided = probs >= 0.5
    if one:
        decided[:, one] = probs[:, one] == probs[:, one].max(axis=1, keepdims=True)
    return decided


def _f1(decided: Bools, Y: Bools, mask: Bools) -> Floats:
    hits = (decided & Y & mask).sum(axis=0)
    all_named = ((decided | Y) & mask).sum(axis=0) + hits
    return np.where(all_named > 0, 2 * hits / np.maximum(all_named, 1), 1.0)


class Graph:
    """An ONNX graph in memory, run by ONNX Runtime in the precision it is written in.

    OpenVINO in bfloat16 would be twice as fast on a processor that has it, within the gate, but importing it reports to
    its makers over the network, and tests hung with it.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    ModelError
        If it is no graph that `export` wrote, made small or not.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        if not _adds_exactly():
            options.add_session_config_entry("session.x64quantprecision", "1")
        try:
            self._session: Any = onnxruntime.InferenceSession(
                path.read_bytes(), options, providers=["CPUExecutionProvider"]
            )
            names = [item.name for item in self._session.get_inputs()]
        except Exception as error:  # onnxruntime raises classes of its own, one for each kind of damage
            raise ModelError(f"{path} is no usable ONNX graph", "Train or download the model again.") from error
        if names != ["input_ids"]:
            raise ModelError(f"{path} is a graph of something else", "Train or download the model again.")

    def states(self, ids: Ints) -> Singles:
        """Return the states of tokens, shape (batch, length, width); several threads may ask at the same time.

        Parameters
        ----------
        ids
            Token ids, shape (batch, length).
        """
        [states] = self._session.run(None, {"input_ids": ids})
        return np.asarray(states)


def _adds_exactly() -> bool:
    """Return whether sums of products of 8-bit integers cannot overflow: on x86 that takes the instructions of VNNI.

    Elsewhere ONNX Runtime has to take a slower way. Where the system does not say what it has, that is the safe one.
    """
    try:
        return "vnni" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
