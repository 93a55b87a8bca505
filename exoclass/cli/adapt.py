"""``exoclass adapt``: go on pretraining an encoder on unlabelled abstracts."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exoclass.cli.options import Abstracts, AsJson, Base, EncoderFolder, Force, Steps, note, print_json, readable

if TYPE_CHECKING:
    from exoclass.adaptation import Adapted


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("adapt")(adapt_cli)


def adapt_cli(
    files: Abstracts,
    base: Base,
    out: EncoderFolder,
    steps: Steps = 2000,
    vocabulary: Annotated[
        Path | None, typer.Option(help="A WordPiece vocabulary to use instead of the encoder's.", metavar="FILE")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Configuration. Default: the shipped configs/adapt.toml.", metavar="FILE")
    ] = None,
    as_json: AsJson = False,
    force: Force = False,
) -> None:
    """Go on pretraining a BERT-like encoder on unlabelled abstracts, so that it knows the words of the field.

    \b
    A run that was stopped goes on from FOLDER.part when it is started again the same way.
    exoclass adapt pubmed.xml.gz --base some-encoder -o my-encoder
    exoclass adapt texts.jsonl --base microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract -o my-encoder --steps 10000
    """
    result = adapt(files=files, base=base, out=out, steps=steps, vocabulary=vocabulary, config=config, force=force)
    if as_json:
        print_json(asdict(result))
    note(f"held-out perplexity {result.perplexity_before:,} before, {result.perplexity_after:,} after; in {out}")


def adapt(
    *, files: list[Path], base: str, out: Path, steps: int, vocabulary: Path | None, config: Path | None, force: bool
) -> Adapted:
    """Adapt an encoder to the texts of `files` and return what was done."""
    from exoclass import adaptation
    from exoclass.manifest import check_target
    from exoclass.readers import read

    check_target(out, force=force)  # said now, not after hours of training
    return adaptation.adapt(
        (record.text for record in readable(read(files))),
        base,
        out,
        adaptation.AdaptConfig.load(config),
        steps=steps,
        vocabulary=vocabulary,
        force=force,
        bar=sys.stderr.isatty(),
        progress=note,
    )
