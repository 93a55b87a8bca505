"""Fine-tuning: an encoder and one head over all labels (see `exoclass.attention`) learn from labelled texts."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from exoclass import checkpoints, learning
from exoclass.backend import QUIET, Bools, Ints, Run
from exoclass.encoder import fingerprint, half_precision, load_encoder, multiplies_bfloat16, states_of
from exoclass.errors import CorpusError, ModelError
from exoclass.learning import Loss, Read, TextData
from exoclass.windows import cut

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

Precision = Literal["int8", "fp16", "fp32"]

TOLD_EVERY, SAVED_EVERY = 50, 100
"""Steps between two lines of progress, and between two checkpoints."""


@dataclass(frozen=True, slots=True)
class TransformerConfig:
    """Hyper-parameters; each is explained beside its value in ``configs/transformer.toml``."""

    base: str
    max_tokens: int
    read_layers: tuple[int, ...]
    frozen_layers: int
    heads: int
    epochs: int
    encoder_epochs: int
    patience: int
    batch_size: int
    learning_rate: float
    query_learning_rate: float
    value_learning_rate: float
    layer_decay: float
    weight_decay: float
    head_weight_decay: float
    head_penalty: float
    head_dropout: float
    warmup_share: float
    max_positive_weight: float
    dev_share: float
    precision: Precision
    seed: int


@dataclass(frozen=True, slots=True)
class Tuned:
    """A fine-tuned encoder with its head, as of `tagger`, and the tokenizer it reads with."""

    model: Any
    tokenizer: PreTrainedTokenizerFast


def tagger(config: TransformerConfig, n_labels: int) -> tuple[Any, PreTrainedTokenizerFast]:
    """Return an ``encoder`` that gives states of tokens and an untrained ``head`` in one module, and the tokenizer."""
    import torch

    found, tokenizer = load_encoder(config.base)
    encoder = states_of(found, config.read_layers)
    width = int(encoder.width)  # type: ignore[arg-type]  # nn.Module hides its kind
    head = learning.new_head(config.heads, n_labels, width, config.head_dropout, half=multiplies_bfloat16())
    return torch.nn.ModuleDict({"encoder": encoder, "head": head}), tokenizer


def finetune(
    texts: Sequence[str],
    Y: Bools,
    mask: Bools,
    config: TransformerConfig,
    *,
    single: Sequence[int] = (),
    run: Run = QUIET,
    read: Read | None = None,
) -> Tuned:
    """Fine-tune an encoder; arguments as `exoclass.backend.Backend.fit`. A run that was stopped goes on, if it can.

    The head is fitted first, on the means of the encoder's states. Then it learns for `epochs` from the states as they
    are, for which every text is read once; and then the layers that are not frozen learn with it for `encoder_epochs`.
    A head that starts from nothing would make the encoder forget (Kumar et al. 2022, linear probing then fine-tuning).

    Multi-label columns are learnt by binary cross-entropy with positives of rare labels weighted up, the columns of
    `single` by softmax; cells that are not annotated are left out. Of the heads, the first one and those after each
    epoch, the one with the lowest loss on a share of the texts kept aside goes on. Where the encoder learns, that loss
    rises long before texts are ranked worse: it becomes too sure of itself, which calibration mends. So the last of
    these epochs is returned.

    Parameters
    ----------
    read
        Reads windows in place of the encoder, which has to stay as it is then: the graph that will read in the end.

    Raises
    ------
    CorpusError
        If there are too few texts to keep some aside.
    ModelError
        If the base is no encoder, the loss is no number, or the memory is full.
    """
    import torch

    torch.manual_seed(config.seed)  # what a checkpoint lacks, such as a pooler, starts at random
    dev, learnt = split(len(texts), config)
    model, tokenizer = tagger(config, Y.shape[1])
    optimizer = torch.optim.AdamW(_groups(model, config))
    data = _data(texts, Y, mask, config, model, tokenizer, read=read, run=run)
    loss_of = learning.loss_function(Y[learnt], mask[learnt], single, config.max_positive_weight)
    a_epoch = math.ceil(len(learnt) / config.batch_size)
    head = _Stage("head", 0, config.epochs * a_epoch)
    whole = _Stage("encoder and head", head.last, head.last + config.encoder_epochs * a_epoch)

    run.progress(f"{len(learnt)} texts to learn from, {len(dev)} kept aside")
    model.eval()
    means = None
    if data.known is not None:  # whatever a checkpoint holds: a run that resumes has to read the same batches
        means = data.means(np.concatenate([learnt, dev]))[: len(learnt)]
    work = run.work and run.work / _digest(texts, Y, mask, single, config)
    if work and (found := checkpoints.load(work, model, optimizer)):
        standing, best_state = found
    else:
        with torch.inference_mode():
            scale = torch.cat(data.states(learnt[: learning.READ_AT_ONCE])).float().std(dim=0)
        model.head.scale.copy_(scale.clamp(min=1e-6))
        targets = data.targets(learnt)
        means = data.means(learnt) if means is None else means
        learning.fit_mean_head(model.head, means, lambda scores: loss_of(scores, *targets), config.head_penalty)
        standing = checkpoints.Standing(0, _loss_aside(model, data, dev, loss_of), 0, done=not whole.last)
        best_state = _copied(model)
        run.progress(f"the head alone: loss on {len(dev)} texts kept aside {standing.best:.4f}")
    while not standing.done:
        stage = head if standing.step < head.last else whole
        if stage is whole:
            data.known = None
        epoch, batch = divmod(standing.step, a_epoch)
        rows = _shuffled(learnt, config.seed, epoch)[batch * config.batch_size : (batch + 1) * config.batch_size]
        _set_rates(optimizer, config, standing.step - stage.first, stage.last - stage.first)
        torch.manual_seed(config.seed * 1_000_003 + standing.step)  # so that a run that resumes draws the same
        model.train()
        with torch.set_grad_enabled(stage is whole):
            states = data.states(rows)
        by_head = model.head(states).unbind(dim=1)
        loss = _step(optimizer, model, sum(loss_of(scores, *data.targets(rows)) for scores in by_head))
        standing = replace(standing, step=standing.step + 1)
        told = f"{stage.name}, epoch {epoch + 1 - stage.first // a_epoch} of {(stage.last - stage.first) // a_epoch}"
        if batch + 1 == a_epoch:
            found_loss = _loss_aside(model, data, dev, loss_of)
            run.progress(f"{told}: loss on {len(dev)} texts kept aside {found_loss:.4f}")
            standing, kept = _after_epoch(standing, found_loss, stage, whole, config.patience)
            best_state = _copied(model) if kept else best_state
            if standing.step == head.last:
                model.load_state_dict(best_state)
        elif standing.step % TOLD_EVERY == 0:
            run.progress(f"{told}, step {batch + 1} of {a_epoch}: loss {loss:.4f}")
        if work and (standing.done or standing.step % SAVED_EVERY == 0):
            checkpoints.save(work, standing, model, best_state, optimizer)
    model.load_state_dict(best_state)
    learning.settle_constant_labels(model.head, Y, mask)
    return Tuned(model.eval(), tokenizer)


def _data(
    texts: Sequence[str], Y: Bools, mask: Bools, config: TransformerConfig, model: Any,  # noqa: ANN401 - of `tagger`
    tokenizer: PreTrainedTokenizerFast, *, read: Read | None, run: Run,
) -> TextData:  # fmt: skip
    """Return what a model learns from; one that another reads for loses its encoder, which copies would go with."""
    encoder = model.encoder
    if read is None:
        read = learning.torch_reader(encoder, learning.special_ids(tokenizer), half=half_precision(encoder.encoder))
    else:
        del model["encoder"]
    windows = cut(texts, tokenizer.backend_tokenizer, config.max_tokens)
    data = TextData(texts, windows, Y, mask, read, encoder.width)
    if config.epochs or not config.encoder_epochs:  # else no text is read twice before the encoder learns
        data.known = learning.known_states(config.precision, run)
    return data


@dataclass(frozen=True, slots=True)
class _Stage:
    """What learns, and from which step to which."""

    name: str
    first: int
    last: int


def _after_epoch(
    standing: checkpoints.Standing, loss: float, stage: _Stage, whole: _Stage, patience: int
) -> tuple[checkpoints.Standing, bool]:
    """Return how far a run is after an epoch with this loss on the texts kept aside, and whether it is to be kept."""
    kept = stage is whole or loss < standing.best
    waited = 0 if kept else standing.waited + 1
    step = stage.last if not kept and waited >= patience else standing.step
    return replace(standing, step=step, best=min(loss, standing.best), waited=waited, done=step == whole.last), kept


def split(n: int, config: TransformerConfig) -> tuple[Ints, Ints]:
    """Return the numbers of the texts that a fit keeps aside, and of those that it learns from.

    Raises
    ------
    CorpusError
        If there are too few.
    """
    n_dev = max(1, round(config.dev_share * n))
    if n < 2 * n_dev or n < 4:
        raise CorpusError(f"{n} texts are too few to keep {n_dev} aside", "Give it more, or lower dev_share.")
    order = np.random.default_rng(config.seed).permutation(n)
    return order[:n_dev], order[n_dev:]


def _digest(texts: Sequence[str], Y: Bools, mask: Bools, single: Sequence[int], config: TransformerConfig) -> str:
    """Return what tells one fit from another, so that a checkpoint is never taken up by a different one."""
    told = json.dumps([*texts, asdict(config), fingerprint(config.base), Y.shape, list(single)])
    found = hashlib.sha256(told.encode(errors="surrogatepass"))
    found.update(np.packbits(Y).tobytes() + np.packbits(mask).tobytes())
    return found.hexdigest()[:16]


def _loss_aside(model: Any, data: TextData, dev: Ints, loss_of: Loss) -> float:  # noqa: ANN401 - of `tagger`
    import torch

    with torch.inference_mode():
        found = float(loss_of(data.scores(model.eval().head, dev).mean(dim=1), *data.targets(dev)))
    if not math.isfinite(found):
        raise ModelError("the loss on the texts kept aside is no number", "Lower the learning rates.")
    return found


def _step(optimizer: torch.optim.Optimizer, model: torch.nn.Module, loss: Any) -> float:  # noqa: ANN401 - a tensor
    """Learn from the loss of one batch, and return it."""
    import torch

    found = float(loss.detach())
    if not math.isfinite(found):
        raise ModelError("the loss is no number", "Lower the learning rates.")
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return found


def _copied(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def _shuffled(rows: Ints, seed: int, epoch: int) -> Ints:
    return np.random.default_rng((seed, epoch)).permutation(rows)


def _set_rates(optimizer: torch.optim.Optimizer, config: TransformerConfig, step: int, steps: int) -> None:
    """Let the rates of all layers rise from zero, and fall to zero again over the steps of a stage."""
    share = min((step + 1) / max(1.0, config.warmup_share * steps), 1 - step / steps)
    for group in optimizer.param_groups:
        group["lr"] = group["top"] * share


def _groups(model: Any, config: TransformerConfig) -> list[dict[str, Any]]:  # noqa: ANN401 - of `tagger`
    """Return parameters with a rate per layer: the head learns fastest, the embeddings slowest.

    Frozen layers take their embeddings with them, and no gradient is computed below the first that learns.
    """
    depth = int(model.encoder.encoder.config.num_hidden_layers)
    rates: dict[tuple[float, float], list[Any]] = {}
    for name, parameter in model.named_parameters():
        decay = config.weight_decay
        if name.startswith("head."):
            rate = config.query_learning_rate if name == "head.queries" else config.value_learning_rate
            decay = config.head_weight_decay
        else:
            layer = next((int(part) + 1 for part in name.split(".") if part.isdigit()), 0)
            if config.frozen_layers and layer <= config.frozen_layers:
                parameter.requires_grad = False
                continue
            rate = config.learning_rate * config.layer_decay ** (depth - layer)
        rates.setdefault((rate, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "top": rate, "weight_decay": decay}
        for (rate, decay), parameters in rates.items()
    ]
