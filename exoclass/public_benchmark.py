"""Our backends on somebody else's labelled texts: the same hyper-parameters, calibration and thresholds as at home.

Everything is fitted on the train split and chosen on the dev split. The test split is scored only when it is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from exoclass.backend import Bools, Floats, Run
from exoclass.calibration import YES, AxisColumns, CalibrationConfig, Calibrator
from exoclass.config import load_config, shipped
from exoclass.errors import ConfigError, InputError
from exoclass.readers.rows import read_rows
from exoclass.trainconfig import TrainConfig, new_backend

BLEND = "blend"
SPLITS = ("train", "dev", "test")

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class BenchmarkConfig:
    """The whole content of a file such as ``configs/benchmarks/hoc.toml``, where each value has its reason."""

    name: str
    labels: tuple[str, ...]
    systems: tuple[str, ...]
    tfidf: str
    transformer: str
    seeds: tuple[int, ...]
    calibration: CalibrationConfig

    @classmethod
    def load(cls, path: Path) -> BenchmarkConfig:
        """Read a configuration; raises `ConfigError`."""
        return load_config(path, cls)


@dataclass(frozen=True, slots=True)
class Documents:
    """Texts of one split and their labels, shape (n, n_labels)."""

    texts: tuple[str, ...]
    Y: Bools


@dataclass(frozen=True, slots=True)
class PublicScore:
    """Micro-F1 of one system with one seed; `test` is None where the test split was left alone."""

    system: str
    seed: int
    dev: float
    test: float | None


def read_documents(file: Path, labels: Sequence[str]) -> dict[str, Documents]:
    """Read JSON Lines with ``text``, ``labels`` and ``split`` (train, dev or test).

    Raises
    ------
    InputError
        Names the line that lacks one of them or has an unknown label.
    """
    texts: dict[str, list[str]] = {split: [] for split in SPLITS}
    rows: dict[str, list[list[bool]]] = {split: [] for split in SPLITS}
    for number, row in read_rows(file, one_of=("labels",)):
        where = f"{file}:{number}"
        if isinstance(row, str):
            raise InputError(f"{where}: {row}", "Mend the file.")
        given, split = row.get("labels"), row.get("split")
        if split not in SPLITS or not isinstance(given, list) or not isinstance(row.get("text"), str):
            raise InputError(f"{where}: it lacks text, labels or a split", f"Splits are {', '.join(SPLITS)}.")
        if unknown := [label for label in given if label not in labels]:
            raise InputError(
                f"{where}: {unknown[0]!r} is not among the labels of the configuration", "Mend one of them."
            )
        texts[split].append(row["text"])
        rows[split].append([label in given for label in labels])
    if empty := [split for split in SPLITS if not texts[split]]:
        raise InputError(f"{file} has no document in split {empty[0]}", "Give it the whole benchmark.")
    return {split: Documents(tuple(texts[split]), np.array(rows[split], dtype=bool)) for split in SPLITS}


def score(
    config: BenchmarkConfig,
    documents: dict[str, Documents],
    *,
    systems: Sequence[str] = (),
    with_test: bool = False,
    progress: Progress = lambda _: None,
) -> list[PublicScore]:
    """Fit each system on train, calibrate it on dev, and score it.

    Parameters
    ----------
    systems
        Some of those of the configuration; empty for all.
    with_test
        Score the test split too: once, for what is final.

    Raises
    ------
    ConfigError
        If a system is unknown.
    ModelError
        If a backend cannot be fitted.
    """
    chosen = tuple(systems) or config.systems
    if unknown := set(chosen) - {"tfidf", "transformer", BLEND}:
        raise ConfigError(f"there is no system {unknown.pop()!r}", f"Choose from {', '.join(config.systems)}.")
    members = [name for name in ("tfidf", "transformer") if name in chosen or BLEND in chosen]
    scores = []
    run = Run(progress, shared={})  # whatever the seed, texts are what they are
    for seed in config.seeds:
        found = {name: _fitted_scores(name, config, documents, seed, run) for name in members}
        if BLEND in chosen:
            found[BLEND] = _blended(config, documents, list(found.values()))
        for name in chosen:
            dev, test = _micro_f1(config, documents, found[name])
            scores.append(PublicScore(name, seed, dev, test if with_test else None))
            progress(f"{name}, seed {seed}: micro-F1 {dev:.3f} on dev")
    return scores


def mean_and_deviation(scores: Sequence[float]) -> tuple[float, float]:
    """Return mean and standard deviation over seeds (of the sample; 0 for a single one)."""
    mean = sum(scores) / len(scores)
    spread = sum((value - mean) ** 2 for value in scores) / max(1, len(scores) - 1)
    return mean, math.sqrt(spread)


def _fitted_scores(
    name: str, config: BenchmarkConfig, documents: dict[str, Documents], seed: int, run: Run
) -> dict[str, Floats]:
    """Return raw scores of dev and test by a backend that was fitted on train."""
    settings = TrainConfig.load(shipped(config.tfidf if name == "tfidf" else config.transformer))
    settings = replace(settings, model=replace(settings.model, seed=seed))
    train = documents["train"]
    run.progress(f"fitting {name} on {len(train.texts):,} documents, seed {seed}")
    backend = new_backend(settings).fit(train.texts, train.Y, np.ones_like(train.Y), run=run)
    return {split: backend.scores(documents[split].texts) for split in ("dev", "test")}


def _axes(config: BenchmarkConfig) -> tuple[AxisColumns, ...]:
    return (AxisColumns("label", tuple(range(len(config.labels))), False, ()),)


def _calibrated(config: BenchmarkConfig, documents: dict[str, Documents], dev: Floats) -> Calibrator:
    truth = documents["dev"].Y
    return Calibrator(_axes(config), config.calibration).fit(dev, truth, np.ones_like(truth))


def _blended(
    config: BenchmarkConfig, documents: dict[str, Documents], members: list[dict[str, Floats]]
) -> dict[str, Floats]:
    # The product weighs raw scores by what was best out of fold; here there is a dev split to calibrate on.
    calibrators = [_calibrated(config, documents, member["dev"]) for member in members]
    return {
        split: np.mean(
            [c.slopes_ * member[split] + c.offsets_ for c, member in zip(calibrators, members, strict=True)], axis=0
        )
        for split in ("dev", "test")
    }


def _micro_f1(
    config: BenchmarkConfig, documents: dict[str, Documents], scores: dict[str, Floats]
) -> tuple[float, float]:
    calibrator = _calibrated(config, documents, scores["dev"])
    found = []
    for split in ("dev", "test"):
        decided = calibrator.decide(calibrator.probabilities(scores[split]), forced=True) == YES
        truth = documents[split].Y
        found.append(2 * float((decided & truth).sum()) / max(1.0, float(decided.sum() + truth.sum())))
    return found[0], found[1]


def to_json(
    config: BenchmarkConfig, documents: dict[str, Documents], scores: Sequence[PublicScore]
) -> dict[str, object]:
    """Return all scores and their means for a report."""
    by_system = {
        name: [found for found in scores if found.system == name] for name in dict.fromkeys(s.system for s in scores)
    }
    return {
        "benchmark": config.name,
        "documents": {split: len(part.texts) for split, part in documents.items()},
        "metric": "micro-F1 over all documents and labels",
        "scores": [asdict(found) for found in scores],
        "mean": {
            name: {
                split: mean_and_deviation(values)
                for split, values in (
                    ("dev", [f.dev for f in found]),
                    ("test", [f.test for f in found if f.test is not None]),
                )
                if values
            }
            for name, found in by_system.items()
        },
    }
