"""How fast and how large models are on the machine at hand, with the plain Hugging Face pipeline as the yardstick.

Every figure is the median of some repeats. Speeds count abstracts that were really tagged: a run that returns another
number than it was given is an error.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import fmean, median

from exoclass.classifier import Classifier, find_model
from exoclass.encoder import load_sequence_classifier
from exoclass.errors import InputError, ModelError
from exoclass.records import Deletion, Prediction, Record, Reject
from exoclass.speed import Machine, Speed, check_count, describe_machine, speed_of, timed
from exoclass.yardstick import PipelineResult, measure_pipeline

Progress = Callable[[str], None]

_HERE = Path(__file__).parents[1]  # processes start here, so that they run this exoclass and no other

# Linux lets a process inherit the peak of the one that starts it, so a small Python stands in between.
_LAUNCHER = """
import resource, subprocess, sys, time
start = time.perf_counter()
code = subprocess.call(sys.argv[1:])
seconds = time.perf_counter() - start
used = resource.getrusage(resource.RUSAGE_CHILDREN)
peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(seconds, used.ru_utime + used.ru_stime, peak)
sys.exit(code)
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """The records that are tagged: those read, repeated or cut to the number asked for."""

    records: tuple[Record, ...]
    distinct: int
    """How many were read; the others repeat them."""
    rejected: int
    """How many could not be read and are left out."""


@dataclass(frozen=True, slots=True)
class ModelResult:
    """What was measured of one model.

    Parameters
    ----------
    without_evidence, with_evidence
        Tagging alone, by a freshly loaded model: without loading, reading and writing.
    command
        A whole ``exoclass predict`` with evidence, from start to exit.
    first_result_seconds
        From the start of a fresh ``exoclass predict`` on one record to its line of output. The files are most likely
        in the system's cache.
    peak_memory_bytes
        Largest resident set of such a process when it tags all records.
    size_bytes
        Of all files in the model's folder.
    """

    model: str
    folder: str
    backend: str
    n_labels: int
    size_bytes: int
    without_evidence: Speed
    with_evidence: Speed
    command: Speed
    first_result_seconds: float
    peak_memory_bytes: int


@dataclass(frozen=True, slots=True)
class Benchmark:
    """All that was measured in one run."""

    machine: Machine
    n_records: int
    distinct: int
    words_per_record: float
    repeats: int
    batch_size: int
    models: tuple[ModelResult, ...]
    pipeline: PipelineResult | None


def sample(items: Iterable[Record | Reject | Deletion], n: int) -> Sample:
    """Return `n` records of a stream, which is read no further than needed.

    Raises
    ------
    InputError
        If there is no record.
    """
    found: list[Record] = []
    rejected = 0
    for item in items:
        if isinstance(item, Reject):
            rejected += 1
        elif isinstance(item, Record):
            found.append(item)
            if len(found) == n:
                break
    if not found:
        raise InputError("there is no record to measure with", "Name a file that `exoclass predict` can tag.")
    return Sample(tuple(islice(cycle(found), n)), len(found), rejected)


def benchmark(
    chosen: Sample,
    models: Sequence[str],
    *,
    repeats: int = 3,
    batch_size: int = 64,
    pipeline: str | None = None,
    pipeline_batches: Sequence[int] = (8, 16, 32),
    progress: Progress = lambda _: None,
) -> Benchmark:
    """Measure models, and the plain pipeline if its `pipeline` encoder, a folder or a hub name, is given.

    Parameters
    ----------
    models
        Folders, or names of shipped models.
    batch_size
        Records that a model tags at once.
    pipeline_batches
        Batch sizes of the pipeline besides 1. It has as many labels as the first model, with a head at random.
    progress
        Called with a line before each step.

    Raises
    ------
    ModelError
        If a model or the encoder cannot be loaded, which is found out first, or does not tag what it is given.
    """
    machine = describe_machine()
    n_labels = [len(Classifier.from_pretrained(model).taxonomy.labels) for model in models]
    encoder = load_sequence_classifier(pipeline, n_labels[0]) if pipeline else None
    with tempfile.TemporaryDirectory(prefix="exoclass-bench-") as folder:
        results = tuple(_measure(model, chosen, Path(folder), repeats, batch_size, progress) for model in models)
    yardstick = None
    if pipeline and encoder:
        sizes = dict.fromkeys((1, *pipeline_batches))
        texts = [record.text for record in chosen.records]
        yardstick = measure_pipeline(pipeline, *encoder, texts, tuple(sizes), repeats, progress)
    words = fmean(len(record.text.split()) for record in chosen.records)
    return Benchmark(
        machine=machine,
        n_records=len(chosen.records),
        distinct=chosen.distinct,
        words_per_record=round(words, 1),
        repeats=repeats,
        batch_size=batch_size,
        models=results,
        pipeline=yardstick,
    )


def _measure(
    model: str, chosen: Sample, folder: Path, repeats: int, batch_size: int, progress: Progress
) -> ModelResult:
    clf, place = Classifier.from_pretrained(model), find_model(model).absolute()
    all_of_them, one = folder / "all.jsonl", folder / "one.jsonl"
    _write(chosen.records, all_of_them)
    _write(chosen.records[:1], one)
    options = ["--model", str(place), "--batch-size", str(batch_size), "--rejects", str(folder / "rejects.jsonl")]
    starts, peaks, n = [], [], len(chosen.records)
    runs: dict[str, list[tuple[float, float]]] = {"command": [], "without": [], "with": []}
    for number in range(1, repeats + 1):
        progress(f"{clf.id}, run {number} of {repeats}: start, whole command, tagging")
        starts.append(_first_result([str(one), *options], folder))
        *times, peak = _command([str(all_of_them), *options], folder, n)
        runs["command"].append((times[0], times[1]))
        peaks.append(int(peak))
        for name, explain in (("without", False), ("with", True)):
            fresh = Classifier.from_pretrained(model)  # its cache of words is empty
            tagged = fresh.predict(chosen.records, batch_size=batch_size, explain=explain)
            runs[name].append(timed(partial(_exhaust, tagged), n))
    return ModelResult(
        model=clf.id,
        folder=str(place),
        backend=clf.metadata.backend,
        n_labels=len(clf.taxonomy.labels),
        size_bytes=sum(path.stat().st_size for path in place.rglob("*") if path.is_file()),
        without_evidence=speed_of(runs["without"], n),
        with_evidence=speed_of(runs["with"], n),
        command=speed_of(runs["command"], n),
        first_result_seconds=round(median(starts), 4),
        peak_memory_bytes=int(median(peaks)),
    )


def _exhaust(predictions: Iterable[Prediction]) -> int:
    return sum(1 for _ in predictions)


def _write(records: Iterable[Record], path: Path) -> None:
    """Write records without PMIDs: a PMID that comes again would not be tagged again."""
    with path.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps({"title": record.title, "abstract": record.abstract}) + "\n")


def _predict(args: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "exoclass", "predict", *args]


def _first_result(args: Sequence[str], folder: Path) -> float:
    """Return the seconds from the start of a fresh process to its first line of output."""
    with (folder / "stderr.txt").open("w+", encoding="utf-8") as errors:
        start = time.perf_counter()
        with subprocess.Popen(  # noqa: S603 - this Python, and no shell
            _predict(args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, cwd=_HERE
        ) as process:
            line = process.stdout.readline() if process.stdout else b""
            seconds = time.perf_counter() - start
            process.communicate()
        errors.seek(0)
        _check_exit(process.returncode if line else 1, errors.read())
    return seconds


def _command(args: Sequence[str], folder: Path, n: int) -> list[float]:
    """Return elapsed seconds, CPU seconds and peak memory in bytes of a fresh process that tags `n` records."""
    out = folder / "tagged.jsonl"
    done = subprocess.run(  # noqa: S603 - as above
        [sys.executable, "-I", "-S", "-c", _LAUNCHER, *_predict([*args, "--output", str(out), "--force"])],
        stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", cwd=_HERE, check=False,
    )  # fmt: skip
    _check_exit(done.returncode, done.stderr)
    with out.open("rb") as lines:
        check_count(sum(1 for _ in lines), n)
    return [float(figure) for figure in done.stdout.split()]


def _check_exit(code: int, errors: str) -> None:
    if code:
        last = (errors.strip().splitlines() or [f"exit code {code}"])[-1]
        raise ModelError(f"a fresh `exoclass predict` failed: {last}", "Try that command by hand.")
