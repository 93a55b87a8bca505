"""``exoclass bench``: how fast and how large models are on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exoclass.cli.options import AsJson, note, print_json, say
from exoclass.errors import UsageError

if TYPE_CHECKING:
    from exoclass.benchmark import Benchmark

_NAME = 28
_WIDTHS = (9, 14, 15, 14, 13, 11)


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("bench")(bench_cli)


def bench_cli(
    files: Annotated[
        list[Path], typer.Argument(help="Records in any format that predict reads; - is stdin.", metavar="FILES...")
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model", "-m", help="A model folder, or the name of a shipped model; may be repeated.", metavar="MODEL"
        ),
    ] = None,
    pipeline: Annotated[
        str | None,
        typer.Option(help="Measure the plain Hugging Face pipeline on this encoder, too.", metavar="BASE"),
    ] = None,
    pipeline_batches: Annotated[
        str, typer.Option(help="Batch sizes of the pipeline besides 1.", metavar="SIZES")
    ] = "8,16,32",
    records: Annotated[
        int, typer.Option("--records", "-n", min=1, help="The records are repeated or cut to this number.")
    ] = 2000,
    repeats: Annotated[int, typer.Option(min=1, help="How often each thing is measured; the median counts.")] = 3,
    batch_size: Annotated[int, typer.Option(min=1, max=10_000, help="Records that a model tags at once.")] = 64,
    as_json: AsJson = False,
) -> None:
    """Measure speed, start, memory and size of models on this machine.

    \b
    Speeds are abstracts per second: of tagging alone, and of a whole `exoclass predict`. The first result is that of
    a fresh process on one record; peak memory that of one which tags all. BASE is a folder or a name on the Hugging
    Face hub; it gets a head at random, so only its speed means something.
    exoclass bench new.nbib
    exoclass bench new.nbib -m tfidf -m my-model --pipeline my-encoder -n 200 --json
    """
    result = bench(
        files=files,
        models=model or ["tfidf"],
        pipeline=pipeline,
        pipeline_batches=_sizes(pipeline_batches),
        records=records,
        repeats=repeats,
        batch_size=batch_size,
    )
    if as_json:
        print_json(asdict(result))
        return
    for line in _table(result):
        say(line)


def bench(
    *,
    files: list[Path],
    models: list[str],
    pipeline: str | None,
    pipeline_batches: tuple[int, ...],
    records: int,
    repeats: int,
    batch_size: int,
) -> Benchmark:
    """Measure the models with the records of `files` and return all figures."""
    from exoclass.benchmark import benchmark, sample
    from exoclass.classifier import find_model
    from exoclass.readers import read

    for model in models:  # said before anything is read
        find_model(model)
    chosen = sample(read(files), records)
    if chosen.rejected:
        note(f"{chosen.rejected:,} records could not be read and are left out")
    if chosen.distinct < records:
        note(f"{chosen.distinct:,} records are repeated to make {records:,}: words seen before are tagged faster")
    return benchmark(
        chosen,
        models,
        repeats=repeats,
        batch_size=batch_size,
        pipeline=pipeline,
        pipeline_batches=pipeline_batches,
        progress=note,
    )


def _sizes(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) for part in parts):
        raise UsageError(f"--pipeline-batches {text!r} is no list of batch sizes", "Write it as 8,16,32.")
    return tuple(int(part) for part in parts)


def _table(result: Benchmark) -> Iterator[str]:
    machine = result.machine
    yield f"{machine.cpu}, {machine.usable_cores} of {machine.cores} cores usable, load {machine.load} at the start"
    found = [f"{name} {number}" for name, number in machine.packages.items() if number]
    yield ", ".join([machine.system, f"Python {machine.python}", *found])
    repeated = f" ({result.distinct:,} repeated)" if result.distinct < result.n_records else ""
    yield (
        f"{result.n_records:,} abstracts{repeated} of {result.words_per_record} words, batches of {result.batch_size}; "
        f"median of {result.repeats}"
    )
    yield ""
    yield _row(
        "abstracts per second", "tagging", "with evidence", "whole command", "first result", "peak memory", "size"
    )
    for model in result.models:
        yield _row(
            model.model,
            _rate(model.without_evidence.per_second),
            _rate(model.with_evidence.per_second),
            _rate(model.command.per_second),
            f"{model.first_result_seconds:.2f} s",
            _megabytes(model.peak_memory_bytes),
            _megabytes(model.size_bytes),
        )
        speeds = (model.without_evidence, model.with_evidence, model.command)
        yield _row("  cores busy", *(f"{speed.cores_busy:.2f}" for speed in speeds))
    if result.pipeline is None:
        return
    pipeline = result.pipeline
    yield ""
    yield (
        f"Hugging Face pipeline on {pipeline.base}: {pipeline.n_labels} labels, {pipeline.threads} threads, "
        f"{pipeline.tokens_per_record} tokens a record, {pipeline.truncated:,} cut at {pipeline.max_tokens}"
    )
    for batch in pipeline.batches:
        mark = "  best" if batch == pipeline.best else ""
        busy = f"{batch.speed.cores_busy:.2f} cores busy"
        yield f"{_row(f'  batches of {batch.batch_size}', _rate(batch.speed.per_second))}  {busy}{mark}"
    best = pipeline.best.speed.per_second
    for model in result.models:
        without, explained = (speed.per_second / best for speed in (model.without_evidence, model.with_evidence))
        yield f"{model.model}: {without:,.1f} times as fast as the pipeline's best, {explained:,.1f} with evidence"


def _row(name: str, *cells: str) -> str:
    return name.ljust(_NAME) + "".join(cell.rjust(width) for cell, width in zip(cells, _WIDTHS, strict=False))


def _rate(per_second: float) -> str:
    return f"{per_second:,.0f}" if per_second >= 100 else f"{per_second:.1f}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
