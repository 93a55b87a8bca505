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
    moved
        How many papers have gained or lost each label since these were made, shape (n_labels,).
    kept
        Columns that stay as they are in the parent, shape (n_labels,); a single-label axis stays whole or not at all.
    scored
        Columns that `unseen` is as good for as new scores, shape (n_labels,): those that are kept, and others.
    """

    parent: Classifier
    unseen: Floats
    moved: Ints
    kept: Bools
    scored: Bools

    def labels(self, columns: Bools) -> tuple[str, ...]:
        """Return the ids of some columns, shape (n_labels,)."""
        return tuple(np.array(self.parent.taxonomy.ids)[columns].tolist())


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

    With a `start`, the final model learns the columns that are not kept, and the folds those that are not scored, the
    others having the scores that it brings. If it brings all, no fold is fitted.
    """
    Y, mask = corpus.binarize(taxonomy)
    texts = corpus.texts
    folds = corpus.folds(config.validation.folds, config.validation.seed)
    if config.validation.folds < 2 or len(np.unique(folds)) < 2:
        raise CorpusError(
            "all records are in one fold, so nothing is left to test on",
            "Give it records of more papers, or set folds to 2 or more.",
        )
    single = taxonomy.single_columns
    known = np.zeros(Y.shape[1], dtype=bool) if start is None else start.scored
    n = 0 if known.all() else int(folds.max()) + 1
    # PyTorch keeps all processors busy with threads that a copy of this process lacks. A lone fit may use copies, too.
    workers = available() if config.backend == "tfidf" else 1
    kept: dict[str, Any] = {}
    common = kept if run.shared is None else run.shared
    run = last = replace(run, shared=common, workers=1 if n + final > 1 else workers)
    if start is not None:
        last = replace(last, kept=start.kept, parent=start.parent.backend)
        run = replace(run, kept=known)
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
    scores = np.zeros(Y.shape) if start is None else np.where(known, start.unseen, 0.0)
    for fold, (_, part) in enumerate(found[:n]):
        scores[np.ix_(folds == fold, ~known)] = part[:, ~known]
    backends = tuple(backend for backend, _ in found[:n]) if keep else ()
    return OutOfFold(scores, folds, backends, found[n] if final else None)


def calibrated_folds(
    axes: Sequence[AxisColumns], config: TrainConfig, out_of_fold: OutOfFold, Y: Bools, mask: Bools
) -> Iterator[tuple[Bools, Calibrator]]:
    """Yield the rows of each fold, shape (n,), and a calibration fitted on the others."""
    for fold in np.unique(out_of_fold.folds):
        inside, outside = out_of_fold.folds != fold, out_of_fold.folds == fold
        yield outside, Calibrator(axes, config.calibration).fit(out_of_fold.scores[inside], Y[inside], mask[inside])
