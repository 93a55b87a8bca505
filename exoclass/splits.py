"""Frozen splits: which papers are learnt from, tuned on, and held out for good."""

from __future__ import annotations

from collections.abc import Mapping

from exoclass.corpus import SPLITS, Corpus, Split, split_of
from exoclass.taxonomy import Taxonomy

ENOUGH = 30
HELD_OUT = 5


def make_splits(corpus: Corpus, taxonomy: Taxonomy, frozen: Mapping[str, Split]) -> dict[Split, list[str]]:
    """Return the groups of each split, sorted.

    A paper in `frozen` stays where it is. A new one goes where the hash of its group says (70/10/20), but a label with
    at least `ENOUGH` positives gets at least `HELD_OUT` of them into the test split as long as new papers allow, those
    with the rarest labels first.
    """
    assigned: dict[str, Split] = {item.group: frozen.get(item.group) or split_of(item.group) for item in corpus}
    groups: dict[str, set[str]] = {}
    for item in corpus:
        for label_id in item.labels:
            groups.setdefault(label_id, set()).add(item.group)
    for label_id in sorted(groups, key=lambda label: (len(groups[label]), taxonomy.column(label))):
        own = groups[label_id]
        if len(own) < ENOUGH:
            continue
        missing = HELD_OUT - sum(assigned[group] == "test" for group in own)
        free = sorted(group for group in own if assigned[group] != "test" and group not in frozen)
        for group in free[: max(missing, 0)]:
            assigned[group] = "test"
    everything = dict(frozen) | assigned
    return {split: sorted(group for group, where in everything.items() if where == split) for split in SPLITS}
