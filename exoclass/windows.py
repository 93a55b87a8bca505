"""Texts cut into windows that an encoder can read, and windows put into batches of like length.

No text is cut short: one that is longer than a window becomes several of about equal length, and what the model says
of the text is the mean over the tokens of all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from exoclass.backend import Ints

if TYPE_CHECKING:
    from tokenizers import Tokenizer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of one text.

    Parameters
    ----------
    text
        Number of the text it is from.
    ids
        Token ids, without special tokens.
    spans
        Shape (n_tokens, 2): start and end of each token, in characters of the text.
    """

    text: int
    ids: tuple[int, ...]
    spans: Ints


def cut(texts: Sequence[str], tokenizer: Tokenizer, max_tokens: int) -> list[Window]:
    """Return the windows of all texts, in order; a text without any token has none.

    Parameters
    ----------
    max_tokens
        Longest window, its two special tokens included.
    """
    windows = []
    for number, encoding in enumerate(tokenizer.encode_batch(list(texts), add_special_tokens=False)):
        ids, spans = encoding.ids, np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
        pieces = -(-len(ids) // (max_tokens - 2))
        borders = np.linspace(0, len(ids), pieces + 1).round().astype(int) if pieces else np.zeros(1, dtype=int)
        windows += [
            Window(number, tuple(ids[start:end]), spans[start:end]) for start, end in pairwise(borders.tolist())
        ]
    return windows


def batches(windows: Sequence[Window], max_batch_tokens: int, *, padding: bool = True) -> Iterator[list[int]]:
    """Yield the numbers of windows that are read together, longest first, so that little is padded.

    Parameters
    ----------
    max_batch_tokens
        Most tokens in a batch, padding included; a batch has at least one window.
    padding
        Without it, only windows of one length are read together.
    """
    order = sorted(range(len(windows)), key=lambda number: (-len(windows[number].ids), number))
    batch: list[int] = []
    for number in order:
        longest = len(windows[batch[0]].ids) + 2 if batch else 0
        shorter = len(windows[number].ids) + 2 < longest
        if batch and (longest * (len(batch) + 1) > max_batch_tokens or (shorter and not padding)):
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def of_texts(windows: Sequence[Window], found: Sequence[T]) -> dict[int, list[T]]:
    """Return what was found of each window by the number of its text, in order; a text without a window is left out.

    >>> of_texts([Window(0, (7,), np.array([[0, 1]])), Window(2, (8,), np.array([[0, 1]]))], ["a", "b"])
    {0: ['a'], 2: ['b']}
    """
    parts: dict[int, list[T]] = {}
    for window, own in zip(windows, found, strict=True):
        parts.setdefault(window.text, []).append(own)
    return parts


def padded(windows: Sequence[Window], first: int, last: int, padding: int) -> tuple[Ints, Ints]:
    """Return token ids and attention mask, shape (n_windows, longest + 2), with the special tokens in place."""
    length = max(len(window.ids) for window in windows) + 2
    ids = np.full((len(windows), length), padding, dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, window in enumerate(windows):
        own = [first, *window.ids, last]
        ids[row, : len(own)] = own
        mask[row, : len(own)] = 1
    return ids, mask
