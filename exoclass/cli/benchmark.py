"""``exoclass benchmark``: our backends on a public benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exoclass.cli.options import AsJson, note, print_json, say

if TYPE_CHECKING:
    from exoclass.public_benchmark import PublicScore


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("benchmark")(benchmark_cli)


def benchmark_cli(
    config: Annotated[Path, typer.Argument(help="What is measured and how.", metavar="CONFIG", show_default=False)],
    file: Annotated[
        Path,
        typer.Argument(help="The benchmark: JSON Lines with text, labels, split.", metavar="FILE", show_default=False),
    ],
    system: Annotated[
        list[str] | None, typer.Option(help="Only this: tfidf, transformer or blend; may be repeated.")
    ] = None,
    test: Annotated[bool, typer.Option("--test", help="Score the test split too: once, for what is final.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train our backends on a public benchmark, with the product's own settings, and score them.

    \b
    exoclass benchmark configs/benchmarks/hoc.toml hoc.jsonl.gz --system tfidf
    exoclass benchmark configs/benchmarks/hoc.toml hoc.jsonl.gz --test --json
    """
    report, scores = benchmark(config=config, file=file, systems=system or [], with_test=test)
    if as_json:
        print_json(report)
        return
    for found in scores:
        last = "" if found.test is None else f", test {found.test:.3f}"
        say(f"{found.system:<12} seed {found.seed:<4} micro-F1: dev {found.dev:.3f}{last}")


def benchmark(
    *, config: Path, file: Path, systems: list[str], with_test: bool
) -> tuple[dict[str, Any], list[PublicScore]]:
    """Score the systems and return the report and the single scores."""
    from exoclass import public_benchmark

    settings = public_benchmark.BenchmarkConfig.load(config)
    documents = public_benchmark.read_documents(file, settings.labels)
    scores = public_benchmark.score(settings, documents, systems=systems, with_test=with_test, progress=note)
    return public_benchmark.to_json(settings, documents, scores), scores
