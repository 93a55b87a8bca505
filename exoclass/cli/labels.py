"""``exoclass labels``: show the taxonomy, and change it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exoclass.cli.options import AsJson, TaxonomyFile, load_taxonomy, note, print_json, say
from exoclass.errors import UsageError

if TYPE_CHECKING:
    from exoclass.corpus import Corpus
    from exoclass.migration import Migration
    from exoclass.taxonomy import Label

_TEXTS = 200
"""How many of the texts a model is compared on before and after: enough to see a change, quick to score."""


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
    as_json: AsJson = False,
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
      positives = "renal"
      [[retire]]
      id = "ageing_frailty"
    and [[add]] with all that a label of the taxonomy has. What nobody has judged yet becomes "unsure": an added label,
    and the parts of a split one, but for the part that `positives` names, if it names one.
    exoclass labels migrate change.toml data/exosome_therapy.jsonl -o migrated --model tfidf
    exoclass train migrated/exosome_therapy.jsonl --taxonomy migrated/taxonomy.json -o my-model
    """
    outcomes = migrate(migration=migration, data=data or [], out=out, taxonomy=taxonomy, model=model)
    if as_json:
        print_json([asdict(outcome) for outcome in outcomes])
    else:
        _show(outcomes, counted=bool(data), model=model)
    unlearnt = [outcome.after for outcome in outcomes if outcome.after and not outcome.kept]
    if model and unlearnt:
        note(f"the model never predicts these until it is trained again: {', '.join(unlearnt)}")
    note(f"written to {out}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a label.

    Parameters
    ----------
    step
        ``keep``, ``rename``, ``merge``, ``split``, ``add`` or ``retire``.
    before, after
        Old ids, and the new one, if any.
    yes_before, yes, unsure
        Records that had one of the old ids, and that have, or perhaps have, the new one.
    moved
        How far its probability moved at most; None if there is no model, or nothing to compare.
    """

    step: str
    before: tuple[str, ...]
    after: str | None
    yes_before: int
    yes: int
    unsure: int
    moved: float | None

    @property
    def kept(self) -> bool:
        """Whether its meaning is the same."""
        return self.step in {"keep", "rename"}


def _show(outcomes: list[Outcome], *, counted: bool, model: str | None) -> None:
    if counted:
        say(f"{'step':<7} {'before':<36} {'yes':>5}   {'after':<36} {'yes':>5} {'unsure':>6}")
    for one in outcomes:
        if one.step != "keep":
            line = f"{one.step:<7} {', '.join(one.before) or '-':<36} {one.yes_before:>5}   {one.after or '-':<36}"
            line += f" {one.yes:>5} {one.unsure:>6}"
            say(line if counted else f"{one.step:<7} {', '.join(one.before) or '-':<36}   {one.after or '-'}")
    untouched = [one for one in outcomes if one.step == "keep"]
    same = sum(one.yes == one.yes_before for one in untouched)
    say(f"keep    {len(untouched)} labels" + (f", {same} of them in as many records as before" if counted else ""))
    moved = [one.moved for one in outcomes if one.moved is not None]
    if model and moved:
        most = max(moved)
        how = (
            "not at all"
            if most == 0
            else f"by {most:.0e} at most (rounding)"
            if most < 1e-5
            else f"by up to {most:.4f}"
        )
        say(f"kept and renamed labels: the probabilities of {model} move {how}")


def migrate(*, migration: Path, data: list[Path], out: Path, taxonomy: Path | None, model: str | None) -> list[Outcome]:
    """Write the new taxonomy, data and model into a new folder, and return what became of each label."""
    import json
    import tempfile

    from exoclass.classifier import Classifier
    from exoclass.errors import OutputError
    from exoclass.migration import Migration
    from exoclass.relabelling import largest_changes, migrate_model

    old = load_taxonomy(taxonomy)
    found = Migration.load(migration, old)
    if out.exists():
        raise OutputError(f"{out} exists already", "Choose another folder.")
    names = [file.with_suffix(".jsonl").name for file in data]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"two labelled files would become {twice[0]}", "Migrate them one by one.")
    out.absolute().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.absolute().parent) as scratch:
        draft = Path(scratch) / "new"
        draft.mkdir()
        content = json.dumps(found.new.to_dict(), indent=1, ensure_ascii=False) + "\n"
        (draft / "taxonomy.json").write_text(content, encoding="utf-8")
        before, after = _migrate_data(data, draft, found)
        moved: dict[str, float] = {}
        if model is not None:
            clf = Classifier.from_pretrained(model)
            new = migrate_model(clf, found)
            new.save_pretrained(draft / "model", name=clf.name)
            texts = [text for corpus in before for text in corpus.texts][:_TEXTS]
            moved = largest_changes(clf, new, found, texts) if texts else {}
        draft.rename(out)
    return [
        Outcome(
            step, sources, to,
            yes_before=sum(bool(item.labels & set(sources)) for corpus in before for item in corpus),
            yes=sum(to in item.labels for corpus in after for item in corpus),
            unsure=sum(to in item.unsure for corpus in after for item in corpus),
            moved=moved.get(to) if to else None,
        )
        for step, sources, to in found.steps()
    ]  # fmt: skip


def _migrate_data(data: list[Path], draft: Path, migration: Migration) -> tuple[list[Corpus], list[Corpus]]:
    """Write each file anew, and return what it held and what it holds; whatever is unfit is refused with its place."""
    import json
    import shutil

    from exoclass.corpus import Corpus, read_labeled
    from exoclass.readers.rows import read_rows
    from exoclass.relabelling import migrate_rows
    from exoclass.splits import SPLITS_FILE

    before, after = [], []
    for file in data:
        before.append(Corpus.load([file], migration.old))
        splits, copied = file.with_name(SPLITS_FILE), draft / SPLITS_FILE
        if copied.is_file() and (not splits.is_file() or splits.read_bytes() != copied.read_bytes()):
            raise UsageError(f"{file} has other held-out papers than the files before it", "Migrate it on its own.")
        if splits.is_file() and not copied.is_file():
            shutil.copy(splits, copied)
        rows = (row for _, row in read_rows(file) if isinstance(row, dict))  # the others were refused above
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in migrate_rows(rows, migration)]
        target = draft / file.with_suffix(".jsonl").name
        target.write_text("".join(lines), encoding="utf-8")
        corpus, findings = read_labeled([target], migration.new)
        after.append(corpus)
        if bare := sum(finding.kind == "not_labelled" for finding in findings):
            note(f"{target.name}: {bare:,} records have no label left; label them anew, or leave them out")
    return before, after
