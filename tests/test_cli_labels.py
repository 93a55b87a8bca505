"""``exoclass labels`` in real processes: the taxonomy for people and programs, and a check of one's own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from conftest import ROOT, Run

from exoclass.taxonomy import Taxonomy

SHIPPED = ROOT / "configs" / "taxonomy.toml"


def test_every_label_is_shown_with_its_rules(run: Run, taxonomy: Taxonomy) -> None:
    done = run("labels")
    assert (done.returncode, done.stderr) == (0, "")
    for label in taxonomy.labels:
        assert f"  {label.id}  ({label.name})\n      {label.definition}\n" in done.stdout
        assert all(f"      + {rule}\n" in done.stdout for rule in label.include)
        assert all(f"      - {rule}\n" in done.stdout for rule in label.exclude)


def test_each_axis_begins_with_its_question(run: Run, taxonomy: Taxonomy) -> None:
    heads = re.findall(r"^(\w+): (.*)$", run("labels").stdout, flags=re.MULTILINE)
    assert heads == [(axis.id, axis.question) for axis in taxonomy.axes]


@pytest.mark.parametrize("axis", ["scope", "disease", "mechanism"])
def test_one_axis_shows_its_labels_only(run: Run, taxonomy: Taxonomy, axis: str) -> None:
    ids = re.findall(r"^  (\w+)  \(", run("labels", "--axis", axis).stdout, flags=re.MULTILINE)
    assert ids == [label.id for label in taxonomy.labels if label.axis == axis]


def test_json_is_the_whole_taxonomy(run: Run, taxonomy: Taxonomy) -> None:
    found = json.loads(run("labels", "--json").stdout)
    assert found == json.loads(json.dumps(taxonomy.to_dict() | {"fingerprint": taxonomy.fingerprint}))


def test_json_of_one_axis(run: Run, taxonomy: Taxonomy) -> None:
    found = json.loads(run("labels", "--json", "--axis", "mechanism").stdout)
    assert list(found["axes"]) == ["mechanism"]
    assert [label["id"] for label in found["labels"]] == [taxonomy.ids[c] for c in taxonomy.columns("mechanism")]


def test_an_unknown_axis_is_a_usage_error(run: Run) -> None:
    done = run("labels", "--axis", "organ")
    assert done.returncode == 2
    assert done.stderr == "exoclass: there is no axis 'organ'. Choose from scope, disease, mechanism.\n"


def test_a_taxonomy_of_ones_own_is_shown(run: Run, tmp_path: Path) -> None:
    text = SHIPPED.read_text(encoding="utf-8").replace('name = "EVs as therapy"', 'name = "Vesicles given"')
    (tmp_path / "own.toml").write_text(text, encoding="utf-8")
    assert "therapy  (Vesicles given)" in run("labels", "--taxonomy", "own.toml", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('id = "liver"', 'id = "Liver!"', "own.toml: label 'Liver!': an id is lower-case words"),
        ('id = "liver"', 'id = "eye"', "own.toml: label 'eye' occurs twice"),
        (
            'id = "liver"\naxis = "disease"',
            'id = "liver"\naxis = "organ"',
            "own.toml: label 'liver': unknown axis 'organ'",
        ),
        ("schema = 1", "schema = 9", "own.toml: schema is 9, not 1"),
        ("schema = 1", "schema = ", "own.toml is not valid TOML"),
    ],
)
def test_a_fault_in_a_taxonomy_is_named(run: Run, tmp_path: Path, old: str, new: str, says: str) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "own.toml").write_text(text.replace(old, new, 1), encoding="utf-8")
    done = run("labels", "--taxonomy", "own.toml", cwd=tmp_path)
    [line] = done.stderr.splitlines()
    assert done.returncode == 1
    assert says in line
    assert done.stdout == ""


def test_a_missing_taxonomy_is_refused(run: Run, tmp_path: Path) -> None:
    done = run("labels", "--taxonomy", "nowhere.toml", cwd=tmp_path)
    [line] = done.stderr.splitlines()
    assert done.returncode == 1
    assert "nowhere.toml cannot be read" in line
