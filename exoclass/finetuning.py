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
from exoclass.backend import NEVER, QUIET, Bools, Floats, Ints, Run
from exoclass.encoder import fingerprint, load_encoder
from exoclass.errors import CorpusError, ModelError
from exoclass.windows import Window, batches, cut, padded

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

BATCH_TOKENS = 2048
"""Tokens that go through the encoder together, padding included: windows of like length, so that little is padded."""

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

    Multi-label columns are learnt by binary cross-entropy with positives of rare labels weighted up, the columns of
    `single` by softmax; cells that are not annotated are left out. The epoch with the lowest loss on a share of the
    texts kept aside is returned.

    Raises
    ------
    CorpusError
        If there are too few texts to keep some aside.
    ModelError
        If the base is no encoder, the loss is no number, or the memory is full.
    """
    import torch

    torch.manual_seed(config.seed)  # the head starts at random
    n_dev = max(1, round(config.dev_share * len(texts)))
    if len(texts) < 2 * n_dev or len(texts) < 4:
        raise CorpusError(f"{len(texts)} texts are too few to keep {n_dev} aside", "Give it more, or lower dev_share.")
    order = np.random.default_rng(config.seed).permutation(len(texts))
    dev, learnt = order[:n_dev], order[n_dev:]
    model, tokenizer = tagger(config.base, Y.shape[1], config.dropout)
    data = _Data(cut(texts, tokenizer.backend_tokenizer, config.max_tokens), Y, mask, tokenizer)
    loss_of = _loss(Y[learnt], mask[learnt], single, config.max_positive_weight)
    a_epoch = math.ceil(len(learnt) / config.batch_size)
    optimizer = torch.optim.AdamW(_groups(model, config), weight_decay=config.weight_decay)
    best_state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    standing = checkpoints.Standing(0, math.inf, 0)
    work = run.work and run.work / _digest(texts, Y, mask, single, config)
    if work is not None and (found := checkpoints.load(work, model, optimizer)):
        standing, best_state = found
    while not standing.done:
        epoch, batch = divmod(standing.step, a_epoch)
        rows = _shuffled(learnt, config.seed, epoch)[batch * config.batch_size : (batch + 1) * config.batch_size]
        _set_rates(optimizer, config, standing.step, config.epochs * a_epoch)
        torch.manual_seed(config.seed * 1_000_003 + standing.step)  # so that a run that resumes draws the same
        loss = loss_of(data.scores(model.train(), rows), *data.targets(rows))
        if not torch.isfinite(loss):
            raise ModelError(f"the loss is no number in epoch {epoch + 1}", "Lower learning_rate.")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        standing = replace(standing, step=standing.step + 1)
        if batch + 1 == a_epoch:
            with torch.inference_mode():
                aside = float(loss_of(data.scores(model.eval(), dev), *data.targets(dev)))
            if not math.isfinite(aside):
                raise ModelError(f"the loss is no number after epoch {epoch + 1}", "Lower learning_rate.")
            run.progress(f"epoch {epoch + 1} of {config.epochs}: loss on {n_dev} texts kept aside {aside:.4f}")
            waited = 0 if aside < standing.best else standing.waited + 1
            if not waited:
                best_state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
            done = waited >= config.patience or epoch + 1 == config.epochs
            standing = replace(standing, best=min(aside, standing.best), waited=waited, done=done)
        elif standing.step % TOLD_EVERY == 0:
            run.progress(
                f"epoch {epoch + 1} of {config.epochs}, step {batch + 1} of {a_epoch}: loss {float(loss.detach()):.4f}"
            )
        if work is not None and (standing.done or standing.step % SAVED_EVERY == 0):
            checkpoints.save(work, standing, model, best_state, optimizer)
    model.load_state_dict(best_state)
    _settle_constant_labels(model, Y, mask)
    return Tuned(model.eval(), tokenizer, tuple(int(number) for number in dev))


def _digest(texts: Sequence[str], Y: Bools, mask: Bools, single: Sequence[int], config: TransformerConfig) -> str:
    """Return what tells one fit from another, so that a checkpoint is never taken up by a different one."""
    told = json.dumps([*texts, asdict(config), fingerprint(config.base), Y.shape, list(single)])
    found = hashlib.sha256(told.encode(errors="surrogatepass"))
    found.update(np.packbits(Y).tobytes() + np.packbits(mask).tobytes())
    return found.hexdigest()[:16]


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


class _Data:
    """Windows by text, and what torch needs of them."""

    def __init__(self, windows: list[Window], Y: Bools, mask: Bools, tokenizer: PreTrainedTokenizerFast) -> None:
        self.windows = windows
        self.of_text: dict[int, list[int]] = {}
        for number, window in enumerate(windows):
            self.of_text.setdefault(window.text, []).append(number)
        self.Y, self.mask = Y, mask
        self.special = special_ids(tokenizer)

    def scores(self, model: torch.nn.Module, rows: Sequence[int] | np.ndarray) -> torch.Tensor:
        """Return the scores of some texts, shape (n_rows, n_labels): means over the tokens of their windows."""
        import torch

        place = {int(row): position for position, row in enumerate(rows)}
        chosen = [self.windows[number] for row in place for number in self.of_text.get(row, ())]
        sums = torch.zeros(len(place), self.Y.shape[1])
        counts = torch.zeros(len(place), 1)
        for batch in batches(chosen, BATCH_TOKENS):
            some = [chosen[number] for number in batch]
            ids, mask = padded(some, *self.special)
            tokens = model(torch.from_numpy(ids), torch.from_numpy(mask))
            inner = torch.from_numpy(inner_mask(mask)).unsqueeze(-1)
            owners = torch.tensor([place[window.text] for window in some])
            sums = sums.index_add(0, owners, (tokens * inner).sum(dim=1))
            counts = counts.index_add(0, owners, inner.sum(dim=1).float())
        return sums / counts.clamp(min=1)

    def targets(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Return labels and what is annotated, as numbers."""
        import torch

        return torch.from_numpy(self.Y[rows]).float(), torch.from_numpy(self.mask[rows]).float()


def special_ids(tokenizer: PreTrainedTokenizerFast) -> tuple[int, int, int]:
    """Return the ids of the first, the last and the padding token."""
    found = (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id)
    return int(found[0]), int(found[1]), int(found[2])


def inner_mask(mask: np.ndarray) -> np.ndarray:
    """Return the attention mask without the first and last token of each row, which stand for no characters."""
    inner = mask.copy()
    inner[:, 0] = 0
    inner[np.arange(len(mask)), mask.sum(axis=1) - 1] = 0
    return inner


def _loss(Y: Bools, mask: Bools, single: Sequence[int], max_weight: float) -> Callable[..., Any]:
    """Return the loss of scores against labels, with the weight of rare positives taken from these."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

    one = list(single)
    many = [column for column in range(Y.shape[1]) if column not in set(one)]
    positives, annotated = (Y & mask).sum(axis=0), mask.sum(axis=0)
    ratio: Floats = np.sqrt((annotated - positives) / np.maximum(positives, 1))
    weight = torch.from_numpy(np.clip(ratio, 1.0, max_weight)[many]).float()

    def loss(scores: torch.Tensor, labels: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        total = torch.zeros(())
        if many:
            cells = binary_cross_entropy_with_logits(
                scores[:, many], labels[:, many], pos_weight=weight, reduction="none"
            )
            total = total + (cells * known[:, many]).sum() / known[:, many].sum().clamp(min=1)
        if one:
            rows = (known[:, one].min(dim=1).values > 0) & (labels[:, one].sum(dim=1) == 1)
            if rows.any():
                # One decision against len(many): the weight makes the axes count alike.
                total = total + 0.1 * cross_entropy(scores[rows][:, one], labels[rows][:, one].argmax(dim=1))
        return total

    return loss


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
