"""From labelled records to a classifier, and from a classifier to its scores."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, make_dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from exoclass.backend import QUIET, Backend, Bools, Floats, Run
from exoclass.calibration import REVIEW, YES, AxisColumns, CalibrationConfig, Calibrator
from exoclass.classifier import Classifier, Metadata, axis_columns, load_backend
from exoclass.config import parse_config, read_toml, shipped
from exoclass.corpus import Corpus
from exoclass.errors import ConfigError, CorpusError, ModelError
from exoclass.metrics import EvaluationReport, evaluate_arrays
from exoclass.processes import Step, available, shared
from exoclass.report import to_json, to_markdown
from exoclass.taxonomy import Taxonomy

MIN_RECORDS = 20


@dataclass(frozen=True, slots=True)
class ValidationConfig:
    """How out-of-fold predictions are made."""

    folds: int
    seed: int


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """The whole content of a training configuration file such as ``configs/tfidf.toml``.

    In the file, the hyper-parameters of the backend stand in a table that has its name.
    """

    backend: str
    model: Any
    """Of the class `exoclass.backend.Backend.Config` of that backend."""
    calibration: CalibrationConfig
    validation: ValidationConfig

    @classmethod
    def load(cls, path: str | Path | None = None) -> TrainConfig:
        """Read a configuration, by default the shipped one for TF-IDF; raises `ConfigError`."""
        file = Path(path) if path is not None else shipped("configs/tfidf.toml")
        return cls.parse(read_toml(file), str(file))

    @classmethod
    def parse(cls, values: dict[str, Any], file: str) -> TrainConfig:
        """Build a configuration from parsed TOML, or from what `to_dict` gave; `file` is for messages."""
        try:
            kind = load_backend(str(values.get("backend"))).Config
        except ModelError as error:
            raise ConfigError(f"{file}: {error.cause}", error.remedy) from error
        fields = {
            "backend": str,
            values["backend"]: kind,
            "calibration": CalibrationConfig,
            "validation": ValidationConfig,
        }
        found: Any = parse_config(values, make_dataclass("File", fields.items(), frozen=True), file)
        return cls(found.backend, getattr(found, found.backend), found.calibration, found.validation)

    def to_dict(self) -> dict[str, Any]:
        """Return the content as it stands in the file."""
        values = asdict(self)
        return {"backend": self.backend, self.backend: values.pop("model")} | values


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """Scores of records by models that have not seen their papers, shape (n, n_labels); folds, shape (n,), -1 for none.

    `backends` are these models by fold, if they were to be kept, and `final` is one of all records, if it was wanted.
    """

    scores: Floats
    folds: np.ndarray
    backends: tuple[Backend, ...] = ()
    final: Backend | None = None


def train(
    corpus: Corpus,
    taxonomy: Taxonomy,
    config: TrainConfig,
    *,
    command: str = "",
    test: Corpus | None = None,
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
    out_of_fold = cross_scores(corpus, taxonomy, config, final=True, run=run)
    assert out_of_fold.final is not None
    reports = [_cross_validated(corpus, taxonomy, config, out_of_fold)]
    Y, mask = corpus.binarize(taxonomy)
    _warn_without_positives(taxonomy, Y & mask)
    calibrator = Calibrator(axis_columns(taxonomy), config.calibration).fit(out_of_fold.scores, Y, mask)
    metadata = Metadata(
        backend=config.backend,
        config=config.to_dict(),
        corpus={
            "sha256": corpus.fingerprint,
            "records": len(corpus),
            "groups": len({item.group for item in corpus}),
            "positives": _counted(taxonomy, corpus),
            "held_out_positives": _counted(taxonomy, test) if test is not None else {},
        },
        packages={package: version(package) for package in load_backend(config.backend).packages},
        command=command,
        trained_on=tuple(sorted({group_digest(item.group) for item in corpus})),
    )
    clf = Classifier(out_of_fold.final, taxonomy, calibrator, metadata)
    if test is not None and len(test):
        run.progress(f"scoring {len(test)} held-out records")
        reports.append(evaluate(clf, test, name="held-out test split"))
    told = {"reports": [to_json(report) for report in reports], "markdown": [to_markdown(report) for report in reports]}
    clf.metadata = replace(metadata, evaluation=told)
    return clf, reports


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
    return sum(group_digest(item.group) in known for item in corpus)


def cross_scores(
    corpus: Corpus,
    taxonomy: Taxonomy,
    config: TrainConfig,
    *,
    keep: bool = False,
    final: bool = False,
    rows: Sequence[int] | None = None,
    run: Run = QUIET,
) -> OutOfFold:
    """Return out-of-fold scores: each fold is scored by a model fitted on the others, which are kept if wanted.

    The models do not depend on each other, so the processors share them; the result is the same to the last bit.

    If `rows` are given, only the papers of these are scored, see `Corpus.folds_of`; the scores of the others are 0.
    """
    Y, mask = corpus.binarize(taxonomy)
    texts = corpus.texts
    n = config.validation.folds
    folds = corpus.folds(n, config.validation.seed) if rows is None else corpus.folds_of(rows, n)
    if n < 2 or len(np.unique(folds)) < 2:
        raise CorpusError(
            "all records are in one fold, so nothing is left to test on",
            "Give it records of more papers, or set folds to 2 or more.",
        )
    single, n = _single(taxonomy), int(folds.max()) + 1
    # PyTorch keeps all processors busy with threads that a copy of this process lacks. A lone fit may use copies, too.
    workers = available() if config.backend == "tfidf" else 1
    kept: dict[str, Any] = {}
    run = replace(run, shared=kept if run.shared is None else run.shared, workers=1 if n + final > 1 else workers)

    def score(fold: int) -> tuple[Backend | None, Floats]:
        inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        backend = new_backend(config)
        if not len(outside):
            return backend, np.zeros((0, Y.shape[1]))
        backend.fit([texts[i] for i in inside], Y[inside], mask[inside], single=single, run=run)
        return backend if keep else None, backend.scores([texts[i] for i in outside])

    steps: list[Step[Any]] = [Step(f"cross-validation, fold {k + 1} of {n}", partial(score, k)) for k in range(n)]
    if final:
        fit = partial(new_backend(config).fit, texts, Y, mask, single=single, run=run)
        steps.append(Step(f"fitting the final model on {len(corpus)} records", fit))
    found = shared(steps, workers=workers, progress=run.progress)
    kept.clear()  # else the final model would hold on to it
    scores = np.zeros(Y.shape)
    for fold, (_, part) in enumerate(found[:n]):
        scores[folds == fold] = part
    backends = tuple(backend for backend, _ in found[:n]) if keep else ()
    return OutOfFold(scores, folds, backends, found[n] if final else None)


def new_backend(config: TrainConfig) -> Backend:
    """Return an unfitted backend of the configured kind."""
    return load_backend(config.backend)(config.model)


def group_digest(group: str) -> str:
    """Return the short hash by which a model remembers a paper it was trained on."""
    return hashlib.sha256(group.encode()).hexdigest()[:12]


def _single(taxonomy: Taxonomy) -> list[int]:
    return [column for axis in taxonomy.axes if axis.single for column in taxonomy.columns(axis.id)]


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


def calibrated_folds(
    axes: Sequence[AxisColumns], config: TrainConfig, out_of_fold: OutOfFold, Y: Bools, mask: Bools
) -> Iterator[tuple[Bools, Calibrator]]:
    """Yield the rows of each fold, shape (n,), and a calibration fitted on the others."""
    for fold in np.unique(out_of_fold.folds):
        inside, outside = out_of_fold.folds != fold, out_of_fold.folds == fold
        yield outside, Calibrator(axes, config.calibration).fit(out_of_fold.scores[inside], Y[inside], mask[inside])


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
