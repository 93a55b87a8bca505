"""Fine-tuning: an encoder and one linear head over all labels learn from labelled texts.

The head is applied to every token, and the score of a text is the mean over its tokens. That equals a head on the
mean-pooled encoding, and shows for free which tokens a score came from.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from exoclass import checkpoints
from exoclass.backend import NEVER, QUIET, Bools, Ints, Run
from exoclass.encoder import fingerprint, load_encoder
from exoclass.errors import CorpusError, ModelError
from exoclass.learning import TextData, loss_function

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

TOLD_EVERY, SAVED_EVERY = 50, 100
"""Steps between two lines of progress, and between two checkpoints."""


@dataclass(frozen=True, slots=True)
class TransformerConfig:
    """Hyper-parameters; each is explained beside its value in ``configs/transformer.toml``."""

    base: str
    max_tokens: int
    frozen_layers: int
    epochs: int
    patience: int
    batch_size: int
    learning_rate: float
    head_learning_rate: float
    head_penalty: float
    layer_decay: float
    weight_decay: float
    warmup_share: float
    dropout: float
    max_positive_weight: float
    dev_share: float
    precision: Literal["int8", "fp32"]
    seed: int


@dataclass(frozen=True, slots=True)
class Tuned:
    """A fine-tuned encoder with its head, as a torch module, and the tokenizer it reads with."""

    model: torch.nn.Module
    tokenizer: PreTrainedTokenizerFast
    dev: tuple[int, ...]
    """Numbers of the texts that were kept for early stopping."""

    @property
    def encoder(self) -> PreTrainedModel:
        """The encoder without the head."""
        found: PreTrainedModel = self.model.encoder  # type: ignore[assignment]  # nn.Module hides it
        return found


def tagger(base: str, n_labels: int, dropout: float) -> tuple[torch.nn.Module, PreTrainedTokenizerFast]:
    """Return an untrained head on an encoder: token ids and mask in, one score per token and label out."""
    import torch

    encoder, tokenizer = load_encoder(base)

    class Tagger(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder
            self.dropout = torch.nn.Dropout(dropout)
            self.head = torch.nn.Linear(int(encoder.config.hidden_size), n_labels)

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            scores: torch.Tensor = self.head(self.dropout(hidden))
            return scores

    return Tagger(), tokenizer


def finetune(
    texts: Sequence[str],
    Y: Bools,
    mask: Bools,
    config: TransformerConfig,
    *,
    single: Sequence[int] = (),
    run: Run = QUIET,
) -> Tuned:
    """Fine-tune an encoder; arguments as `exoclass.backend.Backend.fit`.

    A run that was stopped goes on from its last checkpoint, where it has a folder for them.

    The head is fitted first, on the encoder as it is, and then all learn together: a head that starts from nothing
    would make the encoder forget (Kumar et al. 2022, linear probing then fine-tuning). With no epochs the encoder stays
    as it is, which takes about a minute.

    Multi-label columns are learnt by binary cross-entropy with positives of rare labels weighted up, the columns of
    `single` by softmax; cells that are not annotated are left out. What had the lowest loss on a share of the texts
    kept aside, the first head or an epoch, is returned.

    Raises
    ------
    CorpusError
        If there are too few texts to keep some aside.
    ModelError
        If the base is no encoder, the loss is no number, or the memory is full.
    """
    import torch

    torch.manual_seed(config.seed)  # the head starts at random
    dev, learnt = _split(len(texts), config)
    model, tokenizer = tagger(config.base, Y.shape[1], config.dropout)
    data = TextData(texts, tokenizer, config.max_tokens, Y, mask)
    loss_of = loss_function(Y[learnt], mask[learnt], single, config.max_positive_weight)
    a_epoch = math.ceil(len(learnt) / config.batch_size)
    optimizer = torch.optim.AdamW(_groups(model, config), weight_decay=config.weight_decay)

    def aside(scores: Callable[[], torch.Tensor]) -> float:
        with torch.inference_mode():
            found = float(loss_of(scores(), *data.targets(dev)))
        if not math.isfinite(found):
            raise ModelError("the loss on the texts kept aside is no number", "Lower learning_rate.")
        return found

    run.progress(f"{len(learnt)} texts to learn from, {len(dev)} kept aside")
    model.eval()
    known = {} if run.encodings is None else run.encodings
    if run.encodings is not None:  # whatever a checkpoint holds: a run that resumes has to read the same batches
        data.encodings(model.encoder, np.concatenate([learnt, dev]), known)
    work = run.work and run.work / _digest(texts, Y, mask, single, config)
    if work is not None and (found := checkpoints.load(work, model, optimizer)):
        standing, best_state = found
    else:
        data.fit_head(model, learnt, loss_of, config.head_penalty, known)
        best = aside(lambda: model.head(data.encodings(model.encoder, dev, known)))  # type: ignore[operator]  # nn.Module hides it
        standing = checkpoints.Standing(0, best, 0, done=not config.epochs)
        best_state = _copied(model)
        run.progress(f"the head alone: loss on {len(dev)} texts kept aside {standing.best:.4f}")
    while not standing.done:
        epoch, batch = divmod(standing.step, a_epoch)
        rows = _shuffled(learnt, config.seed, epoch)[batch * config.batch_size : (batch + 1) * config.batch_size]
        _set_rates(optimizer, config, standing.step, config.epochs * a_epoch)
        torch.manual_seed(config.seed * 1_000_003 + standing.step)  # so that a run that resumes draws the same
        loss = _step(optimizer, model, loss_of(data.scores(model.train(), rows), *data.targets(rows)))
        standing = replace(standing, step=standing.step + 1)
        if batch + 1 == a_epoch:
            found_loss = aside(lambda: data.scores(model.eval(), dev))
            run.progress(f"epoch {epoch + 1} of {config.epochs}: loss on {len(dev)} texts kept aside {found_loss:.4f}")
            waited = 0 if found_loss < standing.best else standing.waited + 1
            if not waited:
                best_state = _copied(model)
            done = waited >= config.patience or epoch + 1 == config.epochs
            standing = replace(standing, best=min(found_loss, standing.best), waited=waited, done=done)
        elif standing.step % TOLD_EVERY == 0:
            run.progress(f"epoch {epoch + 1} of {config.epochs}, step {batch + 1} of {a_epoch}: loss {loss:.4f}")
        if work is not None and (standing.done or standing.step % SAVED_EVERY == 0):
            checkpoints.save(work, standing, model, best_state, optimizer)
    model.load_state_dict(best_state)
    _settle_constant_labels(model, Y, mask)
    return Tuned(model.eval(), tokenizer, tuple(int(number) for number in dev))


def _split(n: int, config: TransformerConfig) -> tuple[Ints, Ints]:
    """Return the numbers of the texts that are kept aside, and of those that are learnt from."""
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


def _step(optimizer: torch.optim.Optimizer, model: torch.nn.Module, loss: torch.Tensor) -> float:
    """Learn from the loss of one batch, and return it."""
    import torch

    found = float(loss.detach())
    if not math.isfinite(found):
        raise ModelError("the loss is no number", "Lower learning_rate.")
    loss.backward()  # type: ignore[no-untyped-call]  # of torch
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return found


def _copied(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def _shuffled(rows: Ints, seed: int, epoch: int) -> Ints:
    return np.random.default_rng((seed, epoch)).permutation(rows)


def _set_rates(optimizer: torch.optim.Optimizer, config: TransformerConfig, step: int, steps: int) -> None:
    """Let the rates of all layers rise from zero, and fall to zero again over the whole run."""
    share = min((step + 1) / max(1.0, config.warmup_share * steps), 1 - step / steps)
    for group in optimizer.param_groups:
        group["lr"] = group["top"] * share


def _settle_constant_labels(model: Any, Y: Bools, mask: Bools) -> None:  # noqa: ANN401 - see `tagger`
    """Let the head say "never" of a label without a positive, and "always" of one without a negative."""
    import torch

    positives, negatives = (Y & mask).sum(axis=0) > 0, (~Y & mask).sum(axis=0) > 0
    with torch.no_grad():
        for column in np.flatnonzero(~(positives & negatives)):
            model.head.weight[column] = 0.0
            model.head.bias[column] = -NEVER if positives[column] else NEVER


def _groups(model: torch.nn.Module, config: TransformerConfig) -> list[dict[str, Any]]:
    """Return parameters with a rate per layer: the head learns fastest, the embeddings slowest.

    Frozen layers take their embeddings with them, and no gradient is computed below the first that learns.
    """
    depth = int(model.encoder.config.num_hidden_layers)  # type: ignore[union-attr,arg-type]  # nn.Module hides it
    rates: dict[float, list[Any]] = {}
    for name, parameter in model.named_parameters():
        if name.startswith("head."):
            rate = config.head_learning_rate
        else:
            layer = next((int(part) + 1 for part in name.split(".") if part.isdigit()), 0)
            if config.frozen_layers and layer <= config.frozen_layers:
                parameter.requires_grad = False
                continue
            rate = config.learning_rate * config.layer_decay ** (depth - layer)
        rates.setdefault(rate, []).append(parameter)
    return [{"params": parameters, "lr": rate, "top": rate} for rate, parameters in rates.items()]
