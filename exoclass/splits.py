"""Frozen splits: which papers are learnt from, tuned on, and held out for good."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Literal

from exoclass.errors import CorpusError

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")
SPLITS_FILE = "splits.json"
ENOUGH = 30
HELD_OUT = 5


def fraction(key: str) -> float:
    """Return a number in [0, 1) that depends on `key` alone and is spread evenly over keys."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64


def split_of(group: str) -> Split:
    """Return the split a group belongs to, for good: 70 % train, 10 % dev, 20 % test by a hash of its key."""
    share = fraction(group)
    return "train" if share < 0.7 else "dev" if share < 0.8 else "test"


def read_splits(path: Path) -> dict[str, Split]:
    """Return group to split from a file that `make_splits` made; nothing if there is no such file.

    Raises
    ------
    CorpusError
        If the file is there but is not understood.
    """
    if not path.is_file():
        return {}
    try:
        named = json.loads(path.read_text(encoding="utf-8"))
        found: dict[str, Split] = {group: split for split in SPLITS for group in named[split]}
        if len(found) != sum(len(named[split]) for split in SPLITS):
            raise ValueError("a paper is in two splits")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorpusError(
            f"{path} is no file of splits: {error}", "Restore it: the test split must not move."
        ) from error
    return found


def make_splits(
    groups: Mapping[str, AbstractSet[str]], order: Sequence[str], frozen: Mapping[str, Split]
) -> dict[Split, list[str]]:
    """Return the groups of each split, sorted.

    A paper in `frozen` stays where it is. A new one goes where the hash of its group says, but a label with at least
    `ENOUGH` papers gets at least `HELD_OUT` of them into the test split as far as new papers allow, rarest label first.

    Parameters
    ----------
    groups
        Group to the labels its records have.
    order
        Label ids in taxonomy order, which breaks ties.
    """
    assigned: dict[str, Split] = {group: frozen.get(group) or split_of(group) for group in groups}
    papers = {label_id: sorted(group for group, labels in groups.items() if label_id in labels) for label_id in order}
    for label_id in sorted(order, key=lambda label: len(papers[label])):
        own = papers[label_id]
        if len(own) < ENOUGH:
            continue
        missing = HELD_OUT - sum(assigned[group] == "test" for group in own)
        free = [group for group in own if assigned[group] != "test" and group not in frozen]
        for group in free[: max(missing, 0)]:
            assigned[group] = "test"
    everything = dict(frozen) | assigned
    return {split: sorted(group for group, where in everything.items() if where == split) for split in SPLITS}
