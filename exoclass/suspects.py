"""Labels that may be wrong: those which models that have not learnt from them disbelieve most.

Each label of each record, given or not, is ranked by its self-confidence, the out-of-fold probability of the state
that the annotators gave it (Northcutt et al. 2021, "Confident learning"), and a record by its least credible label.
cleanlab has the ranking for several labels too (Thyagarajan et al. 2022, arXiv:2211.13895), but brings pandas for it
and knows no labels that were not annotated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from exoclass.backend import Run
from exoclass.classifier import axis_columns
from exoclass.corpus import Corpus
from exoclass.evidence import explain, sentences
from exoclass.out_of_fold import calibrated_folds, cross_scores
from exoclass.records import Evidence
from exoclass.taxonomy import Taxonomy
from exoclass.trainconfig import TrainConfig


@dataclass(frozen=True, slots=True)
class Suspect:
    """A label of a record that may be wrong.

    Parameters
    ----------
    position, key, title
        Where the record stands, and which it is.
    given
        Whether the annotators gave the label; else they left it out.
    probability
        Of the label, by a model that has not seen the paper.
    evidence
        What speaks for the label, if anything does.
    """

    position: str
    key: str
    title: str
    axis: str
    label: str
    given: bool
    probability: float
    evidence: Evidence | None


def find_suspects(
    corpus: Corpus,
    taxonomy: Taxonomy,
    config: TrainConfig,
    *,
    top: int = 20,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Suspect]:
    """Return the least credible label of each of the `top` least credible records, the least credible first.

    Raises
    ------
    CorpusError
        If there are too few papers to leave some out.
    """
    out_of_fold = cross_scores(corpus, taxonomy, config, keep=True, run=Run(progress))
    Y, mask = corpus.binarize(taxonomy)
    axes = axis_columns(taxonomy)
    probs = np.zeros(Y.shape)
    for rows, calibrator in calibrated_folds(axes, config, out_of_fold, Y, mask):
        probs[rows] = calibrator.probabilities(out_of_fold.scores[rows])
    for axis in axes:
        if axis.single:  # of a single choice, only what was chosen counts: the others follow from it
            mask[:, list(axis.columns)] &= Y[:, list(axis.columns)]
    credible = np.where(mask, np.where(Y, probs, 1 - probs), np.inf)
    worst = credible.argmin(axis=1)
    order = np.argsort(credible.min(axis=1), kind="stable")[:top]
    found = []
    for row in map(int, order):
        column = int(worst[row])
        item, label = corpus[row], taxonomy.labels[column]
        backend = out_of_fold.backends[int(out_of_fold.folds[row])]
        text = item.record.text
        [evidence] = explain(text, backend.attribute(text, [column]), sentences(text))
        found.append(
            Suspect(
                item.record.source, item.record.key, item.record.title, label.axis, label.id, bool(Y[row, column]),
                round(float(probs[row, column]), 4), evidence,
            )
        )  # fmt: skip
    return found
