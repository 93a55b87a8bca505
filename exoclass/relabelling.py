"""Applying a migration to labelled rows and to a model.

What nobody has judged yet becomes "unsure", which is masked in training and in scores, and never a silent "no".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from exoclass.calibration import Calibrator
from exoclass.classifier import Classifier, axis_columns
from exoclass.corpus import label_ids
from exoclass.errors import ModelError
from exoclass.migration import Migration

_UNLIKELY = -1000.0
"""Added to the score of a scope that was not learnt: in a single choice it must take nothing from the others."""


def migrate_rows(rows: Iterable[dict[str, Any]], migration: Migration) -> Iterator[dict[str, Any]]:
    """Give labelled rows the new labels.

    A renamed or merged label is replaced. Where a split label was given, its parts are "unsure", but for the one that
    the migration says has its examples; an added label is "unsure" wherever its axis was annotated. A row whose only
    label on an axis was retired is no longer annotated for that axis.
    """
    for row in rows:
        yield _migrated(dict(row), migration)


def _migrated(row: dict[str, Any], migration: Migration) -> dict[str, Any]:
    unsure = set(label_ids(row.get("unsure")) or ())
    doubted: set[str] = set()
    for axis in migration.old.axes:
        open_ = [name for name in unsure if migration.old.label(name).axis == axis.id]
        doubts = _replaced(open_, migration, sure=False)
        doubted |= doubts[0] | doubts[1]
        if row.get(axis.id) in (None, ""):
            continue
        own = label_ids(row[axis.id]) or ()
        names = _replaced(own, migration)
        doubted |= names[1]
        doubted |= {name for name in migration.added if migration.new.label(name).axis == axis.id}
        given = [name for name in migration.new.ids if name in names[0]]
        lost = bool(own) and not given and not names[1]
        row[axis.id] = None if lost else "; ".join(given) if axis.single else given
        doubted -= set(given)
    row["unsure"] = [name for name in migration.new.ids if name in doubted]
    return row


def _replaced(names: Iterable[str], migration: Migration, *, sure: bool = True) -> tuple[set[str], set[str]]:
    """Return what old labels are called now, and what is not known of them now; `sure` if they were given."""
    known, open_ = set(), set()
    for name in names:
        if name in migration.split:
            open_ |= set(migration.split[name])
            if sure and name in migration.positives:
                known.add(migration.positives[name])
        elif name not in migration.retired:
            known.add(migration.merged.get(name) or migration.renamed.get(name, name))
    return known, open_


def migrate_model(clf: Classifier, migration: Migration) -> Classifier:
    """Return a model for the new taxonomy without training: labels of the same meaning keep what was learnt of them.

    Their weights and calibration stay bit for bit. So do their scores as long as there are as many labels as before;
    else the sums are rounded elsewhere, and may differ by a few 1e-6. The other labels are never predicted until the
    model is trained again.

    Raises
    ------
    ModelError
        If the model is for another taxonomy, or if a label of an axis with a single choice goes: its share would fall
        to the others.
    """
    if clf.taxonomy.fingerprint != migration.old.fingerprint:
        raise ModelError(f"{clf.name} was made for another taxonomy", "Migrate it from its own.")
    old, new = migration.old, migration.new
    single = {axis.id for axis in old.axes if axis.single}
    gone = [name for name in old.ids if name not in migration.kept and old.label(name).axis in single]
    if gone:
        raise ModelError(
            f"{old.label(gone[0]).axis} takes one label, so without {gone[0]} the probabilities of the others change",
            "Migrate the labels alone, and train the model again.",
        )
    source = {target: old.column(name) for name, target in migration.kept.items()}
    columns = [source.get(name) for name in new.ids]
    backend = clf.backend.with_columns(columns, single=new.single_columns)
    learned = clf.calibrator.to_dict()
    blank = {"slopes": 1.0, "offsets": 0.0, "thresholds": 0.5, "low": 0.5, "high": 0.5}
    moved = {
        name: [blank[name] if c is None else values[c] for c in columns] if name in blank else values
        for name, values in learned.items()
    }
    for column, (name, c) in enumerate(zip(new.ids, columns, strict=True)):
        if c is None and new.label(name).axis in single:
            moved["offsets"][column] = _UNLIKELY
    calibrator = Calibrator.from_dict(moved, axis_columns(new), clf.calibrator.config)
    corpus = dict(clf.metadata.corpus)
    for key in ("positives", "held_out_positives"):
        counts = corpus.get(key, {})
        corpus[key] = {
            name: counts.get(old.ids[c], 0) if c is not None else 0 for name, c in zip(new.ids, columns, strict=True)
        }
    metadata = replace(clf.metadata, corpus=corpus, evaluation={}, command="exoclass labels migrate")
    return Classifier(backend, new, calibrator, metadata, name=clf.name)


def largest_changes(old: Classifier, new: Classifier, migration: Migration, texts: Sequence[str]) -> dict[str, float]:
    """Return by new id how far the probability of each kept label moved at most, 0.0 where it did not."""
    before, after = old.probabilities(texts), new.probabilities(texts)
    return {
        target: float(np.abs(before[:, old.taxonomy.column(name)] - after[:, new.taxonomy.column(target)]).max())
        for name, target in migration.kept.items()
    }
