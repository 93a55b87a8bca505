"""Changing the labels: a migration says what is renamed, merged, split, added or retired, and is applied to all.

What nobody has judged yet becomes "unsure", which is masked in training and in scores, and never a silent "no".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from exoclass.backend import NEVER
from exoclass.calibration import Calibrator
from exoclass.classifier import Classifier, axis_columns
from exoclass.config import read_toml
from exoclass.errors import ModelError, TaxonomyError
from exoclass.taxonomy import Taxonomy, parse_taxonomy
from exoclass.tfidf import TfidfBackend

_KINDS = ("rename", "merge", "split", "add", "retire")


@dataclass(frozen=True, slots=True)
class Migration:
    """From one taxonomy to another.

    Parameters
    ----------
    renamed
        Old id to new id.
    merged
        Old id to the id it is merged into.
    split
        Old id to the ids that take its place.
    added, retired
        New ids, and old ids that are given no longer.
    """

    old: Taxonomy
    new: Taxonomy
    renamed: dict[str, str]
    merged: dict[str, str]
    split: dict[str, tuple[str, ...]]
    added: tuple[str, ...]
    retired: tuple[str, ...]

    @property
    def kept(self) -> dict[str, str]:
        """Labels whose meaning is the same, old id to new id: a model's columns for them stay."""
        touched = {*self.merged, *self.split, *self.retired}
        return {name: self.renamed.get(name, name) for name in self.old.ids if name not in touched}

    @classmethod
    def load(cls, file: Path, old: Taxonomy) -> Migration:
        """Read a migration and check it against the taxonomy it starts from.

        Raises
        ------
        TaxonomyError
            Names the file, the step and what is wrong with it.
        """
        raw = read_toml(file)
        if unknown := set(raw) - {*_KINDS, "version"}:
            raise TaxonomyError(
                f"{file}: unknown key {sorted(unknown)[0]!r}", f"Known are version, {', '.join(_KINDS)}."
            )
        if not raw.get("version") or raw["version"] == old.version:
            raise TaxonomyError(f"{file}: the new taxonomy needs a version of its own", f'Not "{old.version}".')
        steps = _Steps(old, str(file))
        for kind in _KINDS:
            for number, step in enumerate(raw.get(kind, []), start=1):
                steps.take(kind, number, step)
        content = old.to_dict() | {"version": str(raw["version"]), "labels": steps.labels()}
        for axis in content["axes"].values():
            axis["applies_to"] = [steps.renamed.get(scope, scope) for scope in axis["applies_to"]]
        new = parse_taxonomy(content, str(file))
        return cls(old, new, steps.renamed, steps.merged, steps.split, tuple(steps.added), tuple(steps.retired))


class _Steps:
    """The steps of a migration while they are read; each old label is touched once at most."""

    def __init__(self, old: Taxonomy, file: str) -> None:
        self.old, self.file = old, file
        self.touched: set[str] = set()
        self.entries: dict[str, list[dict[str, Any]]] = {}  # what takes the place of an old label
        self.renamed: dict[str, str] = {}
        self.merged: dict[str, str] = {}
        self.split: dict[str, tuple[str, ...]] = {}
        self.added: list[str] = []
        self.retired: list[str] = []
        self.appended: list[dict[str, Any]] = []

    def take(self, kind: str, number: int, step: Any) -> None:  # noqa: ANN401 - parsed TOML
        where = f"{self.file}: {kind} number {number}"
        try:
            match kind:
                case "rename":
                    entry = self._entry(step["from"], where)
                    self.renamed[step["from"]] = step["to"]
                    self.entries[step["from"]] = [entry | {"id": step["to"]} | step.get("wording", {})]
                case "merge":
                    first, *others = step["from"]
                    entry = self._entry(first, where)
                    self.entries[first] = [entry | {"id": step["to"]} | step.get("wording", {})]
                    for name in others:
                        self._entry(name, where)
                        self.entries[name] = []
                    self.merged |= dict.fromkeys(step["from"], step["to"])
                case "split":
                    entry = self._entry(step["from"], where)
                    self.entries[step["from"]] = [entry | part for part in step["to"]]
                    self.split[step["from"]] = tuple(part["id"] for part in step["to"])
                case "add":
                    self.appended.append(dict(step))
                    self.added.append(step["id"])
                case "retire":
                    self._entry(step["id"], where)
                    self.entries[step["id"]] = []
                    self.retired.append(step["id"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TaxonomyError(
                f"{where} is not understood: {error}", "See `exoclass labels migrate --help`."
            ) from error

    def _entry(self, name: str, where: str) -> dict[str, Any]:
        """Return the old label's table, and mark it as touched."""
        try:
            column = self.old.column(name)
        except TaxonomyError as error:
            raise TaxonomyError(f"{where}: {error.cause}", error.remedy) from error
        if name in self.touched:
            raise TaxonomyError(f"{where}: {name} is changed by another step, too", "Change each label once.")
        self.touched.add(name)
        return dict(self.old.to_dict()["labels"][column])

    def labels(self) -> list[dict[str, Any]]:
        """Return the tables of the new labels in the old order, added ones at the end of their axis."""
        tables = [table for entry in self.old.to_dict()["labels"] for table in self.entries.get(entry["id"], [entry])]
        order = {axis.id: rank for rank, axis in enumerate(self.old.axes)}
        return sorted([*tables, *self.appended], key=lambda table: order.get(str(table.get("axis")), len(order)))


def migrate_rows(rows: Iterable[dict[str, Any]], migration: Migration) -> Iterator[dict[str, Any]]:
    """Give labelled rows the new labels.

    A renamed or merged label is replaced. Of a split label, all parts are "unsure" where it was given, and so is an
    added label wherever its axis was annotated. A row whose only label on an axis was retired is no longer annotated
    for that axis.
    """
    for row in rows:
        yield _migrated(dict(row), migration)


def _migrated(row: dict[str, Any], migration: Migration) -> dict[str, Any]:
    unsure = set(_ids(row.get("unsure")))
    doubted: set[str] = set()
    for axis in migration.old.axes:
        if row.get(axis.id) in (None, ""):
            continue
        own = _ids(row[axis.id])
        names, doubts = (
            _replaced(own, migration),
            _replaced([n for n in unsure if migration.old.label(n).axis == axis.id], migration),
        )
        doubted |= doubts[0] | doubts[1] | names[1]
        doubted |= {name for name in migration.added if migration.new.label(name).axis == axis.id}
        given = [name for name in migration.new.ids if name in names[0]]
        lost = bool(own) and not given and not names[1]
        row[axis.id] = None if lost else "; ".join(given) if axis.single else given
        doubted -= set(given)
    row["unsure"] = [name for name in migration.new.ids if name in doubted]
    return row


def _replaced(names: Iterable[str], migration: Migration) -> tuple[set[str], set[str]]:
    """Return what old labels are called now, and what is not known of them now."""
    known, open_ = set(), set()
    for name in names:
        if name in migration.split:
            open_ |= set(migration.split[name])
        elif name not in migration.retired:
            known.add(migration.merged.get(name) or migration.renamed.get(name, name))
    return known, open_


def _ids(value: object) -> list[str]:
    if isinstance(value, str):
        return [part.strip() for part in value.replace("|", ";").replace(",", ";").split(";") if part.strip()]
    return [str(part) for part in value] if isinstance(value, list) else []


def migrate_model(clf: Classifier, migration: Migration) -> Classifier:
    """Return a model for the new taxonomy without training: labels of the same meaning keep their scores exactly.

    The others are never predicted until it is trained again.

    Raises
    ------
    ModelError
        If the model is for another taxonomy, or of a backend whose labels cannot be taken apart.
    """
    if clf.taxonomy.fingerprint != migration.old.fingerprint:
        raise ModelError(f"{clf.name} was made for another taxonomy", "Migrate it from its own.")
    if not isinstance(clf.backend, TfidfBackend):
        raise ModelError(
            f"a {clf.metadata.backend} model cannot be migrated", "Migrate its labels, and train it again."
        )
    old, new = migration.old, migration.new
    source = {target: old.column(name) for name, target in migration.kept.items()}
    columns = [source.get(name) for name in new.ids]
    backend = TfidfBackend(clf.backend.config)
    backend.lexicon_, backend.idf_ = clf.backend.lexicon_, clf.backend.idf_
    weights, intercepts = clf.backend.weights_, clf.backend.intercepts_
    zero = np.zeros(len(weights), dtype=weights.dtype)
    backend.weights_ = np.stack([zero if c is None else weights[:, c] for c in columns], axis=1)
    backend.intercepts_ = np.array([NEVER if c is None else intercepts[c] for c in columns])
    learned = clf.calibrator.to_dict()
    blank = {"slopes": 1.0, "offsets": 0.0, "thresholds": 0.5, "low": 0.5, "high": 0.5}
    moved = {
        name: [blank[name] if c is None else values[c] for c in columns] if name in blank else values
        for name, values in learned.items()
    }
    calibrator = Calibrator.from_dict(moved, axis_columns(new), clf.calibrator.config)
    corpus = dict(clf.metadata.corpus)
    for key in ("positives", "held_out_positives"):
        counts = corpus.get(key, {})
        corpus[key] = {
            name: counts.get(old.ids[c], 0) if c is not None else 0 for name, c in zip(new.ids, columns, strict=True)
        }
    metadata = replace(clf.metadata, corpus=corpus, evaluation={}, command="exoclass labels migrate")
    return Classifier(backend, new, calibrator, metadata, name=clf.name)
