"""Distillation: an encoder of fewer layers learns to give the states that the whole one ends with.

Its lower layers are those of the whole encoder and stay as they are; the new ones above start as its last layers and
learn from unlabelled abstracts, token by token (as TinyBERT, Jiao et al. 2020, but for one state and without a task).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exoclass.config import load_config, shipped
from exoclass.encoder import fewer_layers, fingerprint, load_encoder, save_encoder
from exoclass.errors import ConfigError
from exoclass.unlabelled import Schedule, batches, blocks_of, digest_of, learn

if TYPE_CHECKING:
    import torch
    from datasets import Dataset
    from transformers import PreTrainedModel

RECORD = "distil.json"
"""What was done, beside the weights."""

_LEAST_SPREAD = 0.1  # of the median: a channel that hardly varies must not outweigh all others


@dataclass(frozen=True, slots=True)
class DistilConfig(Schedule):
    """The whole content of ``configs/distil.toml``, where each value has its reason."""

    kept_layers: int
    new_layers: int

    @classmethod
    def load(cls, path: Path | None = None) -> DistilConfig:
        """Read a configuration, by default the shipped one; raises `ConfigError`."""
        return load_config(path or shipped("configs/distil.toml"), cls)


@dataclass(frozen=True, slots=True)
class Distilled:
    """What `distil` did: how much of the variance of the states is explained, of tokens of held-out abstracts."""

    texts: int
    blocks: int
    steps: int
    explained_before: float
    explained_after: float


def distil(
    texts: Iterable[str],
    base: str,
    out: Path,
    config: DistilConfig,
    *,
    steps: int,
    force: bool = False,
    bar: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Distilled:
    """Make an encoder of fewer layers and save it, half precision, to a new folder.

    Tokens and checkpoints lie in ``OUT.part`` until all is done; a run that was stopped goes on from there and gives
    what it would have given.

    Parameters
    ----------
    texts
        Unlabelled abstracts.
    base
        A local folder or the name of a hub checkpoint.
    steps
        How many batches to learn from; the learning rate falls to zero over them.
    bar
        Show a progress bar on stderr.

    Raises
    ------
    ConfigError
        If the new encoder would not be smaller.
    CorpusError
        If there is too little text.
    ModelError
        If `base` is no encoder, an unfinished run in ``OUT.part`` had other settings, the loss is no number, or the
        memory is full.
    """
    whole, tokenizer = load_encoder(base)
    depth = int(whole.config.num_hidden_layers)
    if config.kept_layers + config.new_layers >= depth:
        raise ConfigError(
            f"{config.kept_layers} kept and {config.new_layers} new layers are no fewer than the {depth} of {base}",
            "Keep fewer in the configuration.",
        )
    small = fewer_layers(whole, config.kept_layers, config.new_layers)
    work = Path(f"{out}.part")
    chosen = list(texts)
    digest = digest_of(chosen, config, fingerprint(base), steps)
    blocks, held = blocks_of(chosen, tokenizer, config, work, digest)
    teacher = _Teacher(whole.eval(), held, config)
    before = teacher.explained(small)
    progress(f"{len(blocks):,} blocks of {config.max_tokens} tokens; explained of held-out states {before:.1%}")
    learn(small, blocks, _batch, teacher.loss, work, config, steps=steps, bar=bar, progress=progress)
    result = Distilled(len(chosen), len(blocks), steps, round(before, 4), round(teacher.explained(small), 4))
    told = {"base": Path(base).name, "config": asdict(config)} | asdict(result)
    save_encoder(out, small, tokenizer, RECORD, told, force=force)
    shutil.rmtree(work, ignore_errors=True)
    return result


class _Teacher:
    """The whole encoder, and how far another is from giving its states, each channel in units of its spread."""

    def __init__(self, whole: PreTrainedModel, held: Dataset, config: DistilConfig) -> None:
        import torch

        self._whole: Any = whole  # torch's stubs do not know where such a model may be moved to
        self._held, self._config = held, config
        with torch.inference_mode():
            states = torch.cat([_states(whole, batch) for batch in batches(held, _batch, config, whole)])
        spread = states.flatten(0, -2).std(dim=0)
        self._spread = spread.clamp(min=float(spread.median()) * _LEAST_SPREAD).clone()

    def loss(self, small: PreTrainedModel, batch: dict[str, Any]) -> torch.Tensor:
        """Return the mean squared difference, about 1 for an encoder that says nothing."""
        import torch

        self._whole.to(small.device)
        with torch.no_grad():
            wanted = _states(self._whole, batch)
        return (((_states(small, batch) - wanted) / self._spread.to(small.device)) ** 2).mean()

    def explained(self, small: PreTrainedModel) -> float:
        """Return the share of the variance of the states of held-out abstracts that an encoder explains."""
        import torch

        with torch.inference_mode():
            found = batches(self._held, _batch, self._config, small.eval())
            losses = [float(self.loss(small, batch)) for batch in found]
        return 1 - sum(losses) / len(losses)


def _batch(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    import torch

    return {"input_ids": torch.tensor([row["input_ids"] for row in rows])}


def _states(model: PreTrainedModel, batch: dict[str, Any]) -> torch.Tensor:
    states: torch.Tensor = model(**batch).last_hidden_state.float()
    return states
