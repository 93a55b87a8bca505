"""The blend: TF-IDF reads every text, a transformer those that TF-IDF is not sure of, and their scores are averaged.

The scores of both are log-odds but for their scale: the linear model is too shy on new texts and the transformer too
bold. One factor each puts that right before the average, which is calibrated as the scores of any other backend.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from exoclass.backend import QUIET, Attribution, Bools, Floats, Run
from exoclass.config import parse_config
from exoclass.errors import ConfigError, ModelError
from exoclass.finetuning import TransformerConfig
from exoclass.tfidf import TfidfBackend, TfidfConfig
from exoclass.transformer import TransformerBackend

_SETTINGS = "blend.json"


@dataclass(frozen=True, slots=True)
class BlendConfig:
    """Hyper-parameters; each is explained beside its value in ``configs/blend.toml``."""

    tfidf_scale: float
    transformer_scale: float
    max_doubt: float
    tfidf: TfidfConfig
    transformer: TransformerConfig


class BlendBackend:
    """The mean of the scores of a TF-IDF and a transformer backend, or the former alone where it is sure.

    Parameters
    ----------
    config
        Hyper-parameters, stored as given.

    Attributes
    ----------
    tfidf_, transformer_
        The fitted members.
    single_
        Columns of which exactly one holds.
    """

    name: ClassVar[str] = "blend"
    Config: ClassVar[type[BlendConfig]] = BlendConfig
    packages: ClassVar[tuple[str, ...]] = tuple(dict.fromkeys([*TfidfBackend.packages, *TransformerBackend.packages]))

    def __init__(self, config: BlendConfig) -> None:
        self.config = config

    def reusable(self) -> dict[str, Any] | None:
        """Return what both members can share. With `max_doubt`, labels learnt anew change who reads a text: None."""
        other = self.transformer_.reusable()
        return None if other is None or self.config.max_doubt else self.tfidf_.reusable() | other

    def fit(self, texts: Sequence[str], Y: Bools, mask: Bools, *, single: Sequence[int] = (), run: Run = QUIET) -> Self:
        """Fit both members on the same texts; see `exoclass.backend.Backend.fit`."""
        self.single_ = tuple(single)
        one = other = run
        if run.parent is not None:
            one, other = replace(run, parent=run.parent.tfidf_), replace(run, parent=run.parent.transformer_)
        self.tfidf_ = TfidfBackend(self.config.tfidf).fit(texts, Y, mask, single=single, run=one)
        self.transformer_ = TransformerBackend(self.config.transformer).fit(texts, Y, mask, single=single, run=other)
        return self

    def with_columns(self, columns: Sequence[int | None], *, single: Sequence[int] = ()) -> Self:
        """Return a model that has these columns of this one; see `exoclass.backend.Backend.with_columns`."""
        other = type(self)(self.config)
        other.single_ = tuple(single)
        other.tfidf_, other.transformer_ = self.tfidf_.with_columns(columns), self.transformer_.with_columns(columns)
        return other

    def scores(self, texts: Sequence[str]) -> Floats:
        """Return raw scores, shape (n, n_labels)."""
        found = self.config.tfidf_scale * self.tfidf_.scores(texts)
        unsure = np.flatnonzero(self._doubt(found) > self.config.max_doubt).tolist()
        both = self.config.transformer_scale * self.transformer_.scores([texts[row] for row in unsure])
        found[unsure] = (found[unsure] + both) / 2
        return found

    def attribute(self, text: str, columns: Sequence[int]) -> Attribution:
        """Return the spans of those members that read the text, each with its share in the scores of `columns`."""
        one, scale = self.tfidf_.attribute(text, columns), self.config.tfidf_scale
        if self._doubt(scale * self.tfidf_.scores([text]))[0] <= self.config.max_doubt:
            return Attribution(one.spans, one.terms, scale * one.weights, scale * one.base)
        other, bold = self.transformer_.attribute(text, columns), self.config.transformer_scale
        return Attribution(
            spans=np.concatenate([one.spans, other.spans]),
            terms=np.concatenate([one.terms, other.terms + (one.terms.max() + 1 if len(one.terms) else 0)]),
            weights=np.concatenate([scale * one.weights, bold * other.weights], axis=1) / 2,
            base=(scale * one.base + bold * other.base) / 2,
        )

    def _doubt(self, scores: Floats) -> Floats:
        """Return how many tags of each text are expected to be wrong, shape (n,), if the scores are log-odds."""
        one = list(self.single_)
        doubt = (1 / (1 + np.exp(np.abs(np.delete(scores, one, axis=1))))).sum(axis=1)
        if one:
            below = np.exp(scores[:, one] - scores[:, one].max(axis=1, keepdims=True))
            doubt += 1 - 1 / below.sum(axis=1)
        return np.asarray(doubt)

    def save(self, folder: Path) -> None:
        """Write what both members write, and the settings."""
        self.tfidf_.save(folder)
        self.transformer_.save(folder)
        told = {"config": asdict(self.config), "single": self.single_}
        (folder / _SETTINGS).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        ModelError
            If a file is missing, or the members do not have the same labels.
        """
        try:
            told = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
            backend = cls(parse_config(told["config"], BlendConfig, str(folder / _SETTINGS)))
            backend.single_ = tuple(int(column) for column in told["single"])
        except (OSError, ValueError, LookupError, TypeError, RecursionError, ConfigError) as error:
            raise ModelError(f"{folder} holds no usable blend: {error}", "Train or download it again.") from error
        backend.tfidf_, backend.transformer_ = TfidfBackend.load(folder), TransformerBackend.load(folder)
        n_labels = len(backend.tfidf_.intercepts_)
        if len(backend.transformer_.head_.bias) != n_labels or not set(backend.single_) <= set(range(n_labels)):
            raise ModelError(f"{folder}: its two models have other labels", "Train or download it again.")
        return backend
