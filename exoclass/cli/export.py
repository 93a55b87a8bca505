"""``exoclass export``: take records, tags and decisions out of the library."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from exoclass.cli.options import Force, LibraryFile, Model, library_path, note, output
from exoclass.errors import UsageError

if TYPE_CHECKING:
    from exoclass.records import Prediction

Format = Literal["jsonl", "csv", "tsv", "ris", "labels"]
_SUFFIXES: dict[str, Format] = {".csv": "csv", ".tsv": "tsv", ".ris": "ris"}


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("export")(export_cli)


def export_cli(
    out: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: standard output.", metavar="FILE")
    ] = None,
    format: Annotated[
        Format | None,
        typer.Option("--format", "-f", help="labels is labelled data to train on. Default: by the suffix, else jsonl."),
    ] = None,
    verdict: Annotated[
        list[str] | None,
        typer.Option(help="Only records so decided; may be repeated."),
    ] = None,
    want: Annotated[
        list[str] | None, typer.Option(help="Only records with this label, as axis:label; may be repeated.")
    ] = None,
    library: LibraryFile = None,
    model: Model = "tfidf",
    force: Force = False,
) -> None:
    """Write the library, or a part of it, with the curator's decisions in place of the model's tags.

    \b
    exoclass export -o library.csv
    exoclass export --verdict accept --want mechanism:angiogenesis -o angiogenesis.ris
    exoclass export -f labels -o new-labels.jsonl
    exoclass train data/exosome_therapy.jsonl new-labels.jsonl -o my-model
    """
    from exoclass.library import Verdict

    shown = format or (_SUFFIXES.get(out.suffix.lower(), "jsonl") if out else "jsonl")
    if wrong := set(verdict or ()) - set(get_args(Verdict)):
        raise UsageError(f"--verdict {wrong.pop()} is none", "Write accept, reject or correct.")
    if shown == "labels" and (verdict or want):
        raise UsageError("labelled data is all that was accepted or corrected", "Leave out --verdict and --want.")
    count, silent = export(
        out=out, format=shown, verdicts=tuple(verdict or ()), wants=want or [], library=library_path(library),
        model=model, force=force,
    )  # fmt: skip
    note(f"{count:,} records written" + (f"; {silent:,} rejected ones say nothing of labels" if silent else ""))


def export(
    *, out: Path | None, format: Format, verdicts: tuple[str, ...], wants: list[str], library: Path, model: str,
    force: bool,
) -> tuple[int, int]:  # fmt: skip
    """Write what was asked for; return how many records, and how many rejected ones have no labels to write."""
    from exoclass import exporting
    from exoclass.classifier import Classifier
    from exoclass.library import Library
    from exoclass.wanting import Want
    from exoclass.writers import WRITERS, View

    clf = Classifier.from_pretrained(model)
    wanted = [Want.parse(text, clf.taxonomy) for text in wants]
    with Library.open(library, create=False) as opened, output(out, force=force) as stream:
        if format == "labels":
            rows, silent = exporting.labelled_rows(opened, clf.taxonomy)
            stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            return len(rows), silent
        count = 0

        def counted() -> Iterator[Prediction]:
            nonlocal count
            for prediction in exporting.predictions(opened, clf, verdicts=verdicts, wants=wanted):
                count += 1
                yield prediction

        WRITERS[format](counted(), stream, View(), clf.taxonomy)
        return count, 0
