"""Frozen splits: nothing that was held out ever moves, and every frequent label is held out somewhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from exoclass.errors import CorpusError
from exoclass.splits import HELD_OUT, SPLITS, make_splits, read_splits, split_of

ORDER = ("common", "rare")


def papers(n: int, labels: set[str], prefix: str = "p") -> dict[str, set[str]]:
    return {f"{prefix}{number}": labels for number in range(n)}


def test_without_frequent_labels_the_hash_decides() -> None:
    found = make_splits(papers(20, {"rare"}), ORDER, {})
    assert all(split_of(group) == split for split in SPLITS for group in found[split])


def test_a_frequent_label_gets_enough_held_out_papers() -> None:
    groups = {group: labels for group, labels in papers(400, {"common"}).items() if split_of(group) == "train"}
    assert len(groups) >= 30
    assert len(make_splits(groups, ORDER, {})["test"]) == HELD_OUT


def test_frozen_papers_stay_although_their_label_lacks_held_out_papers() -> None:
    groups = papers(40, {"common"})
    frozen = dict.fromkeys(groups, "train")
    found = make_splits(groups, ORDER, frozen)  # type: ignore[arg-type]  # dict is invariant in the literal
    assert found["test"] == []
    assert found["train"] == sorted(groups)


def test_frozen_papers_that_left_the_data_keep_their_split() -> None:
    assert make_splits({}, ORDER, {"gone": "test"})["test"] == ["gone"]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    found = make_splits(papers(50, {"common"}), ORDER, {})
    (tmp_path / "splits.json").write_text(json.dumps(found), encoding="utf-8")
    assert read_splits(tmp_path / "splits.json") == {group: split for split in SPLITS for group in found[split]}


def test_no_file_is_no_splits(tmp_path: Path) -> None:
    assert read_splits(tmp_path / "splits.json") == {}


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"train": ["a"], "dev": [], "test": ["a"]}', '{"train": [], "dev": []}', '{"train": 1}'],
)
def test_a_faulty_file_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "splits.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(CorpusError, match=r"splits\.json"):
        read_splits(path)
