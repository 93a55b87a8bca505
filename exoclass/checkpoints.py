"""Checkpoints of a fine-tuning run: a run that was killed goes on from the last one and ends as if it had not been.

Tensors lie in one safetensors file, numbers in its header; nothing is unpickled. What is drawn at random is drawn
from seed and step (see `exoclass.finetuning`), so that no state of a generator need be kept.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exoclass.errors import ModelError, OutputError

if TYPE_CHECKING:
    import torch

_FILE = "checkpoint.safetensors"


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a run has come.

    Parameters
    ----------
    step
        Number of the next step.
    best
        Lowest loss so far on the texts kept aside.
    waited
        Epochs of the head since then.
    done
        Whether nothing is left to learn.
    """

    step: int
    best: float
    waited: int
    done: bool = False


def save(
    folder: Path, standing: Standing, model: torch.nn.Module, best: Mapping[str, Any], optimizer: torch.optim.Optimizer
) -> None:
    """Replace the checkpoint in `folder` at once; of a run that is done only the best weights are kept.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors = {f"best.{name}": tensor for name, tensor in best.items()}
    if not standing.done:
        tensors |= {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
        for number, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{key}": tensor for key, tensor in state.items()}
    fresh = folder / f"{_FILE}.part"
    told = {"run": json.dumps(asdict(standing))}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, fresh, told)
        fresh.replace(folder / _FILE)
    except (OSError, SafetensorError) as error:
        raise OutputError(
            f"{folder} cannot be written: {error}", "Make room; the run goes on from its last checkpoint."
        ) from error


def clear(work: Path) -> None:
    """Remove the checkpoints of all fits in `work`, and the folder itself if nothing else lies there."""
    for file in work.glob(f"*/{_FILE}"):
        shutil.rmtree(file.parent, ignore_errors=True)
    with suppress(OSError):  # it is not empty, or was never made
        work.rmdir()


def load(
    folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[Standing, dict[str, torch.Tensor]] | None:
    """Take up the checkpoint in `folder`: return how far it was and the best weights, or None if there is none.

    Raises
    ------
    ModelError
        If it cannot be read or is of another model.
    """
    from safetensors import SafetensorError, safe_open

    file = folder / _FILE
    if not file.is_file():
        return None
    parts: dict[str, dict[str, torch.Tensor]] = {"best": {}, "model": {}, "optimizer": {}}
    try:
        with safe_open(file, "pt") as opened:
            standing = Standing(**json.loads(opened.metadata()["run"]))
            for key in opened.keys():  # noqa: SIM118 - it is no mapping
                part, _, name = key.partition(".")
                parts[part][name] = opened.get_tensor(key)
        model.load_state_dict(parts["model"] or parts["best"])
        _restore(optimizer, parts["optimizer"])
    except (OSError, SafetensorError, ValueError, LookupError, TypeError, RuntimeError) as error:
        raise ModelError(f"{file} is no checkpoint of this run", f"Remove {folder} and start again.") from error
    return standing, parts["best"]


def _restore(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        number, _, key = name.partition(".")
        state.setdefault(int(number), {})[key] = tensor
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
