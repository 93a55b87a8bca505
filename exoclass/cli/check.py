"""``exoclass check``: look at labelled records before training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exoclass.cli.options import AsJson, Data, TaxonomyFile, load_taxonomy, note, print_json, say

if TYPE_CHECKING:
    from exoclass.corpus import Corpus
    from exoclass.taxonomy import Taxonomy

FEW = 30


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("check")(check_cli)


def check_cli(
    data: Data,
    taxonomy: TaxonomyFile = None,
    agreement: Annotated[
        bool, typer.Option("--agreement", help="DATA holds judgements of several annotators: show how far they agree.")
    ] = False,
    suspects: Annotated[
        bool, typer.Option("--suspects", help="Rank the labels that models which have not seen them disbelieve most.")
    ] = False,
    top: Annotated[int, typer.Option(min=1, help="How many suspects to show.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Inspect labelled records: unknown labels, duplicates, conflicts, empty abstracts, broken rules, counts.

    \b
    Exits with 1 if something makes the data unfit for training.
    exoclass check my-labels.csv
    exoclass check data/passes.jsonl --agreement
    exoclass check my-labels.csv --suspects --top 50
    """
    from dataclasses import asdict

    from exoclass.corpus import FAULTS, read_labeled

    labels = load_taxonomy(taxonomy)
    if agreement:
        _show_agreement(data, labels, as_json=as_json)
        return
    if suspects:
        _show_suspects(data, labels, top, as_json=as_json)
        return
    corpus, findings = read_labeled(data, labels)
    counts = count_labels(corpus, labels)
    faults = [finding for finding in findings if finding.kind in FAULTS]
    if as_json:
        found = [asdict(finding) | {"fault": finding.kind in FAULTS} for finding in findings]
        print_json({"records": len(corpus), "findings": found, "labels": counts})
    else:
        for finding in findings:
            grade = "fault" if finding.kind in FAULTS else "warning"
            say(f"{finding.position}: {grade}, {finding.kind}: {finding.message}")
        for label in counts:
            few = f"  fewer than {FEW}" if label["yes"] < FEW else ""
            say(f"{label['axis']:<10} {label['id']:<36} {label['yes']:>6} yes {label['unsure']:>5} unsure{few}")
    note(f"{len(corpus):,} records fit for training, {len(faults)} faults, {len(findings) - len(faults)} warnings")
    if faults:
        raise typer.Exit(1)


def _show_agreement(data: list[Path], taxonomy: Taxonomy, *, as_json: bool) -> None:
    from exoclass.agreement import agreement, read_passes
    from exoclass.report import agreement_to_markdown, plain

    passes = read_passes(data, taxonomy)
    found = agreement(passes, taxonomy)
    if as_json:
        print_json([plain(pair) for pair in found])
    else:
        say("\n".join(agreement_to_markdown(pair) for pair in found).rstrip())


def _show_suspects(data: list[Path], taxonomy: Taxonomy, top: int, *, as_json: bool) -> None:
    from dataclasses import asdict

    from exoclass.corpus import Corpus
    from exoclass.suspects import find_suspects
    from exoclass.trainconfig import TrainConfig

    found = find_suspects(Corpus.load(data, taxonomy), taxonomy, TrainConfig.load(), top=top, progress=note)
    if as_json:
        print_json([asdict(suspect) for suspect in found])
        return
    for number, suspect in enumerate(found, start=1):
        said = f"{suspect.label} given" if suspect.given else f"{suspect.label} not given"
        say(
            f"{number}. {suspect.position}  {suspect.key}  {suspect.axis}: {said}, "
            f"probability {suspect.probability:.2f}"
        )
        say(f"   {suspect.title}")
        if suspect.evidence:
            say(f"   “{suspect.evidence.sentence}”")


def count_labels(corpus: Corpus, taxonomy: Taxonomy) -> list[dict[str, Any]]:
    """Return per label how many records have it, and in how many it is unsure."""
    return [
        {
            "axis": label.axis,
            "id": label.id,
            "yes": sum(label.id in item.labels for item in corpus),
            "unsure": sum(label.id in item.unsure for item in corpus),
        }
        for label in taxonomy.labels
    ]
