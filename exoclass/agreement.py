"""How far two annotators agree: Cohen's kappa per label, Krippendorff's alpha per axis.

Alpha uses the nominal distance on the single-choice axis and the MASI distance (Passonneau 2006) between label sets on
the others. A label that either annotator was unsure of is left out of its kappa; for alpha it counts as not given.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from exoclass.errors import CorpusError
from exoclass.taxonomy import Taxonomy


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one annotator said of one record; an axis not annotated is absent from `labels`."""

    labels: dict[str, frozenset[str]]
    unsure: frozenset[str]


@dataclass(frozen=True, slots=True)
class LabelAgreement:
    """Agreement on one label; `kappa` is NaN where no annotator or every annotator gave it always."""

    id: str
    axis: str
    judged: int
    prevalence: float
    unsure: int
    kappa: float


@dataclass(frozen=True, slots=True)
class AxisAgreement:
    """Agreement on one axis over the records that both annotators annotated on it."""

    id: str
    records: int
    identical: float
    alpha: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of two annotators."""

    annotators: tuple[str, str]
    records: int
    axes: tuple[AxisAgreement, ...]
    labels: tuple[LabelAgreement, ...]


Distance = Callable[[frozenset[str], frozenset[str]], float]


def read_passes(paths: Sequence[Path], taxonomy: Taxonomy) -> dict[str, dict[str, Judgement]]:
    """Read JSON Lines with ``id``, ``annotator``, ``scope``, ``disease``, ``mechanism``, ``unsure``.

    Returns
    -------
    dict
        Annotator to record id to judgement.

    Raises
    ------
    CorpusError
        Names file and line of a row that is not understood; `TaxonomyError` for an unknown label.
    """
    passes: dict[str, dict[str, Judgement]] = defaultdict(dict)
    for path in paths:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise CorpusError(f"{path} cannot be read: {error}", "Name a JSON Lines file in UTF-8.") from error
        for number, line in enumerate(lines, start=1):
            try:
                annotator, key, judgement = _judgement(json.loads(line), taxonomy)
            except (ValueError, KeyError, TypeError) as error:
                cause = f"{path}:{number}: not a judgement: {error!r}"
                raise CorpusError(cause, "Its keys are id, annotator, scope, disease, mechanism, unsure.") from error
            if key in passes[annotator]:
                raise CorpusError(f"{path}:{number}: {annotator} judged {key} twice", "Keep one of the two lines.")
            passes[annotator][key] = judgement
    return dict(passes)


def _judgement(row: dict[str, Any], taxonomy: Taxonomy) -> tuple[str, str, Judgement]:
    labels = {
        axis.id: frozenset([row[axis.id]] if axis.single else row[axis.id])
        for axis in taxonomy.axes
        if row[axis.id] is not None
    }
    judgement = Judgement(labels, frozenset(row["unsure"]))
    for label_id in judgement.unsure.union(*labels.values()):
        taxonomy.column(label_id)
    return str(row["annotator"]), str(row["id"]), judgement


def agreement(passes: dict[str, dict[str, Judgement]], taxonomy: Taxonomy) -> list[Agreement]:
    """Return the agreement of every pair of annotators who share records.

    Raises
    ------
    CorpusError
        If no two annotators judged the same record.
    """
    found = []
    for first, second in combinations(sorted(passes), 2):
        shared = sorted(passes[first].keys() & passes[second].keys())
        if shared:
            pairs = [(passes[first][key], passes[second][key]) for key in shared]
            found.append(_compare((first, second), pairs, taxonomy))
    if not found:
        raise CorpusError("no two annotators judged the same record", "Give lines of two annotators with the same ids.")
    return found


def kappa(pairs: Sequence[tuple[bool, bool]]) -> float:
    """Return Cohen's kappa (1960) of two annotators on one label, NaN where chance leaves nothing to agree on.

    >>> kappa([(True, True), (True, False), (False, False), (False, False)])
    0.5
    """
    n = len(pairs)
    if not n:
        return float("nan")
    observed = sum(a == b for a, b in pairs) / n
    first, second = sum(a for a, _ in pairs) / n, sum(b for _, b in pairs) / n
    expected = first * second + (1 - first) * (1 - second)
    return (observed - expected) / (1 - expected) if expected < 1 else float("nan")


def alpha(pairs: Sequence[tuple[frozenset[str], frozenset[str]]], distance: Distance) -> float:
    """Return Krippendorff's alpha of two annotators without missing values, NaN where all values are the same.

    >>> sets = [(frozenset("a"), frozenset("a")), (frozenset("b"), frozenset("b"))]
    >>> alpha(sets, masi)
    1.0
    """
    counts: dict[frozenset[str], int] = defaultdict(int)
    for pair in pairs:
        for value in pair:
            counts[value] += 1
    total = sum(counts.values())
    if total < 2:
        return float("nan")
    observed = sum(distance(a, b) for a, b in pairs) / len(pairs)
    values = list(counts.items())
    expected = sum(2 * n * m * distance(a, b) for i, (a, n) in enumerate(values) for b, m in values[i + 1 :]) / (
        total * (total - 1)
    )
    return 1 - observed / expected if expected else float("nan")


def nominal(a: frozenset[str], b: frozenset[str]) -> float:
    """Return 0 for equal sets and 1 for others."""
    return float(a != b)


def masi(a: frozenset[str], b: frozenset[str]) -> float:
    """Return the MASI distance of two label sets (Passonneau 2006): Jaccard, weighted by how the sets overlap.

    >>> masi(frozenset("ab"), frozenset("a")), masi(frozenset("a"), frozenset("b"))
    (0.6666666666666667, 1.0)
    """
    if not a and not b:
        return 0.0
    common = a & b
    kind = 1.0 if a == b else 2 / 3 if common in {a, b} else 1 / 3 if common else 0.0
    return 1 - kind * len(common) / len(a | b)


def _compare(names: tuple[str, str], pairs: list[tuple[Judgement, Judgement]], taxonomy: Taxonomy) -> Agreement:
    axes, labels = [], []
    for axis in taxonomy.axes:
        both = [(a, b) for a, b in pairs if axis.id in a.labels and axis.id in b.labels]
        sets = [(a.labels[axis.id], b.labels[axis.id]) for a, b in both]
        same = sum(a == b for a, b in sets) / len(sets) if sets else float("nan")
        axes.append(AxisAgreement(axis.id, len(sets), same, alpha(sets, nominal if axis.single else masi)))
        for column in taxonomy.columns(axis.id):
            labels.append(_label(taxonomy.ids[column], axis.id, both))
    return Agreement(names, len(pairs), tuple(axes), tuple(labels))


def _label(label_id: str, axis: str, pairs: list[tuple[Judgement, Judgement]]) -> LabelAgreement:
    sure = [(a, b) for a, b in pairs if label_id not in a.unsure | b.unsure]
    given = [(label_id in a.labels[axis], label_id in b.labels[axis]) for a, b in sure]
    share = sum(a + b for a, b in given) / (2 * len(given)) if given else float("nan")
    return LabelAgreement(label_id, axis, len(sure), share, len(pairs) - len(sure), kappa(given))
