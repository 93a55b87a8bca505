"""``exoclass check``: look at labelled records before training."""

from __future__ import annotations

from typing import Any

import typer

from exoclass.cli.options import AsJson, Data, TaxonomyFile, load_taxonomy, note, print_json, say

FEW = 30


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("check")(check_cli)


def check_cli(data: Data, taxonomy: TaxonomyFile = None, as_json: AsJson = False) -> None:
    """Inspect labelled records: unknown labels, duplicates, conflicts, empty abstracts, broken rules, counts.

    \b
    Exits with 1 if something makes the data unfit for training.
    exoclass check my-labels.csv
    """
    from dataclasses import asdict

    from exoclass.corpus import FAULTS, read_labeled

    labels = load_taxonomy(taxonomy)
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


def count_labels(corpus: Any, taxonomy: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - Corpus and Taxonomy, not imported here
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
