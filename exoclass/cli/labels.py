"""``exoclass labels``: show the taxonomy, and change it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exoclass.cli.options import AsJson, TaxonomyFile, load_taxonomy, note, print_json, say
from exoclass.errors import UsageError

if TYPE_CHECKING:
    from exoclass.migration import Migration
    from exoclass.taxonomy import Label


labels = typer.Typer(
    rich_markup_mode=None,
    invoke_without_command=True,  # without a command it shows the labels
    context_settings={"help_option_names": ["-h", "--help"]},
)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(labels, name="labels")


@labels.callback()
def labels_cli(
    context: typer.Context,
    axis: Annotated[str | None, typer.Option(help="Only this axis: scope, disease or mechanism.")] = None,
    taxonomy: TaxonomyFile = None,
    as_json: AsJson = False,
) -> None:
    """Show the labels with their definitions and rules; with --taxonomy, check your own file.

    \b
    exoclass labels --axis mechanism
    exoclass labels --taxonomy my-taxonomy.toml --json
    """
    if context.invoked_subcommand:
        return
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


@labels.command("migrate")
def migrate_cli(
    migration: Annotated[Path, typer.Argument(help="The steps, as TOML.", metavar="MIGRATION", show_default=False)],
    data: Annotated[
        list[Path] | None, typer.Argument(help="Labelled files to give the new labels.", metavar="[DATA]...")
    ] = None,
    out: Annotated[
        Path,
        typer.Option("--output", "-o", help="New folder for taxonomy.json, the data and the model.", metavar="FOLDER"),
    ] = Path("migrated"),
    taxonomy: TaxonomyFile = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="A model to migrate, too.", metavar="MODEL")
    ] = None,
) -> None:
    """Apply a change of labels to the taxonomy, to labelled data and to a model, all at once or not at all.

    \b
    The steps stand in a file such as
      version = "1.1"
      [[rename]]
      from = "eye"
      to = "ophthalmic"
      [[merge]]
      from = ["oral_dental", "ear_nose_throat"]
      to = "head_neck"
      wording = { name = "Head and neck" }
      [[split]]
      from = "renal_urinary"
      to = [{ id = "renal", name = "Kidney" }, { id = "urinary", name = "Urinary tract" }]
      [[retire]]
      id = "ageing_frailty"
    and [[add]] with all that a label of the taxonomy has. What nobody has judged yet becomes "unsure".
    exoclass labels migrate change.toml data/exosome_therapy.jsonl -o migrated --model tfidf
    exoclass train migrated/exosome_therapy.jsonl --taxonomy migrated/taxonomy.json -o my-model
    """
    found = migrate(migration=migration, data=data or [], out=out, taxonomy=taxonomy, model=model)
    kept = len(found.kept)
    anew = len(found.new.ids) - kept
    note(f"{kept:,} labels are as before, {anew:,} are to be judged or learnt anew; written to {out}")


def migrate(*, migration: Path, data: list[Path], out: Path, taxonomy: Path | None, model: str | None) -> Migration:
    """Write the new taxonomy, data and model into a new folder, and return what was changed."""
    import json
    import shutil
    import tempfile

    from exoclass.classifier import Classifier
    from exoclass.corpus import Corpus
    from exoclass.errors import OutputError
    from exoclass.migration import Migration, migrate_model, migrate_rows
    from exoclass.readers.rows import read_rows

    old = load_taxonomy(taxonomy)
    found = Migration.load(migration, old)
    if out.exists():
        raise OutputError(f"{out} exists already", "Choose another folder.")
    if len({file.name for file in data}) < len(data):
        raise UsageError("two labelled files have one name", "Migrate them one by one.")
    out.absolute().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.absolute().parent) as scratch:
        draft = Path(scratch) / "new"
        draft.mkdir()
        (draft / "taxonomy.json").write_text(
            json.dumps(found.new.to_dict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        for file in data:
            Corpus.load([file], old)  # refuses what is unfit, with the place
            rows = (row for _, row in read_rows(file) if isinstance(row, dict))
            target = draft / file.with_suffix(".jsonl").name
            lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in migrate_rows(rows, found))
            target.write_text("".join(lines), encoding="utf-8")
            splits = file.with_name("splits.json")
            if splits.is_file():
                shutil.copy(splits, draft / "splits.json")
        if model is not None:
            clf = migrate_model(Classifier.from_pretrained(model), found)
            clf.save_pretrained(draft / "model", name=clf.name)
        draft.rename(out)
    return found
