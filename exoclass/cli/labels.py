"""``exoclass labels``: show the taxonomy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from exoclass.cli.options import AsJson, TaxonomyFile, load_taxonomy, print_json, say
from exoclass.errors import UsageError

if TYPE_CHECKING:
    from exoclass.taxonomy import Label


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("labels")(labels_cli)


def labels_cli(
    axis: Annotated[str | None, typer.Option(help="Only this axis: scope, disease or mechanism.")] = None,
    taxonomy: TaxonomyFile = None,
    as_json: AsJson = False,
) -> None:
    """Show the labels with their definitions and rules; with --taxonomy, check your own file.

    \b
    exoclass labels --axis mechanism
    exoclass labels --taxonomy my-taxonomy.toml --json
    """
    loaded = load_taxonomy(taxonomy)
    known = [found.id for found in loaded.axes]
    if axis and axis not in known:
        raise UsageError(f"there is no axis {axis!r}", f"Choose from {', '.join(known)}.")
    chosen = [loaded.axis(axis)] if axis else list(loaded.axes)
    ids = {found.id for found in chosen}
    if as_json:
        content = loaded.to_dict()
        print_json(
            content
            | {
                "fingerprint": loaded.fingerprint,
                "axes": {key: value for key, value in content["axes"].items() if key in ids},
                "labels": [label for label in content["labels"] if label["axis"] in ids],
            }
        )
        return
    for found in chosen:
        say(f"{found.id}: {found.question}")
        for label in loaded.labels:
            if label.axis == found.id:
                say(_described(label))
        say("")


def _described(label: Label) -> str:
    lines = [f"  {label.id}  ({label.name})", f"      {label.definition}"]
    lines += [f"      + {rule}" for rule in label.include]
    lines += [f"      - {rule}" for rule in label.exclude]
    return "\n".join(lines)
