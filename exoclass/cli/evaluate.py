"""``exoclass evaluate``: score a model on labelled records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from exoclass.cli.options import AsJson, Data, Force, Model, note, print_json, say

if TYPE_CHECKING:
    from exoclass.metrics import EvaluationReport

Which = Literal["all", "train", "dev", "test"]


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("evaluate")(evaluate_cli)


def evaluate_cli(
    data: Data,
    model: Model = "tfidf",
    split: Annotated[
        Which, typer.Option(help="Which part of DATA; 'test' is the fifth of the papers that training leaves out.")
    ] = "all",
    threshold: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="One cut for all disease and mechanism labels.")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(help="Also write a report with plots and the worst errors, as one HTML page.", metavar="FILE"),
    ] = None,
    as_json: AsJson = False,
    force: Force = False,
) -> None:
    """Score a model: precision, recall, F1, average precision, calibration error, confusion of scope.

    \b
    exoclass evaluate my-labels.csv
    exoclass evaluate data/exosome_therapy.jsonl --split test --json > scores.json
    exoclass evaluate data/exosome_therapy.jsonl --split test --html report.html
    """
    from exoclass.report import to_json, to_markdown

    report, seen = evaluate(data=data, model=model, split=split, threshold=threshold, html=html, force=force)
    if seen:
        note(f"exoclass: warning: the model was trained on {seen} of these {report.n_records} records")
    if as_json:
        print_json(to_json(report) | {"seen_in_training": seen})
    else:
        say(to_markdown(report).rstrip("\n"))
    if html is not None:
        note(f"report written to {html}")


def evaluate(
    *, data: list[Path], model: str, split: Which, threshold: float | None, html: Path | None, force: bool
) -> tuple[EvaluationReport, int]:
    """Return the scores, and how many records the model was trained on; write the HTML report if one is asked for."""
    from exoclass import training
    from exoclass.batch import atomic_output
    from exoclass.classifier import Classifier
    from exoclass.corpus import Corpus
    from exoclass.errors import CorpusError

    clf = Classifier.from_pretrained(model)
    corpus = Corpus.load(data, clf.taxonomy)
    part = corpus if split == "all" else corpus.select(split)
    if not len(part):
        raise CorpusError(f"the {split} split of these data is empty", "Use --split all.")
    name = f"{clf.id} on {', '.join(map(str, data))}" + ("" if split == "all" else f", {split} split")
    if html is None:
        return training.evaluate(clf, part, name=name, threshold=threshold), training.seen_in_training(clf, part)
    from exoclass.diagnosis import diagnose
    from exoclass.html_report import render

    with atomic_output(html, force=force) as file:  # opened first: a name that cannot be written is said at once
        diagnosis = diagnose(clf, part, name=name, threshold=threshold)
        file.write(render(diagnosis, clf.taxonomy))
    return diagnosis.report, diagnosis.seen
