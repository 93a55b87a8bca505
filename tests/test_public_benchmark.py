"""A public benchmark by real training on documents of our own, in a process of its own too."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT, Run

from exoclass.errors import ConfigError, InputError
from exoclass.public_benchmark import BenchmarkConfig, mean_and_deviation, read_documents, score

HOC = ROOT / "configs" / "benchmarks" / "hoc.toml"
WORDS = {
    "inducing_angiogenesis": "new vessels sprout from endothelium and feed the tumour",
    "resisting_cell_death": "caspases stay silent and apoptosis is evaded",
}


def write(folder: Path, *, copies: int = 12) -> Path:
    """Write a benchmark whose labels can be read from single words."""
    rows = []
    for number in range(copies):
        split = ("train", "train", "train", "dev", "test")[number % 5]
        for labels in ([], ["inducing_angiogenesis"], ["resisting_cell_death"], list(WORDS)):
            text = (
                f"In study {number} of cancer cells, {'; '.join(WORDS[label] for label in labels) or 'nothing grew'}."
            )
            rows.append({"text": text, "labels": labels, "split": split})
    file = folder / "own.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def test_what_can_be_learnt_is_learnt_and_the_test_split_is_left_alone(tmp_path: Path) -> None:
    config = replace(BenchmarkConfig.load(HOC), labels=tuple(WORDS), seeds=(1, 2))
    documents = read_documents(write(tmp_path), config.labels)
    found = score(config, documents, systems=["tfidf"])
    assert [(one.system, one.seed) for one in found] == [("tfidf", 1), ("tfidf", 2)]
    assert all(one.dev > 0.9 and one.test is None for one in found)
    assert all(
        one.test is not None and one.test > 0.9 for one in score(config, documents, systems=["tfidf"], with_test=True)
    )


def test_the_blend_is_made_of_both(tmp_path: Path, tiny_encoder: Path) -> None:
    own = (ROOT / "configs" / "transformer.toml").read_text(encoding="utf-8")
    values = {
        "base": f'"{tiny_encoder}"', "epochs": 1, "encoder_epochs": 1, "max_tokens": 48, "read_layers": [1, 2],
        "frozen_layers": 0,
    }  # fmt: skip
    for name, value in values.items():
        own, found = re.subn(rf"^{name} = [^#]*", f"{name} = {value} ", own, flags=re.MULTILINE)
        assert found == 1
    (tmp_path / "own.toml").write_text(own, encoding="utf-8")
    config = replace(BenchmarkConfig.load(HOC), labels=tuple(WORDS), seeds=(1,), transformer=str(tmp_path / "own.toml"))
    scores = score(config, read_documents(write(tmp_path), config.labels), with_test=True)
    assert [one.system for one in scores] == ["tfidf", "transformer", "blend"]
    assert all(0 <= one.dev <= 1 for one in scores)


def test_an_unknown_system_is_refused(tmp_path: Path) -> None:
    config = replace(BenchmarkConfig.load(HOC), labels=tuple(WORDS))
    with pytest.raises(ConfigError, match="there is no system 'bert'"):
        score(config, read_documents(write(tmp_path), config.labels), systems=["bert"])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "a", "labels": ["luck"], "split": "dev"}, "own.jsonl:49: 'luck' is not among the labels"),
        ({"text": "a", "labels": [], "split": "validation"}, "own.jsonl:49: it lacks text, labels or a split"),
        ({"labels": [], "split": "dev"}, "own.jsonl:49: it lacks text, labels or a split"),
    ],
)
def test_a_faulty_line_is_named(tmp_path: Path, row: dict[str, object], message: str) -> None:
    file = write(tmp_path)
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps(row) + "\n")
    with pytest.raises(InputError) as error:
        read_documents(file, tuple(WORDS))
    assert message in str(error.value)


def test_a_split_without_documents_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no document in split dev"):
        read_documents(write(tmp_path, copies=2), tuple(WORDS))


def test_mean_and_deviation() -> None:
    assert mean_and_deviation([0.5]) == (0.5, 0.0)
    assert mean_and_deviation([1.0, 3.0]) == pytest.approx((2.0, 2**0.5))


def test_the_command_reports_each_seed(run: Run, tmp_path: Path) -> None:
    file = write(tmp_path)
    done = run("benchmark", HOC, file, "--system", "tfidf", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [one["seed"] for one in report["scores"]] == [13, 14, 15]
    assert report["mean"]["tfidf"]["dev"][0] > 0.9
    assert "test" not in report["mean"]["tfidf"]
    shown = run("benchmark", HOC, file, "--system", "tfidf")
    assert shown.stdout.startswith("tfidf        seed 13   micro-F1: dev ")
