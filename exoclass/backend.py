"""The one seam between exoclass and a model family.

A backend turns texts into one raw score per label and can say which words a score came from. It knows nothing of
label names, probabilities or thresholds: `exoclass.classifier` joins numbers to meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

NEVER = -8.0
"""Raw score of a label without a single positive example, by every backend."""


@dataclass(frozen=True, slots=True)
class Run:
    """How a long fit tells of itself, and where it can go on after it was stopped.

    Parameters
    ----------
    progress
        Called with one line now and then.
    work
        A folder for checkpoints, or None for none. What lies there is of use only to a fit of the same texts and
        labels.
    shared
        What fits of the same configuration, the folds of a cross-validation, keep for each other, so that no text is
        read twice: each family its own. None for a fit by itself.
    workers
        Processes that a fit may use: more than one only where no other fit runs beside it.
    kept
        Columns that need not be learnt, shape (n_labels,): those of `parent` are taken. None for none.
    parent
        A model of the same family and configuration to go on from: the fit takes its vocabulary or its encoder as they
        are. A fold has none, since its vocabulary must not know the texts it is to score, and what it says of `kept`
        means nothing; what it may take over, `Backend.reusable`, is among what is `shared`.
    """

    progress: Callable[[str], None] = lambda _: None
    work: Path | None = None
    shared: dict[str, Any] | None = None
    workers: int = 1
    kept: Bools | None = None
    parent: Any = None  # a `Backend`, which cannot be named before it is


QUIET = Run()


@dataclass(frozen=True, slots=True)
class Attribution:
    """Where the scores of one text come from.

    Parameters
    ----------
    spans
        Shape (n_spans, 2): start and end of each word or phrase, in characters of the text.
    terms
        Shape (n_spans,): spans with the same number are occurrences of the same word or phrase.
    weights
        Shape (n_columns, n_spans): what each span adds to the score of each column asked for.
    base
        Shape (n_columns,): the score of a text without any known word. The rows are complete:
        ``weights.sum(axis=1) + base`` equals the scores.
    """

    spans: Ints
    terms: Ints
    weights: Floats
    base: Floats


@runtime_checkable
class Backend(Protocol):
    """A model family: fitted on texts and a label matrix, saved as plain arrays."""

    name: ClassVar[str]
    Config: ClassVar[type[Any]]
    """The dataclass of its hyper-parameters, one table of a training configuration."""
    packages: ClassVar[tuple[str, ...]]
    """What a fitted model depends on; their versions are told in its card."""

    def __init__(self, config: Any) -> None: ...  # noqa: ANN401 - of the class `Config`

    def reusable(self) -> dict[str, Any] | None:
        """Return what other fits of its configuration may take over, as `Run.shared` keeps it.

        It has learnt nothing from labels; None if all that reads the texts has, so that no fit can go on from there.
        """

    def fit(self, texts: Sequence[str], Y: Bools, mask: Bools, *, single: Sequence[int] = (), run: Run = QUIET) -> Self:
        """Learn one score per column.

        Parameters
        ----------
        texts
            n model inputs (`exoclass.records.Record.text`).
        Y
            Shape (n, n_labels), True where the label holds.
        mask
            Shape (n, n_labels), False where the label was not annotated; such cells are not learnt from.
        single
            Columns of which exactly one holds per record.
        run
            For a family that takes long.
        """

    def with_columns(self, columns: Sequence[int | None], *, single: Sequence[int] = ()) -> Self:
        """Return a model that has these columns of this one, in this order; None is a label that scores `NEVER`.

        What was learnt is the same to the last bit, and so are the scores, but for where a product of another width is
        rounded.

        Parameters
        ----------
        single
            Of the new columns, those of which exactly one holds.
        """

    def scores(self, texts: Sequence[str]) -> Floats:
        """Return raw scores (log-odds up to calibration), shape (n, n_labels)."""

    def attribute(self, text: str, columns: Sequence[int]) -> Attribution:
        """Return where the scores of `columns` for one text come from."""

    def save(self, folder: Path) -> None:
        """Write the learned arrays into an existing folder, never as pickle."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote, or raise `ModelError`."""
