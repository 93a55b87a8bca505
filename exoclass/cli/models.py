"""``exoclass models``: the versions of a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exoclass.cli.options import AsJson, note, print_json, say
from exoclass.errors import ModelError

if TYPE_CHECKING:
    from exoclass.versions import Champion

models = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]}
)

Folder = Annotated[
    Path, typer.Argument(help="The folder that keeps the versions.", metavar="FAMILY", show_default=False)
]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(models, name="models")


@models.callback()
def models_cli() -> None:
    """Look at the versions that retrain made, choose one, go back, tidy up."""


@models.command("list")
def list_cli(family: Folder, as_json: AsJson = False) -> None:
    """Show the versions, which is the champion, what each has learnt from, and how good it was on held-out papers.

    \b
    exoclass models list my-models
    """
    found = list_versions(family=family)
    if as_json:
        print_json(found)
        return
    for one in found:
        scores = "  ".join(f"{axis} {value:.3f}" for axis, value in one["macro_f1"].items())
        mark = "damaged" if one["damaged"] else "champion" if one["champion"] else ""
        say(f"v{one['version']:<4} {mark:<9} {one['records']:>6,} records  macro-F1: {scores}".rstrip())


def list_versions(*, family: Path) -> list[dict[str, Any]]:
    """Return what is known of each version."""
    from exoclass.classifier import Classifier
    from exoclass.versions import Family

    opened = Family(family)
    champion = opened.champion().number
    found = []
    for number in opened.versions():
        try:
            metadata = Classifier.from_pretrained(opened.path(number)).metadata
        except ModelError as error:  # the others are still to be seen
            note(str(error))
            found.append(_listed(number, champion, 0, {}, {}, damaged=True))
            continue
        found.append(
            _listed(number, champion, metadata.corpus["records"], metadata.lineage, _macro(metadata.evaluation))
        )
    return found


def _listed(
    number: int, champion: int, records: int, lineage: dict[str, Any], macro: dict[str, float], *, damaged: bool = False
) -> dict[str, Any]:
    return {
        "version": number, "champion": number == champion, "damaged": damaged, "records": records,
        "lineage": lineage, "macro_f1": macro,
    }  # fmt: skip


def _macro(evaluation: dict[str, Any]) -> dict[str, float]:
    """Return macro-F1 by axis of the last report, which is that on held-out papers where there is one."""
    reports = evaluation.get("reports") or [{"axes": []}]
    return {
        axis["id"]: axis["macro_f1"]["value"] for axis in reports[-1]["axes"] if axis["macro_f1"]["value"] is not None
    }


@models.command("promote")
def promote_cli(
    family: Folder, version: Annotated[str, typer.Argument(help="Such as v3.", metavar="VERSION", show_default=False)]
) -> None:
    """Make a version the champion, whatever the gate said of it.

    \b
    exoclass models promote my-models v3
    """
    now = promote(family=family, version=version)
    note(f"v{now.number} is the champion of {family} now")


def promote(*, family: Path, version: str) -> Champion:
    """Make a version the champion."""
    from exoclass.versions import Family, version_number

    opened = Family(family)
    with opened.lock():
        return opened.promote(version_number(version))


@models.command("rollback")
def rollback_cli(family: Folder) -> None:
    """Go back to the version that was the champion before.

    \b
    exoclass models rollback my-models
    """
    now = rollback(family=family)
    note(f"v{now.number} is the champion of {family} again")


def rollback(*, family: Path) -> Champion:
    """Go back to the champion before."""
    from exoclass.versions import Family

    opened = Family(family)
    with opened.lock():
        return opened.rollback()


@models.command("diff")
def diff_cli(
    family: Folder,
    old: Annotated[str, typer.Argument(metavar="VERSION", show_default=False)],
    new: Annotated[str, typer.Argument(metavar="VERSION", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Show how two versions differ: held-out F1 by label, records, configuration.

    \b
    exoclass models diff my-models v1 v2
    """
    found = diff(family=family, old=old, new=new)
    if as_json:
        print_json(found)
        return
    say(f"records  {found['records'][0]:,} to {found['records'][1]:,}")
    for name, values in found["config"].items():
        say(f"config {name}  {values[0]} to {values[1]}")
    for name, values in found["f1"].items():
        say(f"{name:<36} {values[0]:.3f} to {values[1]:.3f}  {values[1] - values[0]:+.3f}")


def diff(*, family: Path, old: str, new: str) -> dict[str, Any]:
    """Return the differences of two versions, each as a pair."""
    from exoclass.classifier import Classifier
    from exoclass.versions import Family, version_number

    opened = Family(family)
    pair = []
    for text in (old, new):
        opened.check(version_number(text))
        pair.append(Classifier.from_pretrained(opened.path(version_number(text))).metadata)
    scores = [_f1(one.evaluation) for one in pair]
    configs = [_flat(one.config) for one in pair]
    names = sorted(configs[0].keys() | configs[1].keys())
    return {
        "records": [one.corpus["records"] for one in pair],
        "config": {
            name: [one.get(name) for one in configs] for name in names if configs[0].get(name) != configs[1].get(name)
        },
        "f1": {name: [scores[0][name], scores[1][name]] for name in scores[0] if name in scores[1]},
    }


def _f1(evaluation: dict[str, Any]) -> dict[str, float]:
    reports = evaluation.get("reports") or [{"labels": []}]
    return {one["id"]: one["f1"]["value"] for one in reports[-1]["labels"] if one["f1"]["value"] is not None}


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in config.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


@models.command("prune")
def prune_cli(
    family: Folder,
    keep: Annotated[
        int, typer.Option(min=0, help="Newest versions to keep, beside the champion and the one before.")
    ] = 3,
) -> None:
    """Delete old versions; the champion and the one before it always stay.

    \b
    exoclass models prune my-models --keep 2
    """
    gone = prune(family=family, keep=keep)
    note(f"deleted {', '.join(f'v{number}' for number in gone)}" if gone else "nothing to delete")


def prune(*, family: Path, keep: int) -> tuple[int, ...]:
    """Delete old versions and return their numbers."""
    from exoclass.versions import Family

    opened = Family(family)
    with opened.lock():
        return opened.prune(keep)
