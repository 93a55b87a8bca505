"""A change of the labels: which are renamed, merged, split, added or retired, read from a file and checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exoclass.config import read_toml
from exoclass.errors import TaxonomyError
from exoclass.taxonomy import Taxonomy, parse_taxonomy

_KEYS = {
    "rename": {"from", "to", "wording"},
    "merge": {"from", "to", "wording"},
    "split": {"from", "to", "positives"},
    "add": None,  # all that a label has; the taxonomy checks it
    "retire": {"id"},
}


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
    positives
        Of a split label, the part that all its old examples have; of the other parts they are unsure.
    added, retired
        New ids, and old ids that are given no longer.
    """

    old: Taxonomy
    new: Taxonomy
    renamed: dict[str, str]
    merged: dict[str, str]
    split: dict[str, tuple[str, ...]]
    positives: dict[str, str]
    added: tuple[str, ...]
    retired: tuple[str, ...]

    @property
    def kept(self) -> dict[str, str]:
        """Labels whose meaning is the same, old id to new id: a model's columns for them stay."""
        touched = {*self.merged, *self.split, *self.retired}
        return {name: self.renamed.get(name, name) for name in self.old.ids if name not in touched}

    def steps(self) -> Iterator[tuple[str, tuple[str, ...], str | None]]:
        """Yield for each new label, and then for each retired one, the step, the old ids and the new id.

        A label that no step touches has the step "keep".
        """
        whole = {part: name for name, parts in self.split.items() for part in parts}
        before = {to: name for name, to in self.kept.items()}
        for name in self.new.ids:
            if sources := tuple(old for old, to in self.merged.items() if to == name):
                yield "merge", sources, name
            elif name in whole:
                yield "split", (whole[name],), name
            elif name in self.added:
                yield "add", (), name
            else:
                yield "keep" if before[name] == name else "rename", (before[name],), name
        yield from (("retire", (name,), None) for name in self.retired)

    @classmethod
    def load(cls, file: Path, old: Taxonomy) -> Migration:
        """Read a migration and check it against the taxonomy it starts from.

        Raises
        ------
        TaxonomyError
            Names the file, the step and what is wrong with it.
        """
        raw = read_toml(file)
        if unknown := set(raw) - {*_KEYS, "version"}:
            raise TaxonomyError(
                f"{file}: unknown key {sorted(unknown)[0]!r}", f"Known are version, {', '.join(_KEYS)}."
            )
        if not raw.get("version") or raw["version"] == old.version:
            raise TaxonomyError(f"{file}: the new taxonomy needs a version of its own", f'Not "{old.version}".')
        steps = _Steps(old, str(file))
        for kind in _KEYS:
            if not isinstance(raw.get(kind, []), list):
                raise TaxonomyError(f"{file}: {kind} is no list of steps", f"Write each as [[{kind}]].")
            for number, step in enumerate(raw.get(kind, []), start=1):
                steps.take(kind, number, step)
        content = old.to_dict() | {"version": str(raw["version"]), "labels": steps.labels()}
        for name, axis in content["axes"].items():
            axis["applies_to"] = steps.applies_to(name, axis["applies_to"])
        new = parse_taxonomy(content, str(file))
        return cls(
            old, new, steps.renamed, steps.merged, steps.split, steps.positives, tuple(steps.added),
            tuple(steps.retired),
        )  # fmt: skip


class _Steps:
    """The steps of a migration while they are read; each old label is touched once at most."""

    def __init__(self, old: Taxonomy, file: str) -> None:
        self.old, self.file = old, file
        self.touched: set[str] = set()
        self.entries: dict[str, list[dict[str, Any]]] = {}  # what takes the place of an old label
        self.renamed: dict[str, str] = {}
        self.merged: dict[str, str] = {}
        self.split: dict[str, tuple[str, ...]] = {}
        self.positives: dict[str, str] = {}
        self.added: list[str] = []
        self.retired: list[str] = []
        self.appended: list[dict[str, Any]] = []

    def take(self, kind: str, number: int, step: Any) -> None:  # noqa: ANN401 - parsed TOML
        where = f"{self.file}: {kind} number {number}"
        try:
            if (known := _KEYS[kind]) and (odd := sorted(set(step) - known)):
                raise TaxonomyError(f"{where}: unknown key {odd[0]!r}", f"Known are {', '.join(sorted(known))}.")
            match kind:
                case "rename":
                    self._replace([step["from"]], step["to"], step.get("wording", {}), where)
                    self.renamed[step["from"]] = step["to"]
                case "merge":
                    if isinstance(step["from"], str) or len(step["from"]) < 2:
                        raise TaxonomyError(f"{where}: from names fewer than two labels", "Merge two, or rename one.")
                    self._replace(step["from"], step["to"], step.get("wording", {}), where)
                    self.merged |= dict.fromkeys(step["from"], step["to"])
                case "split":
                    self._split(step, where)
                case "add":
                    self._check_new(step["id"], where)
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

    def _replace(self, names: list[str], to: str, wording: dict[str, Any], where: str) -> None:
        """Put one label, worded like the first, in the place of old ones of the same axis."""
        entries = [self._entry(name, where) for name in names]
        if apart := next((entry for entry in entries if entry["axis"] != entries[0]["axis"]), None):
            raise TaxonomyError(
                f"{where}: {names[0]} is a label of {entries[0]['axis']}, {apart['id']} of {apart['axis']}",
                "Merge labels of one axis.",
            )
        self._check_new(to, where, own=names if len(names) > 1 else ())
        self.entries |= {name: [] for name in names}
        self.entries[names[0]] = [self._worded(entries[0], to, wording, where)]

    def _split(self, step: dict[str, Any], where: str) -> None:
        name, entry = step["from"], self._entry(step["from"], where)
        parts = [(part["id"], {key: value for key, value in part.items() if key != "id"}) for part in step["to"]]
        if len(parts) < 2:
            raise TaxonomyError(f"{where}: to has fewer than two parts", "Give it two, or rename the label.")
        for part, _ in parts:
            self._check_new(part, where)
        self.entries[name] = [self._worded(entry, part, wording, where) for part, wording in parts]
        self.split[name] = tuple(part for part, _ in parts)
        if "positives" in step:
            if step["positives"] not in self.split[name]:
                raise TaxonomyError(
                    f"{where}: positives = {step['positives']!r} is none of its parts",
                    f"The parts are {', '.join(self.split[name])}.",
                )
            self.positives[name] = step["positives"]

    def _check_new(self, name: str, where: str, own: Sequence[str] = ()) -> None:
        """Refuse the id of an old label for another one, and with it a circle of renamings."""
        if name in self.old.ids and name not in own:
            raise TaxonomyError(
                f"{where}: {name} is a label of the old taxonomy, and an id never changes its meaning",
                "Choose a new id.",
            )

    def _worded(self, entry: dict[str, Any], to: str, wording: dict[str, Any], where: str) -> dict[str, Any]:
        if fixed := sorted({"id", "axis"} & set(wording)):
            raise TaxonomyError(f"{where}: a new wording cannot change {fixed[0]}", "Leave it out.")
        return entry | wording | {"id": to}

    def applies_to(self, axis: str, scopes: list[str]) -> list[str]:
        """Return the new scopes for which an axis is annotated, given the old ones."""
        found: dict[str, None] = {}  # a set that keeps the order
        for scope in scopes:
            into = self.merged.get(scope)
            if into and any(name not in scopes for name, to in self.merged.items() if to == into):
                raise TaxonomyError(
                    f"{self.file}: {into} merges scopes to which {axis} applies with others to which it does not",
                    "Merge only scopes that are annotated alike.",
                )
            if scope not in self.retired:
                found |= dict.fromkeys(self.split.get(scope, (into or self.renamed.get(scope, scope),)))
        if scopes and not found:  # no scope at all would mean all scopes
            raise TaxonomyError(f"{self.file}: every scope to which {axis} applies is retired", "Keep one of them.")
        return list(found)

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
