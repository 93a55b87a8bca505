"""What fine-tuning learns with: texts cut into windows with their labels, the head, and the loss of scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from exoclass.attention import LabelAttention
from exoclass.backend import Bools, Floats, Ints
from exoclass.windows import batches, cut, of_texts, padded

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

Loss = Callable[..., Any]

BATCH_TOKENS = 2048
"""Tokens that go through the encoder together, padding included: windows of like length, so that little is padded."""

MOST_KNOWN = 2_500_000_000
"""Numbers that are kept of states of tokens, 5 GB: 3 million tokens 768 wide. Texts beyond are read in every epoch."""

READ_AT_ONCE = 64
"""Texts whose states are in memory together while they are only read."""


class TextData:
    """Windows by text, and what torch needs of them.

    Parameters
    ----------
    known
        By text: the states of its tokens, half precision, where the encoder stays as it is.
    half
        Read in bfloat16, as `exoclass.encoder.half_precision` allows it; the states are single precision all the same.
    """

    def __init__(
        self,
        texts: Sequence[str],
        tokenizer: PreTrainedTokenizerFast,
        max_tokens: int,
        Y: Bools,
        mask: Bools,
        known: dict[str, Any] | None = None,
        *,
        half: bool = False,
    ) -> None:
        self.texts = texts
        self.windows = cut(texts, tokenizer.backend_tokenizer, max_tokens)
        self.of_text = of_texts(self.windows, range(len(self.windows)))
        self.Y, self.mask = Y, mask
        self.known, self.half = known, half
        self.special = special_ids(tokenizer)

    def states(self, encode: Any, rows: Sequence[int] | Ints) -> list[torch.Tensor]:  # noqa: ANN401 - of `exoclass.encoder.states_of`
        """Return the states of the tokens of some texts, each of shape (n_tokens, width); known ones are not read."""
        known = self.known
        if known is None:
            return self._read(encode, rows)
        new = [int(row) for row in rows if self.texts[row] not in known]
        fresh = dict(zip(new, self._read(encode, new), strict=True))
        room = MOST_KNOWN - sum(state.numel() for state in known.values()) if new else 0
        for row, found in fresh.items():
            if (room := room - found.numel()) >= 0:
                known[self.texts[row]] = found.half()
        return [known[self.texts[row]].float() if self.texts[row] in known else fresh[int(row)] for row in rows]

    def means(self, encode: Any, rows: Ints) -> torch.Tensor:  # noqa: ANN401 - as above
        """Return the mean state of the tokens of some texts, shape (n_rows, width); 0 without a token."""
        import torch

        with torch.inference_mode():
            found = [
                state.sum(dim=0) / max(1, len(state)) for some in _chunks(rows) for state in self.states(encode, some)
            ]
        return torch.stack(found).clone()

    def scores(self, model: Any, rows: Ints) -> torch.Tensor:  # noqa: ANN401 - see `exoclass.finetuning.tagger`
        """Return the scores of some texts that are only read, shape (n_rows, n_heads, n_labels)."""
        import torch

        with torch.inference_mode():
            return torch.cat([model.head(self.states(model.encoder, some)) for some in _chunks(rows)])

    def _read(self, encode: Any, rows: Sequence[int] | Ints) -> list[torch.Tensor]:  # noqa: ANN401 - as above
        import torch

        chosen = [self.windows[number] for row in rows for number in self.of_text.get(int(row), ())]
        found: list[torch.Tensor] = [torch.zeros(0)] * len(chosen)
        for batch in batches(chosen, BATCH_TOKENS):
            ids, mask = padded([chosen[number] for number in batch], *self.special)
            with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
                states = encode(torch.from_numpy(ids), torch.from_numpy(mask)).float()
            lengths = mask.sum(axis=1)  # the first and the last token stand for no characters
            for place, number in enumerate(batch):
                found[number] = states[place, 1 : lengths[place] - 1]
        parts, none = of_texts(chosen, found), [torch.zeros(0, encode.width)]
        return [torch.cat(parts.get(int(row), none)) for row in rows]

    def targets(self, rows: Ints) -> tuple[torch.Tensor, torch.Tensor]:
        """Return labels and what is annotated, as numbers."""
        import torch

        return torch.from_numpy(self.Y[rows]).float(), torch.from_numpy(self.mask[rows]).float()


def new_head(n_heads: int, n_labels: int, width: int, dropout: float) -> torch.nn.Module:
    """Return a head that knows nothing; states of texts, each (n_tokens, width), in; (n, n_heads, n_labels) out.

    Each head leaves out other parts of the states while it learns, so that they learn different things.
    """
    import torch

    class Head(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.queries = torch.nn.Parameter(torch.zeros(n_heads, n_labels, width))
            self.values = torch.nn.Parameter(torch.zeros(n_heads, n_labels, width))
            self.bias = torch.nn.Parameter(torch.zeros(n_heads, n_labels))
            self.register_buffer("mean", torch.zeros(width))
            self.register_buffer("scale", torch.ones(width))

        def forward(self, states: list[torch.Tensor]) -> torch.Tensor:
            # States count standardised. That is put into the weights, of which there are far fewer.
            weights = torch.stack([self.queries, self.values]) / self.scale  # type: ignore[operator]  # nn.Module hides its kind
            if self.training and dropout:
                weights = weights * ((torch.rand(n_heads, 1, width) >= dropout) / (1 - dropout))
            rows = weights.reshape(-1, width)
            found = torch.cat(states) @ rows.T - rows @ self.mean  # type: ignore[operator]  # as above
            by_text = torch.split(found, [len(state) for state in states])
            pairs = (own.chunk(2, dim=1) for own in by_text)  # what is looked for, and what is made of it
            sums = [(attention.softmax(dim=0) * value).sum(dim=0) for attention, value in pairs]
            return torch.stack(sums).reshape(-1, n_heads, n_labels) + self.bias

    return Head()


def fit_mean_head(head: Any, means: torch.Tensor, loss: Callable[[torch.Tensor], Any], penalty: float) -> None:  # noqa: ANN401 - of `new_head`
    """Give all heads the values that fit the mean states of some texts best, and the scale of the states.

    Parameters
    ----------
    means
        Shape (n, width).
    loss
        Of scores of shape (n, n_labels).
    """
    import torch

    mean, spread = means.mean(dim=0), means.std(dim=0).clamp(min=1e-6)
    inputs = (means - mean) / spread
    n_labels, width = head.values.shape[1:]
    weight = torch.zeros(n_labels, width, requires_grad=True)
    bias = torch.zeros(n_labels, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        found: torch.Tensor = loss(inputs @ weight.T + bias) + penalty / n_labels * weight.square().sum()
        found.backward()  # type: ignore[no-untyped-call]  # of torch
        return found

    optimizer.step(closure)  # type: ignore[no-untyped-call]  # of torch
    with torch.no_grad():
        head.mean.copy_(mean)
        head.values.copy_((weight * head.scale / spread).expand_as(head.values))
        head.bias.copy_(bias.expand_as(head.bias))


def to_arrays(head: Any) -> LabelAttention:  # noqa: ANN401 - of `new_head`
    """Return a head as arrays that read states as they are: mean and scale are within."""
    queries, values, offsets = (
        head.queries / head.scale,
        head.values / head.scale,
        -(head.values / head.scale @ head.mean),
    )
    one, two, three, bias = (tensor.detach().numpy() for tensor in (queries, values, offsets, head.bias.mean(dim=0)))
    return LabelAttention(one, two, three, cast("Floats", bias.astype(np.float64)))


def _chunks(rows: Ints) -> Iterator[Ints]:
    for start in range(0, len(rows), READ_AT_ONCE):
        yield rows[start : start + READ_AT_ONCE]


def special_ids(tokenizer: PreTrainedTokenizerFast) -> tuple[int, int, int]:
    """Return the ids of the first, the last and the padding token."""
    found = (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id)
    return int(found[0]), int(found[1]), int(found[2])


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
