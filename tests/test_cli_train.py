"""``exoclass train`` in real processes: a model comes out that the other commands can use, or nothing does."""

from __future__ import annotations

import csv
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import DATA, ROOT, TINY, Run

from exoclass.corpus import Corpus


@dataclass(frozen=True)
class Trained:
    """A finished training: where it ran, and what it wrote."""

    folder: Path
    done: subprocess.CompletedProcess[str]

    @property
    def model(self) -> Path:
        return self.folder / "my model"


@pytest.fixture(scope="module")
def sample(labelled: Corpus) -> str:
    """Return the labelled records as lines of the file they come from."""
    wanted = {int(item.record.source.rpartition(":")[2]) for item in labelled}
    lines = DATA.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(line for number, line in enumerate(lines, start=1) if number in wanted)


@pytest.fixture(scope="module")
def trained(run: Run, sample: str, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("train")
    (folder / "labels.jsonl").write_text(sample, encoding="utf-8")
    return Trained(folder, run("train", "labels.jsonl", "-o", "my model", "--config", TINY, cwd=folder))


def test_training_succeeds_and_says_where_the_model_is(trained: Trained) -> None:
    assert trained.done.returncode == 0, trained.done.stderr
    assert trained.done.stderr.splitlines()[-1] == "model written to my model"


def test_the_scores_are_data_and_the_steps_are_not(trained: Trained) -> None:
    assert "cross-validation" in trained.done.stdout
    assert "held-out test split" in trained.done.stdout
    assert "| scope " in trained.done.stdout
    assert "fold 1 of 2" in trained.done.stderr
    assert "|" not in trained.done.stderr


def test_labels_without_an_example_are_named_in_one_warning(trained: Trained) -> None:
    [warning] = [line for line in trained.done.stderr.splitlines() if "warning" in line]
    assert warning.startswith("exoclass: warning: labels without a positive example are never predicted: ")


def test_the_model_tags(run: Run, trained: Trained) -> None:
    done = run("predict", "-m", "my model", stdin='{"title": "Exosomes heal"}\n', cwd=trained.folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"].startswith("my model:")


def test_the_card_has_the_command_that_was_given(trained: Trained) -> None:
    card = (trained.model / "README.md").read_text(encoding="utf-8")
    assert f"\nexoclass train labels.jsonl -o 'my model' --config {TINY}\n" in card


def test_the_test_split_is_left_out_of_training(trained: Trained, sample: str) -> None:
    metadata = json.loads((trained.model / "exoclass.json").read_text(encoding="utf-8"))
    total = len(sample.splitlines())
    [_, test] = metadata["evaluation"]["reports"]
    assert 0 < metadata["corpus"]["records"] < total
    assert metadata["corpus"]["records"] + test["n_records"] == total


def test_all_trains_on_every_record_and_json_reports_it(run: Run, tmp_path: Path) -> None:
    labels = ROOT / "data" / "examples" / "labels.csv"
    done = run("train", labels, "-o", "m", "--config", TINY, "--all", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    [report] = json.loads(done.stdout)
    with labels.open(encoding="utf-8", newline="") as file:
        assert report["n_records"] == len(list(csv.DictReader(file)))


def test_an_existing_model_is_not_replaced(run: Run, trained: Trained) -> None:
    before = (trained.model / "manifest.json").read_bytes()
    done = run("train", "labels.jsonl", "-o", "my model", "--config", TINY, cwd=trained.folder)
    [line] = done.stderr.splitlines()
    assert done.returncode == 1
    assert "my model exists already" in line
    assert "--force" in line
    assert (trained.model / "manifest.json").read_bytes() == before


def test_force_replaces_no_folder_that_is_no_model(run: Run, tmp_path: Path, sample: str) -> None:
    (tmp_path / "labels.jsonl").write_text(sample, encoding="utf-8")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("precious")
    done = run("train", "labels.jsonl", "-o", "thesis", "--config", TINY, "--force", cwd=tmp_path)
    [line] = done.stderr.splitlines()
    assert done.returncode == 1
    assert "thesis is no model" in line
    assert (tmp_path / "thesis" / "chapter1.tex").read_text() == "precious"


def few(sample: str) -> str:
    return "".join(sample.splitlines(keepends=True)[:12])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        ('{"title": "Exosomes"}\n', "labels.jsonl:1: no axis is labelled"),
        ('{"title": "A", "scope": "therapy"}\n{"title": "B", "scope": "terapy"}\n', "Did you mean therapy"),
        ('{"title": "A", "scope": "therapy"}\n', "1 labelled records are too few"),
        ("title,abstract\nA,B\n", "no scope or disease column"),
    ],
)
def test_data_unfit_for_training_are_refused_in_one_line(run: Run, tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "labels.jsonl").write_text(content, encoding="utf-8")
    done = run("train", "labels.jsonl", "-o", "m", "--config", TINY, "--all", cwd=tmp_path)
    [line] = done.stderr.splitlines()
    assert done.returncode == 1
    assert says in line
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("option", "content", "says"),
    [
        ("--config", None, "wrong.toml cannot be read"),
        ("--config", "backend = ", "wrong.toml is not valid TOML"),
        ("--config", 'backend = "tfidf"\n', "wrong.toml: key tfidf is missing"),
        ("--taxonomy", "schema = 1\nlabels = []\n", "wrong.toml"),
    ],
)
def test_a_faulty_configuration_is_refused_in_one_line(
    run: Run, tmp_path: Path, sample: str, option: str, content: str | None, says: str
) -> None:
    (tmp_path / "labels.jsonl").write_text(few(sample), encoding="utf-8")
    if content is not None:
        (tmp_path / "wrong.toml").write_text(content)
    done = run("train", "labels.jsonl", "-o", "m", option, "wrong.toml", cwd=tmp_path)
    [line] = done.stderr.splitlines()
    assert done.returncode == 1
    assert says in line


def test_without_an_output_nothing_is_trained(run: Run, tmp_path: Path) -> None:
    done = run("train", DATA, cwd=tmp_path)
    assert done.returncode == 2
    assert "--output" in done.stderr
    assert not list(tmp_path.iterdir())
