"""``exoclass data silver``: disease labels from MeSH headings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exoclass.cli.data import data
from exoclass.cli.options import Force, TaxonomyFile, load_taxonomy, note, output, ticks
from exoclass.errors import UsageError

if TYPE_CHECKING:
    from exoclass.silver import SilverTally

SHOWN = 5
"""Rejects that are named one by one: a file of another kind would fill the screen."""


def add_to(app: typer.Typer) -> None:
    """Register the command, which stands with the others of ``exoclass data``."""
    del app
    data.command("silver")(silver_cli)


def silver_cli(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Records with MeSH headings: JSON Lines with a key mesh, or a PubMed export.",
            metavar="FILES...",
            show_default=False,
        ),
    ],
    tree: Annotated[
        list[Path],
        typer.Option(
            help="A MeSH tree file; several, of several years, are joined.", metavar="FILE", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option("--output", "-o", help="The labelled file, as JSON Lines.", metavar="FILE")],
    taxonomy: TaxonomyFile = None,
    force: Force = False,
) -> None:
    """Make silver disease labels from MeSH headings, to warm an encoder up on; never test on them.

    \b
    Records without a heading of a disease are left out and counted. Scope and mechanism stay unlabelled, which
    training takes as missing, not as negative.

    \b
    exoclass data silver indexed.jsonl.gz --tree mtrees2015.bin --tree mtrees2020.bin -o silver.jsonl
    """
    if clash := next((path for path in (*files, *tree) if out.exists() and path.exists() and out.samefile(path)), None):
        raise UsageError(f"{clash} is an input itself", "Give the result a file of its own.")
    _tell(silver(files=files, trees=tree, out=out, taxonomy=taxonomy, force=force), out)


def silver(*, files: list[Path], trees: list[Path], out: Path, taxonomy: Path | None, force: bool) -> SilverTally:
    """Write the records of `files` that have a heading of a disease to `out`, and return what became of each."""
    from exoclass.mesh import DiseaseHeadings, MeshTree
    from exoclass.readers import read
    from exoclass.silver import SilverTally, label_by_headings

    headings = DiseaseHeadings(MeshTree.load(trees), load_taxonomy(taxonomy))
    origin = f"MeSH headings by {', '.join(headings.tree.files)}"
    tally = SilverTally()
    bar = iter(ticks("records"))
    with output(out, force=force) as stream:
        for found in label_by_headings(read(files), headings, tally):
            stream.write(found.to_json(origin) + "\n")
            next(bar)
    return tally


def _tell(tally: SilverTally, out: Path) -> None:
    for label_id, count in tally.labels.most_common():
        note(f"{count:>7,}  {label_id}")
    for reject in tally.rejects[:SHOWN]:
        note(f"{reject.file}, {reject.position}: {reject.reason}")
    if len(tally.rejects) > SHOWN:
        note(f"… and {len(tally.rejects) - SHOWN:,} more rejected")
    if tally.unknown:
        names = ", ".join(name for name, _ in tally.unknown.most_common(SHOWN))
        note(f"{len(tally.unknown):,} headings are in none of the trees, most often: {names}")
    note(
        f"{tally.read:,} records read, {tally.labelled:,} labelled, "
        f"{tally.no_disease:,} without a heading of a disease, {tally.no_headings:,} without headings, "
        f"{len(tally.rejects):,} rejected; written to {out}"
    )
