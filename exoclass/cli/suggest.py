"""``exoclass suggest``: what to label next."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from exoclass.cli.options import Force, LibraryFile, Model, library_path, note, output
from exoclass.errors import UsageError

if TYPE_CHECKING:
    from exoclass.suggesting import Strategy, Suggestion

_COLUMNS = (
    "pmid", "doi", "title", "abstract", "scope", "disease", "mechanism", "unsure",
    "reason", "model_scope", "model_disease", "model_mechanism", "evidence",
)  # fmt: skip


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("suggest")(suggest_cli)


def suggest_cli(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Records to choose from. Default: what is undecided in the library.", metavar="[FILES]..."),
    ] = None,
    n: Annotated[int, typer.Option("-n", min=1, help="How many.")] = 20,
    strategy: Annotated[
        Literal["mixed", "uncertainty", "rare", "random"], typer.Option(help="How to choose; random is the yardstick.")
    ] = "mixed",
    seed: Annotated[int, typer.Option(help="Of what is drawn at random.")] = 13,
    out: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: standard output.", metavar="FILE")
    ] = None,
    library: LibraryFile = None,
    model: Model = "tfidf",
    force: Force = False,
) -> None:
    """Choose the abstracts whose labels would teach the model most, as a table to fill in.

    \b
    The columns scope, disease, mechanism and unsure are left empty for you; what the model thinks stands apart, so that
    nobody nods it through. `exoclass labels` explains the labels.
    exoclass suggest -n 20 -o to-label.csv
    exoclass suggest new.nbib --strategy uncertainty
    exoclass retrain to-label.csv --family my-models
    """
    if files and library is not None:
        raise UsageError("FILES and --library both say what to choose from", "Name one of them.")
    found, of, left_out = suggest(
        files=files or [], library=library_path(library) if not files else None, n=n, strategy=strategy, seed=seed,
        model=model,
    )  # fmt: skip
    with output(out, force=force) as stream:
        writer = csv.DictWriter(stream, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(_row, found))
    omitted = "; left out: " + ", ".join(f"{n:,} {why}" for why, n in left_out.items()) if left_out else ""
    note(f"{len(found):,} of {of:,} records chosen ({strategy}){omitted}")


def suggest(
    *, files: list[Path], library: Path | None, n: int, strategy: Strategy, seed: int, model: str
) -> tuple[list[Suggestion], int, dict[str, int]]:
    """Return what to label, of how many records it was chosen, and how many were left out by reason."""
    from collections import Counter

    from exoclass import suggesting
    from exoclass.classifier import Classifier
    from exoclass.library import Filter, Library
    from exoclass.readers import drop_duplicates, read
    from exoclass.records import Record

    clf = Classifier.from_pretrained(model)
    left_out: Counter[str] = Counter()
    if library is None:
        items = list(drop_duplicates(read(files)))
        records = [item for item in items if isinstance(item, Record)]
        left_out["unreadable or repeated"] = len(items) - len(records)
    else:
        with Library.open(library, create=False) as opened:
            records = [entry.record for entry in opened.records(Filter(decided=False, state="live"))]
    kept = []
    for record in records:
        if "retracted" in record.flags:
            left_out["retracted"] += 1
        elif not record.abstract:  # a title alone teaches little
            left_out["without an abstract"] += 1
        else:
            kept.append(record)
    if not kept:
        raise UsageError("there is no undecided record with an abstract", "Run `exoclass triage`, or name a file.")
    return suggesting.suggest(kept, clf, n, strategy=strategy, seed=seed), len(kept), dict(+left_out)


def _row(found: Suggestion) -> dict[str, str]:
    from exoclass.writers import safe_cell

    prediction = found.prediction
    shown = {
        axis: "; ".join(f"{tag.id} {tag.probability:.2f}" for tag in tags or () if tag.decision != "no")
        for axis, tags in prediction.tags.items()
    }
    evidence = [
        f"{tag.id}: {tag.evidence.sentence}"
        for tags in prediction.tags.values()
        for tag in tags or ()
        if tag.decision != "no" and tag.evidence
    ]
    row = {
        "pmid": prediction.record.pmid or "",
        "doi": prediction.record.doi or "",
        "title": prediction.record.title,
        "abstract": prediction.record.abstract,
        "reason": found.reason,
        "model_scope": f"{prediction.scope.id} {prediction.scope.probability:.2f}",
        "evidence": " | ".join(evidence),
    }
    row |= {f"model_{axis}": text for axis, text in shown.items()}
    return {name: safe_cell(text) for name, text in row.items()}
