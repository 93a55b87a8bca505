"""The head of a transformer: each label looks for its own words, and scores what it finds there.

Label-wise attention (Mullenbach et al. 2018, CAML), with several heads whose scores are averaged. The score of a label
is a sum over tokens, so each token's share in it is known exactly. With queries of nought all tokens count alike, and
the head is a linear one on the mean of the tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exoclass.backend import NEVER, Floats

Singles = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LabelAttention:
    """A fitted head.

    Parameters
    ----------
    queries, values
        Shape (n_heads, n_labels, width): what a label looks for in a token's state, and what it makes of it.
    offsets
        Shape (n_heads, n_labels): added to every value.
    bias
        Shape (n_labels,): the score of a text without any token.
    """

    queries: Singles
    values: Singles
    offsets: Singles
    bias: Floats

    @property
    def fits_itself(self) -> bool:
        """Whether all arrays are finite and of shapes that belong together."""
        arrays = (self.queries, self.values, self.offsets, self.bias)
        return (
            self.queries.ndim == 3
            and self.values.shape == self.queries.shape
            and self.offsets.shape == self.queries.shape[:2]
            and self.bias.shape == self.queries.shape[1:2]
            and all(np.isfinite(array).all() for array in arrays)
        )

    def with_columns(self, columns: Sequence[int | None]) -> LabelAttention:
        """Return a head with these labels of this one, in this order; None is one that scores `NEVER`."""
        chosen = [0 if column is None else column for column in columns]
        new = [column is None for column in columns]
        queries, values, offsets = (array[:, chosen] for array in (self.queries, self.values, self.offsets))  # copies
        bias = self.bias[chosen]
        for array in (queries, values, offsets):
            array[:, new] = 0.0
        bias[new] = NEVER
        return LabelAttention(queries, values, offsets, bias)

    def keeping(self, columns: NDArray[np.bool_], other: LabelAttention) -> LabelAttention:
        """Return this head with some columns, shape (n_labels,), as they are in another one."""
        here, there = columns[None, :, None], columns[None, :]
        return LabelAttention(
            np.where(here, other.queries, self.queries),
            np.where(here, other.values, self.values),
            np.where(there, other.offsets, self.offsets),
            np.where(columns, other.bias, self.bias),
        )

    def shares(self, states: Singles) -> Singles:
        """Return what each token adds to the score of each label.

        Parameters
        ----------
        states
            Of all tokens of one text, shape (n_tokens, width).

        Returns
        -------
        Array of shape (n_tokens, n_labels); its sum over the tokens and `bias` are the scores.
        """
        heads, labels, width = self.queries.shape
        if not len(states):
            return np.zeros((0, labels), dtype=np.float32)
        attention = states @ self.queries.reshape(-1, width).T
        attention = np.exp(attention - attention.max(axis=0))
        attention /= attention.sum(axis=0)
        found = attention * (states @ self.values.reshape(-1, width).T + self.offsets.reshape(-1))
        shares: Singles = found.reshape(len(states), heads, labels).mean(axis=1)
        return shares
