"""What models that had not seen them say of the papers a model was trained on: kept beside it for the next training."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from exoclass.backend import Floats, Ints
from exoclass.corpus import LabeledRecord
from exoclass.errors import ModelError

_FILE = "out_of_fold.npz"
_REMEDY = "Train or download the model again."


def paper_digest(name: str) -> str:
    """Return the short hash by which a model remembers a paper, which does not tell what it is."""
    return hashlib.sha256(name.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Unseen:
    """Out-of-fold scores by paper.

    Parameters
    ----------
    papers
        The `paper_digest` of the key of each record.
    scores
        Raw scores, shape (n, n_labels), in half precision when they were read from a file.
    moved
        How many papers have gained or lost each label since its scores were made, shape (n_labels,).
    """

    papers: tuple[str, ...]
    scores: Floats
    moved: Ints

    @classmethod
    def of(cls, items: Sequence[LabeledRecord], scores: Floats, moved: Ints | None = None) -> Self:
        """Return the scores of some records, shape (n, n_labels), made just now unless it is said what has `moved`."""
        papers = tuple(paper_digest(item.record.key) for item in items)
        return cls(papers, scores, np.zeros(scores.shape[1], dtype=np.int64) if moved is None else moved)

    def find(self, items: Sequence[LabeledRecord]) -> list[Floats | None]:
        """Return the scores of each record, shape (n_labels,), or None."""
        rows = dict(zip(self.papers, self.scores, strict=True))
        return [rows.get(paper_digest(item.record.key)) for item in items]

    def save(self, folder: Path) -> None:
        """Write ``out_of_fold.npz`` into an existing folder."""
        np.savez(
            folder / _FILE,
            papers=np.array(self.papers, dtype="S12"),
            scores=self.scores.astype(np.float16),
            moved=self.moved.astype(np.int32),
        )

    @classmethod
    def load(cls, folder: Path, n_labels: int) -> Self | None:
        """Read what `save` wrote, None where there is nothing.

        Raises
        ------
        ModelError
            If the file does not fit the model.
        """
        if not (folder / _FILE).is_file():
            return None
        try:
            with (folder / _FILE).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                papers = tuple(bytes(paper).decode("ascii") for paper in arrays["papers"])
                scores, moved = arrays["scores"].astype(np.float64), arrays["moved"].astype(np.int64)
        except (OSError, EOFError, ValueError, LookupError, TypeError, zipfile.BadZipFile) as error:
            raise ModelError(f"{folder / _FILE} cannot be read: {error}", _REMEDY) from error
        if scores.shape != (len(papers), n_labels) or moved.shape != (n_labels,) or not np.isfinite(scores).all():
            raise ModelError(f"{folder / _FILE} does not fit the model", _REMEDY)
        return cls(papers, scores, moved)
