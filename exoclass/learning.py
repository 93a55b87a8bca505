"""What fine-tuning learns from: texts cut into windows with their labels, and the loss of scores against these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from exoclass.backend import Bools, Floats, Ints
from exoclass.windows import batches, cut, padded

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

Loss = Callable[..., Any]

BATCH_TOKENS = 2048
"""Tokens that go through the encoder together, padding included: windows of like length, so that little is padded."""


class TextData:
    """Windows by text, and what torch needs of them."""

    def __init__(
        self, texts: Sequence[str], tokenizer: PreTrainedTokenizerFast, max_tokens: int, Y: Bools, mask: Bools
    ) -> None:
        self.texts = texts
        self.windows = cut(texts, tokenizer.backend_tokenizer, max_tokens)
        self.of_text: dict[int, list[int]] = {}
        for number, window in enumerate(self.windows):
            self.of_text.setdefault(window.text, []).append(number)
        self.Y, self.mask = Y, mask
        self.special = special_ids(tokenizer)

    def scores(self, model: Callable[..., Any], rows: Sequence[int] | np.ndarray) -> torch.Tensor:
        """Return the scores of some texts, shape (n_rows, n_labels): means over the tokens of their windows."""
        return self._means(model, rows, self.Y.shape[1])

    def _means(self, read: Callable[..., Any], rows: Sequence[int] | np.ndarray, width: int) -> torch.Tensor:
        """Return the mean over the tokens of each text, shape (n_rows, width), of what is read; 0 without a token."""
        import torch

        place = {int(row): position for position, row in enumerate(rows)}
        chosen = [self.windows[number] for row in place for number in self.of_text.get(row, ())]
        sums, counts = torch.zeros(len(place), width), torch.zeros(len(place), 1)
        for batch in batches(chosen, BATCH_TOKENS):
            some = [chosen[number] for number in batch]
            ids, mask = padded(some, *self.special)
            tokens = read(torch.from_numpy(ids), torch.from_numpy(mask))
            inner = torch.from_numpy(inner_mask(mask)).unsqueeze(-1)
            owners = torch.tensor([place[window.text] for window in some])
            sums = sums.index_add(0, owners, (tokens * inner).sum(dim=1))
            counts = counts.index_add(0, owners, inner.sum(dim=1).float())
        return sums / counts.clamp(min=1)

    def targets(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Return labels and what is annotated, as numbers."""
        import torch

        return torch.from_numpy(self.Y[rows]).float(), torch.from_numpy(self.mask[rows]).float()

    def encodings(self, encoder: Any, rows: Ints, known: dict[str, Any]) -> torch.Tensor:  # noqa: ANN401 - of transformers
        """Return the mean encoding of the tokens of some texts, shape (n_rows, hidden size).

        Texts that are `known` are not read again, and those that are read are known from then on.
        """
        import torch

        def encode(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            hidden: torch.Tensor = encoder(input_ids=ids, attention_mask=mask).last_hidden_state
            return hidden

        new = np.array([row for row in rows if self.texts[row] not in known], dtype=np.int64)
        for start in range(0, len(new), 64):
            some = new[start : start + 64]
            with torch.inference_mode():
                found = self._means(encode, some, int(encoder.config.hidden_size))
            known.update(zip([self.texts[row] for row in some], found.clone(), strict=True))
        return torch.stack([known[self.texts[row]] for row in rows])

    def fit_head(self, model: Any, rows: Ints, loss_of: Loss, penalty: float, known: dict[str, Any]) -> None:  # noqa: ANN401 - as above
        """Give the model the head that fits some texts best while the encoder stays as it is."""
        import torch

        encodings = self.encodings(model.encoder, rows, known)
        mean, spread = encodings.mean(dim=0), encodings.std(dim=0).clamp(min=1e-6)
        inputs, labels = (encodings - mean) / spread, self.targets(rows)
        n_labels = self.Y.shape[1]
        weight = torch.zeros(n_labels, inputs.shape[1], requires_grad=True)
        bias = torch.zeros(n_labels, requires_grad=True)
        optimizer = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss: torch.Tensor = loss_of(inputs @ weight.T + bias, *labels) + penalty / n_labels * weight.square().sum()
            loss.backward()  # type: ignore[no-untyped-call]  # of torch
            return loss

        optimizer.step(closure)  # type: ignore[no-untyped-call]  # of torch
        with torch.no_grad():
            model.head.weight.copy_(weight / spread)
            model.head.bias.copy_(bias - (weight / spread) @ mean)


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


def loss_function(Y: Bools, mask: Bools, single: Sequence[int], max_weight: float) -> Loss:
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
