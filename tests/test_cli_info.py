"""``exoclass info`` in real processes: versions, and what a model says of itself."""

from __future__ import annotations

import json
import shutil
from importlib.metadata import version
from pathlib import Path

import pytest
from conftest import ROOT, Run

from exoclass import Classifier, __version__
from exoclass.taxonomy import Taxonomy


def test_people_see_versions_model_and_scores(run: Run, tiny_model: Path) -> None:
    done = run("info", tiny_model)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"exoclass {__version__}, Python ")
    assert f"numpy {version('numpy')}" in done.stdout
    assert f"in {tiny_model} (files as saved)" in done.stdout
    assert "cross-validation" in done.stdout


def test_json_tells_the_model_apart(run: Run, tiny_model: Path, taxonomy: Taxonomy) -> None:
    model = json.loads(run("info", tiny_model, "--json").stdout)["model"]
    clf = Classifier.from_pretrained(tiny_model)
    assert model["id"] == clf.id
    assert model["backend"] == "tfidf"
    assert model["labels"] == len(taxonomy.labels)
    assert model["taxonomy"] == taxonomy.fingerprint[:12]
    assert model["corpus"]["records"] == clf.metadata.corpus["records"]


@pytest.mark.parametrize("package", ["numpy", "scikit-learn", "torch", "transformers"])
def test_json_has_the_versions_of_what_is_installed(run: Run, tiny_model: Path, package: str) -> None:
    assert json.loads(run("info", tiny_model, "--json").stdout)["packages"][package] == version(package)


def test_the_shipped_model_is_the_default_in_any_folder(run: Run, tmp_path: Path) -> None:
    done = run("info", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert Path(json.loads(done.stdout)["model"]["folder"]) == ROOT / "models" / "tfidf"


def test_a_changed_model_is_refused(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    with (model / "README.md").open("a", encoding="utf-8") as card:
        card.write("Works for everything.\n")
    done = run("info", model)
    [line] = done.stderr.splitlines()
    assert done.returncode == 1
    assert "README.md is not the file that was saved with the model" in line
    assert done.stdout == ""


@pytest.mark.parametrize("name", ["nowhere", "../etc", ""])
def test_a_model_that_is_not_there_is_refused(run: Run, tmp_path: Path, name: str) -> None:
    done = run("info", name, cwd=tmp_path)
    [line] = done.stderr.splitlines()
    assert done.returncode == 1
    assert "model" in line
