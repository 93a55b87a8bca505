"""The card written beside every model: what it is, how it was made, how good it is, what it is not for."""

from __future__ import annotations

import json
from typing import Any

from exoclass.taxonomy import Taxonomy

MIN_POSITIVES = 30
"""With fewer examples a label rolls up to its group: its own score says too little."""

_TEMPLATE = """\
---
library_name: exoclass
license: {license}
language: en
tags: [text-classification, multi-label, biomedical, extracellular-vesicles, exosomes]
---

# {name}

Tags English abstracts on exosome (extracellular-vesicle) therapy with scope, disease area and therapeutic mechanism.
Backend `{backend}`; {n_labels} labels, taxonomy {version} (`{fingerprint}`).

## Use

```
exoclass predict new.nbib --model {name}
```

## Made by

```
{command}
```

The same command on the same data with the same package versions gives {same}.
Versions: {packages}.

Training data: {n_records} records of {n_groups} papers (sha256 `{corpus_hash}`), positives per label:

{counts}
{lineage}
## How good it is

{evaluation}

Probabilities are calibrated on out-of-fold predictions; a label with few positives borrows its calibration and its
threshold from the other labels of its axis. "review" marks the band in which the model is not sure.

## What it is not for

Clinical decisions; texts other than titles and abstracts; other languages. Labels with few positives are weak: see the
table. {never}

{rolled_up}

## Configuration

```json
{config}
```
"""


def model_card(name: str, taxonomy: Taxonomy, metadata: dict[str, Any]) -> str:
    """Return the card as Markdown.

    Parameters
    ----------
    metadata
        The fields of `exoclass.classifier.Metadata` as plain values.
    """
    corpus = metadata["corpus"]
    positives = corpus.get("positives", {})
    linear = metadata["backend"] == "tfidf"
    none = [label_id for label_id in taxonomy.ids if not positives.get(label_id)]
    return _TEMPLATE.format(
        name=name,
        backend=metadata["backend"],
        license="cc0-1.0" if linear else "apache-2.0",  # as the encoder that came before
        same="the same files, byte for byte" if linear else "the same model, but for how a processor rounds",
        n_labels=len(taxonomy.labels),
        version=taxonomy.version,
        fingerprint=taxonomy.fingerprint[:12],
        command=metadata["command"] or "(not recorded)",
        packages=", ".join(f"{package} {version}" for package, version in metadata["packages"].items()),
        n_records=corpus.get("records", 0),
        n_groups=corpus.get("groups", 0),
        corpus_hash=corpus.get("sha256", "")[:12],
        counts="\n".join(_counts(taxonomy, axis.id, positives) for axis in taxonomy.axes),
        lineage=_lineage(metadata.get("lineage", {})),
        evaluation="\n\n".join(metadata["evaluation"].get("markdown", ["(not evaluated)"])),
        rolled_up=_rolled_up(taxonomy, positives, corpus.get("held_out_positives", {})),
        never=f"Never predicted, for want of examples: {', '.join(none)}." if none else "",
        config=json.dumps(metadata["config"], indent=1),
    )


def _lineage(lineage: dict[str, Any]) -> str:
    """Return where a retrained model comes from; empty for one that was trained from nothing."""
    if not lineage:
        return ""
    files = ", ".join(f"`{name}`" for name in lineage["files"])
    said = (
        f"\nRetrained from `{lineage['parent']}` with {lineage['new_records']} new records ({files}); "
        f"{lineage['replaced']} of them took the place of older labels of the same paper.\n"
    )
    if kept := lineage.get("kept"):
        said += (
            f"Learnt anew: {', '.join(lineage['learnt'])}. The other {len(kept)} labels, which no paper gained or "
            "lost, are as they were there.\n"
        )
    if (refolded := lineage.get("cross_validated")) is not None and lineage["learnt"] != refolded:
        said += (
            f"Cross-validated anew: {', '.join(refolded) or 'none'}. Out-of-fold scores of the other labels are those "
            "of earlier versions and, of papers new to one, what it said of them.\n"
        )
    return said


def _rolled_up(taxonomy: Taxonomy, positives: dict[str, int], held_out: dict[str, int]) -> str:
    """Say which labels are too rare to be read by themselves; the group of a label is its parent in the taxonomy."""
    parents = dict(taxonomy.parents)
    counts = {label.id: positives.get(label.id, 0) + held_out.get(label.id, 0) for label in taxonomy.labels}
    rare = [label for label in taxonomy.labels if label.parent and counts[label.id] < MIN_POSITIVES]
    if not rare:
        return ""
    named = [f"{label.id} ({counts[label.id]}) to “{parents[label.parent]}”" for label in rare]
    return (
        f"Labels with fewer than {MIN_POSITIVES} positives, held-out papers included, roll up to their group and are "
        f"not to be read by themselves: {', '.join(named)}."
    )


def _counts(taxonomy: Taxonomy, axis_id: str, positives: dict[str, int]) -> str:
    labels = [taxonomy.ids[column] for column in taxonomy.columns(axis_id)]
    return f"- {axis_id}: " + ", ".join(f"{label_id} {positives.get(label_id, 0)}" for label_id in labels)
