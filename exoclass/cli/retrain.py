"""``exoclass retrain``: a new version from new labels, promoted only if it is no worse."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exoclass.cli.options import AsJson, LibraryFile, Model, library_path, note, print_json, say
from exoclass.errors import QualityGateError, UsageError

if TYPE_CHECKING:
    from exoclass.gate import Difference
    from exoclass.retraining import Retrained


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("retrain")(retrain_cli)


def retrain_cli(
    files: Annotated[
        list[Path] | None, typer.Argument(help="New labels as JSON Lines or CSV.", metavar="[NEW_LABELS]...")
    ] = None,
    family: Annotated[
        Path, typer.Option(help="Folder that keeps the versions; begun with MODEL if it is new.", metavar="FAMILY")
    ] = Path("models/mine"),
    base: Annotated[
        list[Path] | None,
        typer.Option(
            help="What the first version was trained on. Default: data/exosome_therapy.jsonl.", metavar="DATA"
        ),
    ] = None,
    from_library: Annotated[
        bool, typer.Option("--from-library", help="Take what was accepted and corrected in the library.")
    ] = False,
    library: LibraryFile = None,
    model: Model = "tfidf",
    margin: Annotated[float, typer.Option(min=0, max=1, help="Macro-F1 that an axis may lose.")] = 0.01,
    slowdown: Annotated[float, typer.Option(min=1, help="How many times slower it may be.")] = 2.0,
    calibration: Annotated[
        float, typer.Option(min=0, max=1, help="Calibration error of an axis that is good enough.")
    ] = 0.05,
    regression: Annotated[
        Path | None, typer.Option(help="Labelled cases that must not go wrong again.", metavar="FILE")
    ] = None,
    new_test_split: Annotated[
        bool, typer.Option("--new-test-split", help="Let new labels of held-out papers change what is tested on.")
    ] = False,
    trust: Annotated[
        bool, typer.Option("--trust-labels", help="Believe new labels that contradict the champion unusually often.")
    ] = False,
    afresh: Annotated[
        bool,
        typer.Option("--afresh", help="Learn all labels anew, and the vocabulary, not only what has changed."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a challenger on old and new labels, compare it with the champion, and promote it if it is no worse.

    Labels that no paper has gained or lost stay as they are in the champion, to the last bit; the others are learnt
    anew, and cross-validated again once a tenth of their papers has changed.

    \b
    Exits with 3 if the champion stays, and says why; the challenger is kept as a version either way.
    exoclass retrain friday.csv --family my-models
    exoclass retrain --from-library --family my-models
    exoclass predict new.nbib --model my-models
    exoclass models rollback my-models
    """
    if not files and not from_library:
        raise UsageError("there are no new labels", "Name a file, or say --from-library.")
    from exoclass.gate import Limits

    result = retrain(
        files=files or [], family=family, base=base or [], library=library_path(library) if from_library else None,
        model=model, limits=Limits(margin, slowdown, calibration), regression=regression,
        new_test_split=new_test_split, trust=trust, afresh=afresh,
    )  # fmt: skip
    if as_json:
        print_json(to_json(result))
    else:
        _show(result)
    if not result.promoted:
        raise QualityGateError(
            f"v{result.champion} stays the champion: {'; '.join(result.reasons)}",
            f"v{result.challenger} is kept; `exoclass models promote {family} v{result.challenger}` takes it anyway.",
        )
    note(f"v{result.challenger} is the champion of {family} now; `exoclass models rollback {family}` goes back")


def retrain(
    *, files: list[Path], family: Path, base: list[Path], library: Path | None, model: str, limits: Any,  # noqa: ANN401
    regression: Path | None, new_test_split: bool, trust: bool, afresh: bool,
) -> Retrained:  # fmt: skip
    """Read new labels, train on them, and return what came of it."""
    import json
    import tempfile

    from exoclass import merging, retraining
    from exoclass.classifier import Classifier
    from exoclass.config import shipped
    from exoclass.versions import Family

    kept = Family(family)
    clf = Classifier.from_pretrained(family if kept.begun else model)
    with tempfile.TemporaryDirectory() as scratch:
        sources = list(files)
        if library is not None:
            sources.append(Path(scratch) / "library.jsonl")
            rows = _decided(library, clf)
            sources[-1].write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        new, findings = merging.read_new(sources, clf.taxonomy)
    for finding in findings:
        note(f"{finding.position}: {finding.message}")
    names = [file.name for file in files] + (["--from-library"] if library is not None else [])
    return retraining.retrain(
        new, family=kept, base=base or [shipped("data/exosome_therapy.jsonl")], model=model, files=names, limits=limits,
        regression=regression, new_test_split=new_test_split, trust=trust, afresh=afresh, progress=note,
    )  # fmt: skip


def _decided(library: Path, clf: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - a classifier, imported only when needed
    from exoclass.exporting import labelled_rows
    from exoclass.library import Library

    with Library.open(library, create=False) as opened:
        rows, silent = labelled_rows(opened, clf.taxonomy)
    note(f"{len(rows):,} decisions of the library carry labels" + (f", {silent:,} do not" if silent else ""))
    return rows


def _show(result: Retrained) -> None:
    merged, verdict = result.merged, result.verdict
    say(f"{merged.added:,} new papers, {merged.replaced:,} labelled anew; {len(merged.train):,} to learn from, "
        f"{len(merged.test):,} held out")  # fmt: skip
    for conflict in merged.conflicts:
        say(f"  {conflict}")
    if result.kept:
        say(
            f"learnt anew: {', '.join(result.learnt)}; the other {len(result.kept)} labels, which no paper gained or "
            f"lost, are as in v{result.champion}"
        )
    say(f"\n{'held-out F1':<36} {f'v{result.champion}':>6} {f'v{result.challenger}':>6}   gain (95 % interval)")
    for found in verdict.axes:
        say(_line(found))
    for found in sorted(verdict.labels, key=lambda one: one.gain.value):
        if found.gain.value:
            say(_line(found))
    for name, old, new in verdict.calibration:
        say(f"{'calibration error, ' + name:<36} {old:>6.3f} {new:>6.3f}")
    say(f"{'milliseconds per record':<36} {1000 * verdict.seconds[0]:>6.2f} {1000 * verdict.seconds[1]:>6.2f}")
    say(f"{'megabytes':<36} {verdict.size[0] / 1e6:>6.1f} {verdict.size[1] / 1e6:>6.1f}")
    many, of, p = result.contradicted
    say(f"{many:,} of {of:,} new records contradict v{result.champion} (p = {p:.2g})")


def _line(found: Difference) -> str:
    gain = found.gain
    return (
        f"{found.name:<36} {found.champion:>6.3f} {found.challenger:>6.3f}   "
        f"{gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"
    )


def to_json(result: Retrained) -> dict[str, Any]:
    """Return all of it but the records."""
    return {
        "champion": result.champion, "challenger": result.challenger, "promoted": result.promoted,
        "reasons": list(result.reasons), "added": result.merged.added, "replaced": result.merged.replaced,
        "conflicts": list(result.merged.conflicts), "contradicted": list(result.contradicted),
        "regressions": list(result.regressions), "learnt": list(result.learnt), "kept": list(result.kept),
        "seconds": round(result.seconds, 1), "verdict": asdict(result.verdict),
    }  # fmt: skip
