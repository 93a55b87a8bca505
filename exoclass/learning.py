"""What fine-tuning learns with: texts cut into windows with their labels, the head, and the loss of scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from exoclass.attention import LabelAttention, Singles
from exoclass.backend import NEVER, Bools, Floats, Ints, Run
from exoclass.windows import Window, batches, of_texts, padded

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

Loss = Callable[..., Any]
Read = Callable[[Sequence[Window]], "Sequence[torch.Tensor]"]
"""Gives the states of the tokens of each window, shape (n_tokens, width)."""

BATCH_TOKENS = 2048
"""Tokens that go through the encoder together, padding included: windows of like length, so that little is padded."""

MOST_KNOWN = 2_500_000_000
"""Numbers that are kept of states of tokens, 5 GB: 3 million tokens 768 wide. Texts beyond are read in every epoch."""

EVEN = 1024
"""Tokens that a head learns from are filled up to a multiple of it: the first product of any shape takes far longer."""

READ_AT_ONCE = 64
"""Texts whose states are in memory together while they are only read."""


class TextData:
    """Texts with their labels, cut into windows, and what torch needs of them.

    Parameters
    ----------
    windows
        Of all texts, see `exoclass.windows.cut`.
    read
        Returns the states of the tokens of some windows.
    width
        Of a state.
    known
        By text: the states of its tokens, half precision, where the encoder stays as it is.
    """

    def __init__(
        self,
        texts: Sequence[str],
        windows: Sequence[Window],
        Y: Bools,
        mask: Bools,
        read: Read,
        width: int,
        known: dict[str, torch.Tensor] | None = None,
    ) -> None:
        self.texts, self.windows = texts, windows
        self.of_text = of_texts(windows, range(len(windows)))
        self.Y, self.mask = Y, mask
        self.read, self.width, self.known = read, width, known

    def states(self, rows: Sequence[int] | Ints) -> list[torch.Tensor]:
        """Return the states of the tokens of some texts, each of shape (n_tokens, width); known ones are not read."""
        known = self.known
        if known is None:
            return self._read(rows)
        new = [int(row) for row in rows if self.texts[row] not in known]
        fresh = dict(zip(new, self._read(new), strict=True))
        room = MOST_KNOWN - sum(state.numel() for state in known.values()) if new else 0
        for row, found in fresh.items():
            if (room := room - found.numel()) >= 0:
                known[self.texts[row]] = found.half()
        return [known[self.texts[row]] if self.texts[row] in known else fresh[int(row)] for row in rows]

    def means(self, rows: Ints) -> torch.Tensor:
        """Return the mean state of the tokens of some texts, shape (n_rows, width); 0 without a token."""
        import torch

        with torch.inference_mode():
            found = [
                state.float().sum(dim=0) / max(1, len(state)) for some in _chunks(rows) for state in self.states(some)
            ]
        return torch.stack(found).clone()

    def scores(self, head: torch.nn.Module, rows: Ints) -> torch.Tensor:
        """Return the scores of some texts that are only read, shape (n_rows, n_heads, n_labels)."""
        import torch

        with torch.inference_mode():
            return torch.cat([head(self.states(some)) for some in _chunks(rows)])

    def _read(self, rows: Sequence[int] | Ints) -> list[torch.Tensor]:
        import torch

        chosen = [self.windows[number] for row in rows for number in self.of_text.get(int(row), ())]
        parts, none = of_texts(chosen, self.read(chosen)), [torch.zeros(0, self.width)]
        return [torch.cat(parts.get(int(row), none)) for row in rows]

    def targets(self, rows: Ints) -> tuple[torch.Tensor, torch.Tensor]:
        """Return labels and what is annotated, as numbers."""
        import torch

        return torch.from_numpy(self.Y[rows]).float(), torch.from_numpy(self.mask[rows]).float()


def known_states(precision: str, run: Run) -> dict[str, torch.Tensor]:
    """Return the states of texts that fits of one configuration keep for each other, by text.

    Graphs of different precision read differently, so each has its own. An encoder that is to learn is read by torch,
    whatever graph it will become: its states serve the fits alone, never the scores (see `exoclass.transformer`).
    """
    return {} if run.shared is None else run.shared.setdefault(f"states in {precision}", {})


def graph_reader(states: Callable[[Sequence[Window]], Sequence[Singles]]) -> Read:
    """Return what reads windows with a graph."""

    def read(windows: Sequence[Window]) -> list[torch.Tensor]:
        import torch

        return [torch.from_numpy(own) for own in states(windows)]

    return read


def torch_reader(encoder: Any, special: tuple[int, int, int], *, half: bool) -> Read:  # noqa: ANN401 - of `exoclass.encoder.states_of`
    """Return what reads windows with an encoder as it is then, in bfloat16 if wanted; the states are single precision.

    Parameters
    ----------
    special
        Ids of the first, the last and the padding token.
    """

    def read(windows: Sequence[Window]) -> list[torch.Tensor]:
        import torch

        found: list[torch.Tensor] = [torch.zeros(0)] * len(windows)
        for batch in batches(windows, BATCH_TOKENS):
            ids, mask = padded([windows[number] for number in batch], *special)
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                states = encoder(torch.from_numpy(ids), torch.from_numpy(mask)).float()
            lengths = mask.sum(axis=1)  # the first and the last token stand for no characters
            for place, number in enumerate(batch):
                found[number] = states[place, 1 : lengths[place] - 1]
        return found

    return read


def new_head(n_heads: int, n_labels: int, width: int, dropout: float, *, half: bool = False) -> torch.nn.Module:
    """Return a head that knows nothing; states of texts, each (n_tokens, width), in; (n, n_heads, n_labels) out.

    Each head leaves out other parts of the states while it learns, so that they learn different things.

    Parameters
    ----------
    half
        Multiply in bfloat16 while it learns: half the time, where the processor has it.
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
            kind = torch.bfloat16 if half and self.training else torch.float32
            rows = weights.reshape(-1, width).to(kind)
            # One text after the other, which stays in the cache; and from one half precision to another would be slow.
            lengths = [len(state) for state in states]
            rest = torch.zeros(-sum(lengths) % EVEN, width, dtype=kind)
            read = torch.cat([*(state.float().to(kind) for state in states), rest])
            found = (read @ rows.T).float() - rows.float() @ self.mean  # type: ignore[operator]  # as above
            by_text = torch.split(found, [*lengths, len(rest)])[:-1]
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


def settle_constant_labels(head: Any, Y: Bools, mask: Bools) -> None:  # noqa: ANN401 - of `new_head`
    """Let the head say "never" of a label without a positive, and "always" of one without a negative."""
    import torch

    positives, negatives = (Y & mask).sum(axis=0) > 0, (~Y & mask).sum(axis=0) > 0
    with torch.no_grad():
        for column in np.flatnonzero(~(positives & negatives)):
            head.values[:, column] = 0.0
            head.bias[:, column] = -NEVER if positives[column] else NEVER


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
