"""``exoclass predict``: tag records."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from exoclass.cli.options import Force, Model, note, output, rejects_path, ticks
from exoclass.errors import InputError, TaxonomyError, UsageError

if TYPE_CHECKING:
    from exoclass.batch import Tally

Format = Literal["jsonl", "csv", "tsv", "table", "ris"]
_SUFFIXES: dict[str, Format] = {".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".ris": "ris", ".txt": "table"}


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("predict")(predict_cli)


def predict_cli(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Files to tag; - or nothing reads standard input.", metavar="[FILES]...")
    ] = None,
    model: Model = "tfidf",
    format: Annotated[
        Format | None, typer.Option("--format", "-f", help="Default: by the suffix of -o, else jsonl.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: standard output.", metavar="FILE")
    ] = None,
    rejects: Annotated[
        Path | None,
        typer.Option(help="Where unreadable records go. Default: beside the output, else exoclass-rejects.jsonl."),
    ] = None,
    axis: Annotated[list[str] | None, typer.Option(help="Show only this axis; may be repeated.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="Show only this label; may be repeated.")] = None,
    threshold: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="One cut for all disease and mechanism labels; no 'review' then."),
    ] = None,
    all_scores: Annotated[bool, typer.Option("--all-scores", help="Show every label with its probability.")] = False,
    evidence: Annotated[bool, typer.Option(help="Show the sentence and words behind each tag.")] = True,
    batch_size: Annotated[int, typer.Option(min=1, max=10_000, help="Records tagged at once.")] = 64,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first record that cannot be read.")] = False,
    force: Force = False,
) -> None:
    """Tag each record with scope, disease areas and mechanisms.

    \b
    Reads PubMed XML, MEDLINE/.nbib, RIS of any vendor, CSV/TSV, JSON Lines and saved PubMed pages, plain or gzip,
    whatever the file is called. A record that cannot be read goes to the rejects file with the reason.

    \b
    exoclass predict new.nbib -f table
    exoclass predict pubmed.xml.gz embase.ris -o tagged.csv
    efetch -db pubmed -id 30943982 -format medline | exoclass predict -
    """
    paths = files or [Path("-")]
    if Path("-") in paths and sys.stdin is None:
        raise InputError("standard input is closed", "Name a file: exoclass predict new.nbib")
    if not files and sys.stdin.isatty():
        raise UsageError("there is nothing to read", "Name a file: exoclass predict new.nbib")
    shown = format or (_SUFFIXES.get(out.suffix.lower(), "jsonl") if out else "jsonl")
    tally, path = predict(
        paths=paths,
        model=model,
        format=shown,
        out=out,
        rejects=rejects,
        axes=tuple(axis or ()),
        labels=frozenset(label or ()),
        threshold=threshold,
        all_scores=all_scores,
        evidence=evidence,
        batch_size=batch_size,
        strict=strict,
        force=force,
    )
    note(tally.line(path))


def predict(
    *,
    paths: list[Path],
    model: str,
    format: Format,
    out: Path | None,
    rejects: Path | None,
    axes: tuple[str, ...],
    labels: frozenset[str],
    threshold: float | None,
    all_scores: bool,
    evidence: bool,
    batch_size: int,
    strict: bool,
    force: bool,
) -> tuple[Tally, Path | None]:
    """Tag the records of `paths` and return the tally and the rejects file."""
    from exoclass.batch import RejectsFile, tag_all
    from exoclass.classifier import Classifier
    from exoclass.readers import drop_duplicates, read
    from exoclass.writers import WRITERS, View

    clf = Classifier.from_pretrained(model)
    tagged = tuple(axis.id for axis in clf.taxonomy.axes if axis.id != "scope")
    for axis in axes:
        if axis not in tagged:
            raise UsageError(f"there is no axis {axis!r} to show", f"Choose from {', '.join(tagged)}.")
    for label in sorted(labels):
        try:
            clf.taxonomy.column(label)
        except TaxonomyError as error:
            raise UsageError(error.cause, error.remedy) from error
    view = View(axes=tuple(axis for axis in tagged if not axes or axis in axes), labels=labels, all_scores=all_scores)
    kept = rejects_path(rejects, out, force=force)
    with output(out, force=force) as stream, RejectsFile(kept, replace=force or rejects is None) as rejected:
        tally = tag_all(
            drop_duplicates(read(paths)),
            clf,
            writer=WRITERS[format],
            out=stream,
            view=view,
            rejects=rejected,
            batch_size=batch_size,
            threshold=threshold,
            explain=evidence,
            strict=strict,
            progress=ticks("records"),
        )
    return tally, kept
