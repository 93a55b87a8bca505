"""The blend: TF-IDF and transformer read every text, and their scores are added up.

Both scores are log-odds but for their scale: the linear model is too shy on new texts and the transformer too bold. One
weight each puts that right before the sum, which is calibrated as the scores of any other backend.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Self

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

    tfidf_weight: float
    transformer_weight: float
    tfidf: TfidfConfig
    transformer: TransformerConfig


class BlendBackend:
    """The weighted sum of the scores of a TF-IDF and a transformer backend.

    Parameters
    ----------
    config
        Hyper-parameters, stored as given.

    Attributes
    ----------
    tfidf_, transformer_
        The fitted members.
    """

    name: ClassVar[str] = "blend"
    Config: ClassVar[type[BlendConfig]] = BlendConfig

    def __init__(self, config: BlendConfig) -> None:
        self.config = config

    def fit(self, texts: Sequence[str], Y: Bools, mask: Bools, *, single: Sequence[int] = (), run: Run = QUIET) -> Self:
        """Fit both members on the same texts; see `exoclass.backend.Backend.fit`."""
        self.tfidf_ = TfidfBackend(self.config.tfidf).fit(texts, Y, mask, single=single, run=run)
        self.transformer_ = TransformerBackend(self.config.transformer).fit(texts, Y, mask, single=single, run=run)
        return self

    def scores(self, texts: Sequence[str]) -> Floats:
        """Return raw scores, shape (n, n_labels)."""
        linear, deep = self.tfidf_.scores(texts), self.transformer_.scores(texts)
        return self.config.tfidf_weight * linear + self.config.transformer_weight * deep

    def attribute(self, text: str, columns: Sequence[int]) -> Attribution:
        """Return the spans of both members, each with its weighted share in the scores of `columns`."""
        one, other = self.tfidf_.attribute(text, columns), self.transformer_.attribute(text, columns)
        first, second = self.config.tfidf_weight, self.config.transformer_weight
        spans = np.concatenate([one.spans, other.spans])
        # What both members read as one word counts as one.
        _, terms = np.unique([text[start:end].casefold() for start, end in spans], return_inverse=True)
        return Attribution(
            spans=spans,
            terms=terms.astype(np.int64),
            weights=np.concatenate([first * one.weights, second * other.weights], axis=1),
            base=first * one.base + second * other.base,
        )

    def save(self, folder: Path) -> None:
        """Write what both members write, and the weights."""
        self.tfidf_.save(folder)
        self.transformer_.save(folder)
        (folder / _SETTINGS).write_text(json.dumps(asdict(self.config), indent=1) + "\n", encoding="utf-8")

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
            backend = cls(parse_config(told, BlendConfig, str(folder / _SETTINGS)))
        except (OSError, ValueError, TypeError, RecursionError, ConfigError) as error:
            raise ModelError(f"{folder} holds no usable blend: {error}", "Train or download it again.") from error
        backend.tfidf_, backend.transformer_ = TfidfBackend.load(folder), TransformerBackend.load(folder)
        shapes = {member.scores([""]).shape for member in (backend.tfidf_, backend.transformer_)}
        if len(shapes) > 1:
            raise ModelError(f"{folder}: its two models have other labels", "Train or download it again.")
        return backend
