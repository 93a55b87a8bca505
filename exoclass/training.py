"""From labelled records to a classifier, and from a classifier to its scores."""

from __future__ import annotations

import warnings
from dataclasses import replace
from importlib.metadata import version

import numpy as np

from exoclass.backend import QUIET, Bools, Floats, Run
from exoclass.calibration import REVIEW, YES, Calibrator
from exoclass.classifier import Classifier, Metadata, axis_columns, load_backend
from exoclass.corpus import Corpus
from exoclass.errors import CorpusError
from exoclass.metrics import EvaluationReport, evaluate_arrays
from exoclass.out_of_fold import OutOfFold, Start, calibrated_folds, cross_scores
from exoclass.report import to_json, to_markdown
from exoclass.taxonomy import Taxonomy
from exoclass.trainconfig import TrainConfig
from exoclass.unseen import Unseen, paper_digest

MIN_RECORDS = 20


def train(
    corpus: Corpus,
    taxonomy: Taxonomy,
    config: TrainConfig,
    *,
    command: str = "",
    test: Corpus | None = None,
    start: Start | None = None,
    run: Run = QUIET,
) -> tuple[Classifier, list[EvaluationReport]]:
    """Fit, calibrate and evaluate a classifier.

    Parameters
    ----------
    corpus
        Records to learn from; calibration and thresholds are fitted on their out-of-fold scores.
    command
        The command that was given, for the model card.
    test
        Held-out records; scored once, after everything is fixed.
    start
        A model to go on from instead of nothing: some of its labels stay as they are, to the last bit.
    run
        Whom to tell, and where a family that takes long keeps its checkpoints. The caller removes these once the
        model is saved.

    Returns
    -------
    Classifier
        Not yet saved.
    list of EvaluationReport
        Cross-validation first, then the test split if there is one.

    Raises
    ------
    CorpusError
        If there are too few records.
    """
    if len(corpus) < MIN_RECORDS:
        raise CorpusError(
            f"{len(corpus)} labelled records are too few to train on", f"Label at least {MIN_RECORDS}, of all scopes."
        )
    out_of_fold = cross_scores(corpus, taxonomy, config, final=True, start=start, run=run)
    assert out_of_fold.final is not None
    reports = [_cross_validated(corpus, taxonomy, config, out_of_fold)]
    Y, mask = corpus.binarize(taxonomy)
    _warn_without_positives(taxonomy, Y & mask)
    calibrator = Calibrator(axis_columns(taxonomy), config.calibration).fit(out_of_fold.scores, Y, mask)
    if start is not None:
        calibrator.keep(start.kept, start.parent.calibrator)
    metadata = Metadata(
        backend=config.backend,
        config=config.to_dict(),
        corpus={
            "sha256": corpus.fingerprint,
            "records": len(corpus),
            "groups": len({item.group for item in corpus}),
            "positives": _counted(taxonomy, corpus),
        },
        packages={package: version(package) for package in load_backend(config.backend).packages},
        command=command,
        trained_on=tuple(sorted({paper_digest(item.group) for item in corpus})),
    )
    clf = Classifier(out_of_fold.final, taxonomy, calibrator, _telling(metadata, reports))
    clf.unseen = Unseen.of(corpus.items, out_of_fold.scores, None if start is None else start.moved)
    if test is not None and len(test):
        run.progress(f"scoring {len(test)} held-out records")
        reports.append(score_held_out(clf, test))
    return clf, reports


def score_held_out(clf: Classifier, test: Corpus, probs: Floats | None = None) -> EvaluationReport:
    """Score a classifier on held-out records, let it tell so in its metadata, and return the report.

    `probs` are as for `evaluate`.
    """
    report = evaluate(clf, test, name="held-out test split", probs=probs)
    counted = clf.metadata.corpus | {"held_out_positives": _counted(clf.taxonomy, test)}
    clf.metadata = _telling(replace(clf.metadata, corpus=counted), [report])
    return report


def _telling(metadata: Metadata, reports: list[EvaluationReport]) -> Metadata:
    """Return metadata that tell these reports after those they tell already."""
    told = {
        name: [*metadata.evaluation.get(name, []), *map(show, reports)]
        for name, show in (("reports", to_json), ("markdown", to_markdown))
    }
    return replace(metadata, evaluation=told)


def evaluate(
    clf: Classifier, corpus: Corpus, *, name: str, threshold: float | None = None, probs: Floats | None = None
) -> EvaluationReport:
    """Score a classifier on labelled records; see `exoclass.metrics.EvaluationReport`.

    Parameters
    ----------
    probs
        What ``clf.probabilities(corpus.texts)`` returned, if it is known already.
    """
    Y, mask = corpus.binarize(clf.taxonomy)
    if probs is None:
        probs = clf.probabilities(corpus.texts)
    return _report(name, clf.taxonomy, clf.calibrator, Y, mask, probs, threshold)


def seen_in_training(clf: Classifier, corpus: Corpus) -> int:
    """Return how many records of `corpus` are of papers the classifier was trained on."""
    known = set(clf.metadata.trained_on)
    return sum(paper_digest(item.group) in known for item in corpus)


def _cross_validated(
    corpus: Corpus, taxonomy: Taxonomy, config: TrainConfig, out_of_fold: OutOfFold
) -> EvaluationReport:
    """Evaluate out-of-fold scores with a calibration that has not seen the fold it is applied to."""
    Y, mask = corpus.binarize(taxonomy)
    axes = axis_columns(taxonomy)
    probs = np.zeros(Y.shape)
    forced, decided = np.zeros(Y.shape, dtype=np.int8), np.zeros(Y.shape, dtype=np.int8)
    for outside, calibrator in calibrated_folds(axes, config, out_of_fold, Y, mask):
        probs[outside] = calibrator.probabilities(out_of_fold.scores[outside])
        forced[outside] = calibrator.decide(probs[outside], forced=True)
        decided[outside] = calibrator.decide(probs[outside])
    return evaluate_arrays(
        name=f"{config.validation.folds}-fold cross-validation grouped by paper",
        ids=taxonomy.ids, axes=axes, Y=Y, mask=mask, probs=probs, predicted=forced == YES, review=decided == REVIEW,
    )  # fmt: skip


def _report(
    name: str,
    taxonomy: Taxonomy,
    calibrator: Calibrator,
    Y: Bools,
    mask: Bools,
    probs: Floats,
    threshold: float | None,
) -> EvaluationReport:
    return evaluate_arrays(
        name=name,
        ids=taxonomy.ids, axes=calibrator.axes, Y=Y, mask=mask, probs=probs,
        predicted=calibrator.decide(probs, forced=True, threshold=threshold) == YES,
        review=calibrator.decide(probs, threshold=threshold) == REVIEW,
    )  # fmt: skip


def _counted(taxonomy: Taxonomy, corpus: Corpus) -> dict[str, int]:
    Y, mask = corpus.binarize(taxonomy)
    return {label_id: int(n) for label_id, n in zip(taxonomy.ids, (Y & mask).sum(axis=0), strict=True)}


def _warn_without_positives(taxonomy: Taxonomy, positives: Bools) -> None:
    without = [label_id for label_id, count in zip(taxonomy.ids, positives.sum(axis=0), strict=True) if not count]
    if without:
        warnings.warn(f"labels without a positive example are never predicted: {', '.join(without)}", stacklevel=3)
