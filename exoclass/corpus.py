"""Labelled records: read, checked for faults, split by paper, turned into matrices.

An axis that was not annotated is missing, not negative, and "unsure" is neither yes nor no: both are masked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, overload

import numpy as np

from exoclass.backend import Bools, Ints
from exoclass.errors import CorpusError, TaxonomyError
from exoclass.readers.jsonl import record_from_object
from exoclass.readers.rows import read_rows
from exoclass.records import Record, Reject
from exoclass.splits import SPLITS_FILE, Split, fraction, read_splits, split_of
from exoclass.taxonomy import Taxonomy

T = TypeVar("T")
Kind = Literal["unreadable", "unknown_label", "axis_rule", "duplicate", "conflict", "empty_abstract", "not_labelled"]
FAULTS: frozenset[Kind] = frozenset({"unreadable", "unknown_label", "conflict", "not_labelled"})
"""Kinds of finding that make a file unfit for training; the others are warnings."""


@dataclass(frozen=True, slots=True)
class LabeledRecord:
    """A record and what annotators said of it.

    Parameters
    ----------
    labels, unsure
        Ids of the labels that hold, and of those the annotators could not decide.
    annotated
        Axes that were annotated at all.
    group
        Records of one paper share it and are never split apart.
    annotators, guideline
        Who labelled, and by which version of the guideline.
    split
        Where a ``splits.json`` beside the data puts the paper; without one, `split_of` its group.
    """

    record: Record
    labels: frozenset[str]
    unsure: frozenset[str]
    annotated: frozenset[str]
    group: str
    annotators: tuple[str, ...] = ()
    guideline: str = ""
    split: Split | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong or odd in a labelled file; `position` is ``file:line``."""

    kind: Kind
    position: str
    message: str


@dataclass(frozen=True)
class Corpus(Sequence[LabeledRecord]):
    """An immutable sequence of labelled records."""

    items: tuple[LabeledRecord, ...]

    @classmethod
    def load(cls, paths: Iterable[str | Path], taxonomy: Taxonomy) -> Corpus:
        """Read labelled JSON Lines or CSV files.

        A file ``splits.json`` in the folder of a data file says to which split its papers belong; see `read_splits`.

        Raises
        ------
        CorpusError
            At the first fault (see `FAULTS`), with the number of others.
        InputError
            If a file cannot be read.
        """
        corpus, findings = read_labeled(paths, taxonomy)
        faults = [finding for finding in findings if finding.kind in FAULTS]
        if faults:
            more = f" (and {len(faults) - 1} more faults)" if len(faults) > 1 else ""
            raise CorpusError(f"{faults[0].position}: {faults[0].message}{more}", "See all with `exoclass check FILE`.")
        if not corpus:
            raise CorpusError("there is no labelled record in the input", "Give it records with scope and disease.")
        return corpus

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self.items)

    def __iter__(self) -> Iterator[LabeledRecord]:
        """Iterate over the records in order."""
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> LabeledRecord: ...
    @overload
    def __getitem__(self, index: slice) -> Corpus: ...
    def __getitem__(self, index: int | slice) -> LabeledRecord | Corpus:
        """Return one record, or a corpus for a slice."""
        return Corpus(self.items[index]) if isinstance(index, slice) else self.items[index]

    @property
    def texts(self) -> list[str]:
        """The model inputs, in order."""
        return [item.record.text for item in self.items]

    @property
    def fingerprint(self) -> str:
        """The sha256 of texts and labels, whatever their order."""
        rows = sorted("\t".join([item.group, item.record.text, *_states(item)]) for item in self.items)
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()

    def select(self, *splits: Split) -> Corpus:
        """Return the records of the given splits."""
        return Corpus(tuple(item for item in self.items if (item.split or split_of(item.group)) in splits))

    def binarize(self, taxonomy: Taxonomy) -> tuple[Bools, Bools]:
        """Return labels and mask, both of shape (n, n_labels).

        A cell of the mask is False where the axis was not annotated or the annotators were unsure of the label.
        """
        Y = np.zeros((len(self), len(taxonomy.labels)), dtype=bool)
        mask = np.zeros_like(Y)
        for row, item in enumerate(self.items):
            for column, label in enumerate(taxonomy.labels):
                Y[row, column] = label.id in item.labels
                mask[row, column] = label.axis in item.annotated and label.id not in item.unsure
        return Y, mask

    def folds(self, n_folds: int, seed: int) -> Ints:
        """Return the fold of each record, shape (n,), by a hash of its group: it stays when records are added."""
        return np.array([int(fraction(f"{seed}:{item.group}") * n_folds) for item in self.items], dtype=np.int64)


def read_labeled(paths: Iterable[str | Path], taxonomy: Taxonomy) -> tuple[Corpus, list[Finding]]:
    """Read labelled files and return what could be used, and everything wrong or odd in them, in order.

    Raises
    ------
    InputError
        If a file cannot be read at all.
    """
    kept: list[LabeledRecord] = []
    seen: dict[str, LabeledRecord] = {}
    findings: list[Finding] = []
    for path in paths:
        splits = read_splits(Path(path).parent / SPLITS_FILE)
        for number, row in read_rows(path):
            position = f"{path}:{number}"
            if isinstance(row, str):
                findings.append(Finding("unreadable", position, row))
                continue
            found = _labeled(row, str(path), number, taxonomy, splits)
            if isinstance(found, Finding):
                findings.append(found)
                continue
            item, notes = found
            findings += [Finding(kind, position, message) for kind, message in notes]
            keys = names_of(item.record)
            earlier = next((seen[key] for key in keys if key in seen), None)
            if earlier is None:
                kept.append(item)
                seen |= dict.fromkeys(keys, item)
            else:
                findings.append(_repeated(earlier, item, position))
    return Corpus(tuple(kept)), findings


def to_row(item: LabeledRecord, taxonomy: Taxonomy) -> dict[str, Any]:
    """Return a labelled record as a row that `read_labeled` reads."""
    by_axis: dict[str, Any] = {
        axis.id: [label.id for label in taxonomy.labels if label.axis == axis.id and label.id in item.labels]
        if axis.id in item.annotated
        else None
        for axis in taxonomy.axes
    }
    for axis in taxonomy.axes:
        if axis.single and by_axis[axis.id] is not None:
            by_axis[axis.id] = "; ".join(by_axis[axis.id])
    record = item.record
    return {
        "pmid": record.pmid, "doi": record.doi, "year": record.year, "title": record.title,
        "abstract": record.abstract, **by_axis, "unsure": sorted(item.unsure), "annotators": list(item.annotators),
        "guideline": item.guideline, "group": item.group,
    }  # fmt: skip


def names_of(record: Record) -> list[str]:
    """Return every name of the paper, so that one given here by PMID and there by DOI is known again."""
    return [record.key, *([f"doi:{record.doi}"] if record.doi else [])]


def by_any_name(known: Mapping[str, T], record: Record) -> T | None:
    """Return what is known under one of the names of a paper."""
    return next((known[name] for name in names_of(record) if name in known), None)


def _repeated(earlier: LabeledRecord, item: LabeledRecord, position: str) -> Finding:
    same = (earlier.labels, earlier.unsure, earlier.annotated) == (item.labels, item.unsure, item.annotated)
    where = f"{item.record.key} was labelled before at {earlier.record.source}"
    if same:
        return Finding("duplicate", position, f"{where}, with the same labels; the first is kept")
    apart = ", ".join(sorted((earlier.labels ^ item.labels) | (earlier.unsure ^ item.unsure)))
    return Finding("conflict", position, f"{where}, with other labels: {apart or 'other axes'}")


def _labeled(
    row: Mapping[str, Any], file: str, number: int, taxonomy: Taxonomy, splits: Mapping[str, Split]
) -> tuple[LabeledRecord, list[tuple[Kind, str]]] | Finding:
    position = f"{file}:{number}"
    try:
        record = record_from_object(dict(row), file, number)
        by_axis = {axis.id: label_ids(row.get(axis.id)) for axis in taxonomy.axes}
        unsure = frozenset(label_ids(row.get("unsure")) or ())
        annotators = label_ids(row.get("annotators")) or ()
    except ValueError as error:
        return Finding("unreadable", position, str(error))
    if isinstance(record, Reject):
        return Finding("unreadable", position, record.reason)
    annotated = frozenset(axis for axis, ids in by_axis.items() if ids is not None)
    if not annotated:
        return Finding("not_labelled", position, "no axis is labelled")
    for axis, ids in [*by_axis.items(), (None, unsure)]:
        for label_id in ids or ():
            try:
                label = taxonomy.label(label_id)
            except TaxonomyError as error:
                return Finding("unknown_label", position, str(error))
            if axis and label.axis != axis:
                return Finding("unknown_label", position, f"{label_id} is a label of {label.axis}, not of {axis}")
    group = str(row.get("group") or record.key)
    item = LabeledRecord(
        record=record,
        labels=frozenset(label_id for ids in by_axis.values() for label_id in ids or ()),
        unsure=unsure,
        annotated=annotated,
        group=group,
        annotators=tuple(annotators),
        guideline=str(row.get("guideline") or ""),
        split=splits.get(group),
    )
    return item, list(_odd(item, taxonomy))


def _odd(item: LabeledRecord, taxonomy: Taxonomy) -> Iterator[tuple[Kind, str]]:
    """Yield the rules of the taxonomy that a labelled record breaks."""
    if not item.record.abstract:
        yield "empty_abstract", "there is no abstract"
    scopes = sorted(label_id for label_id in item.labels if taxonomy.label(label_id).axis == "scope")
    for axis in taxonomy.axes:
        if axis.id not in item.annotated:
            continue
        own = sorted(label_id for label_id in item.labels if taxonomy.label(label_id).axis == axis.id)
        unsure = sorted(label_id for label_id in item.unsure if taxonomy.label(label_id).axis == axis.id)
        if not own and not unsure:
            yield "axis_rule", f"{axis.id} is annotated but no label holds"
        if axis.single and len(own) > 1:
            yield "axis_rule", f"{axis.id} takes one label, not {', '.join(own)}"
        if axis.max_labels and len(own) > axis.max_labels:
            yield "axis_rule", f"{axis.id} takes at most {axis.max_labels} labels, not {len(own)}"
        alone = [label_id for label_id in own if taxonomy.label(label_id).exclusive]
        if alone and len(own) > 1:
            yield "axis_rule", f"{alone[0]} stands alone, but {', '.join(own)} are given"
        if scopes and not any(taxonomy.applies(axis.id, scope) for scope in scopes):
            yield "axis_rule", f"{axis.id} does not apply to scope {scopes[0]}"
    if both := item.labels & item.unsure:
        yield "axis_rule", f"{sorted(both)[0]} is both given and unsure"


def label_ids(value: object) -> tuple[str, ...] | None:
    """Return label ids from a list, or from text that separates them by ; , or |; None for nothing."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return tuple(part.strip() for part in value.replace("|", ";").replace(",", ";").split(";") if part.strip())
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return tuple(value)
    raise ValueError(f"labels should be text or a list of texts, not {value!r}")


def _states(item: LabeledRecord) -> list[str]:
    return [*sorted(item.labels), "?", *sorted(item.unsure), "of", *sorted(item.annotated)]
