"""Out-of-fold scores: what models that have not seen a paper say of it. Calibration and its own report rest on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from exoclass.backend import QUIET, Backend, Bools, Floats, Ints, Run
from exoclass.calibration import AxisColumns, Calibrator
from exoclass.classifier import Classifier
from exoclass.corpus import Corpus
from exoclass.errors import CorpusError
from exoclass.processes import Step, available, shared
from exoclass.taxonomy import Taxonomy
from exoclass.trainconfig import TrainConfig, new_backend


@dataclass(frozen=True, slots=True)
class Start:
    """A model that a training goes on from.

    Parameters
    ----------
    parent
        Of the same taxonomy and configuration; what its backend reads with is `reusable`.
    unseen
        Scores of the records to learn from by models that have not seen their papers, shape (n, n_labels).
    kept
        Columns that stay as they are in the parent, shape (n_labels,); a single-label axis stays whole or not at all.
    """

    parent: Classifier
    unseen: Floats
    kept: Bools

    @property
    def labels(self) -> tuple[str, ...]:
        """Ids of the columns kept."""
        return tuple(np.array(self.parent.taxonomy.ids)[self.kept].tolist())


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """Scores of records by models that have not seen their papers, shape (n, n_labels), and their folds, shape (n,).

    `backends` are these models by fold, if they were to be kept, and `final` is one of all records, if it was wanted.
    """

    scores: Floats
    folds: Ints
    backends: tuple[Backend, ...] = ()
    final: Backend | None = None


def cross_scores(
    corpus: Corpus,
    taxonomy: Taxonomy,
    config: TrainConfig,
    *,
    keep: bool = False,
    final: bool = False,
    start: Start | None = None,
    run: Run = QUIET,
) -> OutOfFold:
    """Return out-of-fold scores: each fold is scored by a model fitted on the others, which are kept if wanted.

    The models do not depend on each other, so the processors share them; the result is the same to the last bit.

    With a `start`, the columns kept are not learnt again, and their scores are those that it brings.
    """
    Y, mask = corpus.binarize(taxonomy)
    texts = corpus.texts
    n = config.validation.folds
    folds = corpus.folds(n, config.validation.seed)
    if n < 2 or len(np.unique(folds)) < 2:
        raise CorpusError(
            "all records are in one fold, so nothing is left to test on",
            "Give it records of more papers, or set folds to 2 or more.",
        )
    single, n = taxonomy.single_columns, int(folds.max()) + 1
    # PyTorch keeps all processors busy with threads that a copy of this process lacks. A lone fit may use copies, too.
    workers = available() if config.backend == "tfidf" else 1
    kept: dict[str, Any] = {}
    common = kept if run.shared is None else run.shared
    run = last = replace(run, shared=common, workers=1 if n + final > 1 else workers)
    if start is not None:
        run = replace(run, kept=start.kept)
        last = replace(run, parent=start.parent.backend)
        common.update(start.parent.backend.reusable() or {})

    def score(fold: int) -> tuple[Backend | None, Floats]:
        inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        backend = new_backend(config)
        if not len(outside):
            return backend, np.zeros((0, Y.shape[1]))
        backend.fit([texts[i] for i in inside], Y[inside], mask[inside], single=single, run=run)
        return backend if keep else None, backend.scores([texts[i] for i in outside])

    steps: list[Step[Any]] = [Step(f"cross-validation, fold {k + 1} of {n}", partial(score, k)) for k in range(n)]
    if final:
        fit = partial(new_backend(config).fit, texts, Y, mask, single=single, run=last)
        steps.append(Step(f"fitting the final model on {len(corpus)} records", fit))
    found = shared(steps, workers=workers, progress=run.progress)
    kept.clear()  # else the final model would hold on to it
    scores = np.zeros(Y.shape)
    for fold, (_, part) in enumerate(found[:n]):
        scores[folds == fold] = part
    if start is not None:
        scores[:, start.kept] = start.unseen[:, start.kept]
    backends = tuple(backend for backend, _ in found[:n]) if keep else ()
    return OutOfFold(scores, folds, backends, found[n] if final else None)


def calibrated_folds(
    axes: Sequence[AxisColumns], config: TrainConfig, out_of_fold: OutOfFold, Y: Bools, mask: Bools
) -> Iterator[tuple[Bools, Calibrator]]:
    """Yield the rows of each fold, shape (n,), and a calibration fitted on the others."""
    for fold in np.unique(out_of_fold.folds):
        inside, outside = out_of_fold.folds != fold, out_of_fold.folds == fold
        yield outside, Calibrator(axes, config.calibration).fit(out_of_fold.scores[inside], Y[inside], mask[inside])
