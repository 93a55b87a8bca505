"""``exoclass train``: fit a model on labelled records."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exoclass.cli.options import AsJson, Data, Force, TaxonomyFile, load_taxonomy, note, print_json, say

if TYPE_CHECKING:
    from exoclass.metrics import EvaluationReport


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("train")(train_cli)


def train_cli(
    data: Data,
    out: Annotated[Path, typer.Option("--output", "-o", help="Folder for the model.", metavar="FOLDER")],
    config: Annotated[
        Path | None, typer.Option(help="Configuration. Default: the shipped configs/tfidf.toml.", metavar="FILE")
    ] = None,
    taxonomy: TaxonomyFile = None,
    use_all: Annotated[
        bool, typer.Option("--all", help="Train on the held-out test split too; it can then not be scored.")
    ] = False,
    as_json: AsJson = False,
    force: Force = False,
) -> None:
    """Train a model, calibrate it, and score it by cross-validation and on the held-out fifth of the papers.

    A transformer takes minutes to hours: a run that was stopped goes on from FOLDER.part.

    \b
    exoclass check labels.jsonl
    exoclass train labels.jsonl -o my-model
    exoclass predict new.nbib --model my-model
    """
    from exoclass.report import to_json, to_markdown

    reports = train(data=data, out=out, config=config, taxonomy=taxonomy, use_all=use_all, force=force)
    if as_json:
        print_json([to_json(report) for report in reports])
    else:
        say("\n".join(to_markdown(report) for report in reports).rstrip("\n"))
    note(f"model written to {out}")


def train(
    *, data: list[Path], out: Path, config: Path | None, taxonomy: Path | None, use_all: bool, force: bool
) -> list[EvaluationReport]:
    """Train on labelled files, save the model, and return its scores."""
    from exoclass import checkpoints, training
    from exoclass.backend import Run
    from exoclass.corpus import Corpus
    from exoclass.manifest import check_target
    from exoclass.trainconfig import TrainConfig

    check_target(out, force=force)  # said now, not after minutes of training
    labels = load_taxonomy(taxonomy)
    corpus = Corpus.load(data, labels)
    settings = TrainConfig.load(config)
    work = Path(f"{out}.part")
    clf, reports = training.train(
        corpus if use_all else corpus.select("train", "dev"),
        labels,
        settings,
        command=_command(data, out, config, taxonomy, use_all),
        test=None if use_all else corpus.select("test"),
        run=Run(note, work),
    )
    clf.save_pretrained(out, force=force)
    checkpoints.clear(work)
    return reports


def _command(data: list[Path], out: Path, config: Path | None, taxonomy: Path | None, use_all: bool) -> str:
    parts = ["exoclass", "train", *map(str, data), "-o", str(out)]
    parts += ["--config", str(config)] if config is not None else []
    parts += ["--taxonomy", str(taxonomy)] if taxonomy is not None else []
    return shlex.join([*parts, *["--all"] * use_all])
