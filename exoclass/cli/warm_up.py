"""``exoclass warm-up``: train an encoder on the MeSH headings of indexed abstracts."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exoclass.cli.options import (
    AsJson,
    Base,
    EncoderFolder,
    Force,
    TaxonomyFile,
    load_taxonomy,
    note,
    print_json,
    readable,
)

if TYPE_CHECKING:
    from exoclass.warming import WarmedUp


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("warm-up")(warm_up_cli)


def warm_up_cli(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Records with MeSH headings: JSON Lines with a key mesh, or a PubMed export.", metavar="FILES..."
        ),
    ],
    tree: Annotated[
        list[Path],
        typer.Option(
            help="A MeSH tree file; several, of several years, are joined.", metavar="FILE", show_default=False
        ),
    ],
    base: Base,
    out: EncoderFolder,
    exclude: Annotated[
        list[Path] | None,
        typer.Option(
            help="A labelled file whose papers are left out, so that none is learnt before it is tested on.",
            metavar="FILE",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Configuration. Default: the shipped configs/warm-up.toml.", metavar="FILE")
    ] = None,
    taxonomy: TaxonomyFile = None,
    as_json: AsJson = False,
    force: Force = False,
) -> None:
    """Train a BERT-like encoder on the MeSH headings of indexed abstracts, before it is fine-tuned on your labels.

    \b
    It learns the disease labels that the headings give, and the most frequent headings. A run that was stopped goes
    on from FOLDER.part when it is started again the same way.
    exoclass warm-up indexed.jsonl --tree mtrees2020.bin --base my-encoder -o my-warm-encoder --exclude labels.jsonl
    """
    result = warm_up(
        files=files, trees=tree, base=base, out=out, exclude=exclude or [], config=config, taxonomy=taxonomy,
        force=force,
    )  # fmt: skip
    if as_json:
        print_json(asdict(result))
    note(f'encoder written to {out}; train on it by base = "{out}" in a training configuration')


def warm_up(
    *, files: list[Path], trees: list[Path], base: str, out: Path, exclude: list[Path], config: Path | None,
    taxonomy: Path | None, force: bool,
) -> WarmedUp:  # fmt: skip
    """Warm an encoder up on the headings of `files` and return what was done."""
    from exoclass import warming
    from exoclass.corpus import Corpus, names_of
    from exoclass.manifest import check_target
    from exoclass.mesh import DiseaseHeadings, MeshTree
    from exoclass.readers import drop_duplicates, read

    check_target(out, force=force)  # said now, not after an hour of training
    labels = load_taxonomy(taxonomy)
    headings = DiseaseHeadings(MeshTree.load(trees), labels)
    known = {name for item in Corpus.load(exclude, labels) for name in names_of(item.record)} if exclude else set()
    records = (record for record in readable(drop_duplicates(read(files))) if not known & set(names_of(record)))
    return warming.warm_up(
        records,
        headings,
        base,
        out,
        warming.WarmUpConfig.load(config),
        force=force,
        progress=note,
    )
