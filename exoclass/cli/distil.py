"""``exoclass distil``: make a faster encoder of fewer layers."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exoclass.cli.options import Abstracts, AsJson, Base, EncoderFolder, Force, Steps, note, print_json, readable

if TYPE_CHECKING:
    from exoclass.distilling import Distilled


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("distil")(distil_cli)


def distil_cli(
    files: Abstracts,
    base: Base,
    out: EncoderFolder,
    steps: Steps = 2000,
    config: Annotated[
        Path | None, typer.Option(help="Configuration. Default: the shipped configs/distil.toml.", metavar="FILE")
    ] = None,
    as_json: AsJson = False,
    force: Force = False,
) -> None:
    """Make a faster encoder of fewer layers, which learns from unlabelled abstracts to read as the whole one does.

    \b
    A run that was stopped goes on from FOLDER.part when it is started again the same way.
    exoclass distil pubmed.xml.gz --base my-encoder -o my-fast-encoder
    """
    result = distil(files=files, base=base, out=out, steps=steps, config=config, force=force)
    if as_json:
        print_json(asdict(result))
    before, after = result.explained_before, result.explained_after
    note(f"explained of the states of held-out abstracts {before:.1%} before, {after:.1%} after; in {out}")


def distil(*, files: list[Path], base: str, out: Path, steps: int, config: Path | None, force: bool) -> Distilled:
    """Distil an encoder on the texts of `files` and return what was done."""
    from exoclass import distilling
    from exoclass.manifest import check_target
    from exoclass.readers import read

    check_target(out, force=force)  # said now, not after hours of training
    return distilling.distil(
        (record.text for record in readable(read(files))),
        base,
        out,
        distilling.DistilConfig.load(config),
        steps=steps,
        force=force,
        bar=sys.stderr.isatty(),
        progress=note,
    )
