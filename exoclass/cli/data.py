"""``exoclass data``: work on labelled files."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exoclass.cli.options import (
    Force,
    TaxonomyFile,
    eutils_settings,
    load_taxonomy,
    note,
    note_over_bar,
    output,
    ticks,
)
from exoclass.errors import UsageError
from exoclass.splits import SPLITS_FILE, make_splits, read_splits

if TYPE_CHECKING:
    from exoclass.hydration import LabeledRow
    from exoclass.pubmed import EutilsSettings, Limiter

data = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(data, name="data")


@data.callback()
def data_cli() -> None:
    """Work on labelled files."""


@data.command("split")
def split_cli(
    file: Annotated[
        Path, typer.Argument(help="Labelled records as JSON Lines or CSV.", metavar="DATA", show_default=False)
    ],
    taxonomy: TaxonomyFile = None,
) -> None:
    """Freeze the splits of a labelled file in a splits.json beside it; papers that are in it already never move.

    \b
    70 % train, 10 % dev, 20 % test, by paper. A label with 30 papers or more gets at least 5 of them held out.
    exoclass data split data/exosome_therapy.jsonl
    """
    counts = split(file=file, taxonomy=taxonomy)
    note(f"{', '.join(f'{count:,} {name}' for name, count in counts.items())}; written to {file.parent / SPLITS_FILE}")


def split(*, file: Path, taxonomy: Path | None) -> dict[str, int]:
    """Write or extend the splits of `file` and return how many papers each split has."""
    from exoclass.batch import atomic_output
    from exoclass.corpus import Corpus

    labels = load_taxonomy(taxonomy)
    corpus = Corpus.load([file], labels)
    groups: dict[str, set[str]] = {}
    for item in corpus:
        groups.setdefault(item.group, set()).update(item.labels)
    path = file.parent / SPLITS_FILE
    found = make_splits(groups, labels.ids, read_splits(path))
    with atomic_output(path, force=True) as out:  # it only ever grows
        out.write(json.dumps(found, indent=1) + "\n")
    return {name: len(members) for name, members in found.items()}


@data.command("hydrate")
def hydrate_cli(
    file: Annotated[
        Path, typer.Argument(help="Labelled records as JSON Lines or CSV.", metavar="DATA", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--output", "-o", help="The new labelled file, as JSON Lines.", metavar="FILE")],
    force: Force = False,
) -> None:
    """Put the true titles and abstracts from PubMed in place of digests; labels, ids and groups stay.

    \b
    Records without a PMID, or whose abstract PubMed does not have, keep their digest and are named.
    A run that was stopped goes on where it was. The texts belong to their publishers: for your own use only.
    Set NCBI_API_KEY for 10 requests a second instead of 3, NCBI_EMAIL to tell NCBI who asks, and
    EXOCLASS_EUTILS_URL to ask a mirror.

    \b
    exoclass data hydrate data/exosome_therapy.jsonl -o my-labels.jsonl
    exoclass train my-labels.jsonl -o my-model
    """
    if str(out) == "-":
        raise UsageError("the result does not go to stdout", "Name a file: -o my-labels.jsonl")
    if out.absolute() == file.absolute() or (out.exists() and file.exists() and out.samefile(file)):
        raise UsageError(f"{out} is the input itself", "Give the result a file of its own.")
    rows = hydrate(file=file, out=out, force=force, settings=eutils_settings())
    _tell(rows, file, out)


def hydrate(
    *, file: Path, out: Path, force: bool, settings: EutilsSettings, limiter: Limiter | None = None
) -> list[LabeledRow]:
    """Write `file` with the texts of PubMed to `out`, and return its rows."""
    from exoclass import hydration
    from exoclass.batch import check_output

    check_output(out, force=force)  # said now, not after minutes of fetching
    rows = hydration.read_labeled_rows(file)
    with hydration.FetchedRecords(Path(f"{out}.part.jsonl")) as fetched:
        wanted = fetched.missing(rows)
        if fetched.records:
            note(f"{len(fetched.records):,} records of an earlier run found in {fetched.path}")
        bar = ticks("records", total=len(wanted))
        fetched.fetch(wanted, settings=settings, limiter=limiter, notice=note_over_bar, progress=bar)
        hydrated = list(hydration.hydrate(rows, fetched.records))
        with output(out, force=force) as stream:
            stream.writelines(row.to_json() + "\n" for row in hydrated)
    fetched.path.unlink(missing_ok=True)
    return hydrated


def _tell(rows: list[LabeledRow], file: Path, out: Path) -> None:
    reasons = Counter(row.kept for row in rows if row.kept)
    for reason, count in reasons.items():
        names = ", ".join(row.name for row in rows if row.kept == reason)
        note(f"{count:,} {reason}, digest kept: {names}")
    if retracted := [row.name for row in rows if row.retracted]:
        note(f"{len(retracted):,} retracted, better left out of training: {', '.join(retracted)}")
    note(f"{len(rows) - reasons.total():,} of {len(rows):,} records have PubMed's text now; written to {out}")
    splits = file.with_name(SPLITS_FILE)
    if splits.is_file() and not out.with_name(SPLITS_FILE).exists():
        note(f"copy {splits} beside {out}, so that the same papers stay held out for testing")
    note("The abstracts belong to their publishers: use them yourself, do not pass them on.")
