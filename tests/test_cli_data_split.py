"""``exoclass data split``: what is held out stays held out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import ROOT, Run

DATA = ROOT / "data" / "exosome_therapy.jsonl"


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """A copy of the first hundred labelled records, in a folder of its own."""
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(DATA.read_text(encoding="utf-8").splitlines(keepends=True)[:100]), encoding="utf-8")
    return path


def test_splits_cover_every_paper_once(run: Run, labels: Path) -> None:
    done = run("data", "split", str(labels))
    assert done.returncode == 0, done.stderr
    found = json.loads((labels.parent / "splits.json").read_text(encoding="utf-8"))
    groups = [json.loads(line)["group"] for line in labels.read_text(encoding="utf-8").splitlines()]
    assert sorted(group for members in found.values() for group in members) == sorted(groups)


def test_a_paper_in_the_file_never_moves(run: Run, labels: Path) -> None:
    first = json.loads(labels.read_text(encoding="utf-8").splitlines()[0])["group"]
    path = labels.parent / "splits.json"
    for split in ("train", "dev", "test"):
        frozen: dict[str, list[str]] = {"train": [], "dev": [], "test": []} | {split: [first]}
        path.write_text(json.dumps(frozen), encoding="utf-8")
        assert run("data", "split", str(labels)).returncode == 0
        assert first in json.loads(path.read_text(encoding="utf-8"))[split]


def test_training_leaves_the_frozen_test_papers_out(run: Run, labels: Path, tmp_path: Path) -> None:
    groups = [json.loads(line)["group"] for line in labels.read_text(encoding="utf-8").splitlines()]
    splits = {"train": groups[:70], "dev": [], "test": groups[70:]}
    (labels.parent / "splits.json").write_text(json.dumps(splits), encoding="utf-8")
    config = ROOT / "tests" / "fixtures" / "tiny.toml"
    done = run("train", str(labels), "-o", str(tmp_path / "model"), "--config", str(config), "--json")
    assert done.returncode == 0, done.stderr
    assert [report["n_records"] for report in json.loads(done.stdout)] == [70, 30]


def test_a_faulty_splits_file_is_named(run: Run, labels: Path) -> None:
    (labels.parent / "splits.json").write_text("{}", encoding="utf-8")
    done = run("data", "split", str(labels))
    assert done.returncode == 1
    assert "splits.json" in done.stderr
