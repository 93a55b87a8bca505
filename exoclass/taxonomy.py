"""The labels: read from ``configs/taxonomy.toml``, checked, ordered and immutable.

Labels come from here and never from the data at hand, so a label without examples does not vanish.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from exoclass.config import read_json, read_toml, shipped
from exoclass.errors import TaxonomyError

AXES = ("scope", "disease", "mechanism")
SCHEMA = 1

_ID = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_MESH = re.compile(r"[A-Z]\d{2}(\.\d{3})*")
_TEXT = ("id", "axis", "name", "definition", "parent")
_LISTS = ("include", "exclude", "cues", "mesh")


@dataclass(frozen=True, slots=True)
class Label:
    """One label and the rules an annotator follows; see the head of ``configs/taxonomy.toml`` for the fields."""

    id: str
    axis: str
    name: str
    definition: str
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    cues: tuple[str, ...]
    mesh: tuple[str, ...]
    parent: str
    exclusive: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """One question put to each record.

    Parameters
    ----------
    single
        Exactly one label per record.
    applies_to
        Scopes for which the axis is annotated; empty for all. Elsewhere it is missing, not negative.
    max_labels
        Most labels a record may have on this axis, 0 for no limit.
    """

    id: str
    name: str
    question: str
    single: bool = False
    applies_to: tuple[str, ...] = ()
    max_labels: int = 0


@dataclass(frozen=True)
class Taxonomy:
    """Axes and labels in the order of the file; the order of labels is the column order of every matrix."""

    axes: tuple[Axis, ...]
    labels: tuple[Label, ...]
    parents: tuple[tuple[str, str], ...]
    version: str

    @classmethod
    def load(cls, path: str | Path | None = None) -> Taxonomy:
        """Read and check a taxonomy file, TOML or what `to_dict` gave as JSON; by default the shipped one.

        Raises
        ------
        TaxonomyError
            Names file, label and fault.
        ConfigError
            If the file cannot be read or is no TOML.
        """
        file = Path(path) if path is not None else shipped("configs/taxonomy.toml")
        return parse_taxonomy(read_json(file) if file.suffix == ".json" else read_toml(file), str(file))

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """All label ids, in column order."""
        return tuple(label.id for label in self.labels)

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 of axes, ids and order: two taxonomies with the same one can share a model."""
        return hashlib.sha256("\n".join(f"{label.axis}:{label.id}" for label in self.labels).encode()).hexdigest()

    @cached_property
    def _index(self) -> dict[str, int]:
        return {label.id: column for column, label in enumerate(self.labels)}

    def axis(self, axis_id: str) -> Axis:
        """Return the axis called `axis_id`, or raise `TaxonomyError`."""
        for axis in self.axes:
            if axis.id == axis_id:
                return axis
        raise TaxonomyError(f"there is no axis {axis_id!r}", f"The axes are {', '.join(a.id for a in self.axes)}.")

    def columns(self, axis_id: str) -> list[int]:
        """Return the column numbers of the labels of one axis."""
        self.axis(axis_id)
        return [column for column, label in enumerate(self.labels) if label.axis == axis_id]

    @property
    def single_columns(self) -> list[int]:
        """The column numbers of all axes of which a record has one label."""
        return [column for axis in self.axes if axis.single for column in self.columns(axis.id)]

    def column(self, label_id: str) -> int:
        """Return the column number of a label; an unknown id raises `TaxonomyError` with the nearest known ones."""
        try:
            return self._index[label_id]
        except KeyError:
            near = difflib.get_close_matches(label_id, self.ids, n=3, cutoff=0.5)
            remedy = f"Did you mean {' or '.join(near)}?" if near else "List the labels with `exoclass labels`."
            raise TaxonomyError(f"there is no label {label_id!r}", remedy) from None

    def label(self, label_id: str) -> Label:
        """Return a label by id; an unknown id raises `TaxonomyError` with the nearest known ones."""
        return self.labels[self.column(label_id)]

    def applies(self, axis_id: str, scope_id: str) -> bool:
        """Tell whether an axis is annotated for papers of this scope."""
        scopes = self.axis(axis_id).applies_to
        return not scopes or scope_id in scopes

    def to_dict(self) -> dict[str, Any]:
        """Return the content in the form of the TOML file, ready for JSON."""
        return {
            "schema": SCHEMA,
            "version": self.version,
            "axes": {
                axis.id: {
                    "name": axis.name,
                    "question": axis.question,
                    "single": axis.single,
                    "applies_to": list(axis.applies_to),
                    "max_labels": axis.max_labels,
                }
                for axis in self.axes
            },
            "parents": dict(self.parents),
            "labels": [
                {name: getattr(label, name) for name in _TEXT}
                | {name: list(getattr(label, name)) for name in _LISTS}
                | {"exclusive": label.exclusive}
                for label in self.labels
            ],
        }


def parse_taxonomy(raw: dict[str, Any], file: str) -> Taxonomy:
    """Build a taxonomy from the parsed content of a TOML or JSON file and check it.

    Raises
    ------
    TaxonomyError
        Names `file`, the label and the fault.
    """
    if raw.get("schema") != SCHEMA:
        raise TaxonomyError(f"{file}: schema is {raw.get('schema')!r}, not {SCHEMA}", "Update exoclass, or the file.")
    parents = _table(raw, "parents", file)
    axes = tuple(_axis(axis_id, _table(_table(raw, "axes", file), axis_id, file), file) for axis_id in AXES)
    if extra := set(_table(raw, "axes", file)) - set(AXES):
        raise TaxonomyError(f"{file}: unknown axis {sorted(extra)[0]!r}", f"The axes are {', '.join(AXES)}.")
    entries = raw.get("labels")
    if not isinstance(entries, list) or not entries:
        raise TaxonomyError(f"{file}: there are no labels", "Add [[labels]] tables; see the shipped taxonomy.")
    labels = tuple(_label(entry, number, parents, file) for number, entry in enumerate(entries, start=1))
    _check_whole(axes, labels, file)
    return Taxonomy(axes, labels, tuple((str(k), str(v)) for k, v in parents.items()), str(raw.get("version", "")))


def _table(raw: dict[str, Any], key: str, file: str) -> dict[str, Any]:
    value = raw.get(key)
    if not isinstance(value, dict):
        raise TaxonomyError(f"{file}: the table [{key}] is missing", "Copy it from the shipped taxonomy.")
    return value


def _axis(axis_id: str, raw: dict[str, Any], file: str) -> Axis:
    known = {"name": str, "question": str, "single": bool, "applies_to": list, "max_labels": int}
    for key, value in raw.items():
        sound = key in known and type(value) is known[key]
        if key == "applies_to" and sound:
            sound = all(isinstance(scope, str) for scope in value)
        if not sound or (key == "max_labels" and value < 0):
            raise TaxonomyError(f"{file}: axis {axis_id!r}: {key} = {value!r} is not understood", "Mend that line.")
    if not raw.get("name") or not raw.get("question"):
        raise TaxonomyError(f"{file}: axis {axis_id!r} lacks name or question", "Add both.")
    values = raw | {"applies_to": tuple(raw.get("applies_to", ()))}
    return Axis(id=axis_id, **values)


def _label(entry: Any, number: int, parents: dict[str, Any], file: str) -> Label:  # noqa: ANN401 - parsed TOML
    if not isinstance(entry, dict):
        raise TaxonomyError(f"{file}: label number {number} is not a table", "Write it as [[labels]].")
    where = f"{file}: label {entry.get('id') or f'number {number}'!r}"
    _check_types(entry, where)
    if not _ID.fullmatch(entry["id"]):
        raise TaxonomyError(f"{where}: an id is lower-case words joined by underscores", "Rename it.")
    if entry["axis"] not in AXES:
        raise TaxonomyError(f"{where}: unknown axis {entry['axis']!r}", f"The axes are {', '.join(AXES)}.")
    if not entry["name"].strip() or not entry["definition"].strip():
        raise TaxonomyError(f"{where}: name or definition is empty", "People need both; write them.")
    if entry["parent"] and entry["parent"] not in parents:
        raise TaxonomyError(f"{where}: parent {entry['parent']!r} is not in [parents]", "Add it there, or mend it.")
    for root in entry["mesh"]:
        if not _MESH.fullmatch(root):
            raise TaxonomyError(f"{where}: {root!r} is no MeSH tree number", "Write it like C06.552.")
    values: dict[str, Any] = {key: entry[key] for key in _TEXT} | {key: tuple(entry[key]) for key in _LISTS}
    return Label(**values, exclusive=entry.get("exclusive", False))


def _check_types(entry: dict[str, Any], where: str) -> None:
    for key in _TEXT:
        if not isinstance(entry.get(key), str):
            raise TaxonomyError(f"{where}: {key} is missing or no text", f'Add {key} = "…".')
    for key in _LISTS:
        if not isinstance(entry.get(key), list) or not all(isinstance(item, str) for item in entry[key]):
            raise TaxonomyError(f"{where}: {key} is missing or no list of texts", f'Add {key} = ["…"].')
    if unknown := sorted(set(entry) - {*_TEXT, *_LISTS, "exclusive"}):
        raise TaxonomyError(f"{where}: unknown key {unknown[0]!r}", "Remove it, or mend its spelling.")
    if not isinstance(entry.get("exclusive", False), bool):
        raise TaxonomyError(f"{where}: exclusive is neither true nor false", "Write exclusive = true, or leave it out.")


def _check_whole(axes: tuple[Axis, ...], labels: tuple[Label, ...], file: str) -> None:
    seen: set[str] = set()
    for label in labels:
        if label.id in seen:
            raise TaxonomyError(f"{file}: label {label.id!r} occurs twice", "Ids are unique over all axes.")
        seen.add(label.id)
    scopes = {label.id for label in labels if label.axis == "scope"}
    for axis in axes:
        if sum(label.axis == axis.id for label in labels) < 2:
            raise TaxonomyError(f"{file}: axis {axis.id!r} has fewer than two labels", "Add labels to it.")
        if unknown := set(axis.applies_to) - scopes:
            raise TaxonomyError(
                f"{file}: axis {axis.id!r}: applies_to names the unknown scope {sorted(unknown)[0]!r}", "Mend it."
            )
