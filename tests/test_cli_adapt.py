"""``exoclass adapt`` in real processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import DATA, Run

SETTINGS = """
max_tokens = 32
batch_size = 8
mask_probability = 0.2
learning_rate = 5e-3
warmup_share = 0.1
weight_decay = 0.01
held_out = 10
save_every = 100
seed = 7
"""


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    (tmp_path / "small.toml").write_text(SETTINGS, encoding="utf-8")
    path = tmp_path / "texts.jsonl"
    with DATA.open(encoding="utf-8") as lines:
        path.write_text("".join(line for line, _ in zip(lines, range(60), strict=False)), encoding="utf-8")
    with path.open("a", encoding="utf-8") as out:
        out.write("{broken\n")
    return path


def test_it_adapts_and_says_what_was_gained(run: Run, texts: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    args = (texts, "--base", tiny_encoder, "--config", tmp_path / "small.toml", "--steps", "8", "-o", tmp_path / "out")
    done = run("adapt", *args, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["texts"], told["steps"]) == (60, 8)
    assert done.stderr.splitlines()[-1].startswith("held-out perplexity ")
    assert "1 records are left out, the first at " in done.stderr
    assert "line 61" in done.stderr
    again = run("adapt", *args)
    assert again.returncode == 1
    assert "exists already" in again.stderr


def test_a_base_that_is_no_encoder_is_one_line(run: Run, texts: Path, tmp_path: Path) -> None:
    done = run("adapt", texts, "--base", tmp_path, "-o", tmp_path / "out")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "holds no usable encoder" in done.stderr
