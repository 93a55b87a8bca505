"""Versions of a model on a real disk: never overwritten, the champion changed as a whole, one process at a time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Run, clean_environment

from exoclass.classifier import Classifier
from exoclass.errors import ModelError, TamperedModelError
from exoclass.versions import Champion, Family, resolve, version_number


@pytest.fixture
def family(tiny_model: Path, tmp_path: Path) -> Family:
    """Return a family of three versions, the first of them champion."""
    found = Family(tmp_path / "mine")
    for number in (1, 2, 3):
        shutil.copytree(tiny_model, found.path(number))
    found.promote(1)
    return found


def test_promote_and_go_back(family: Family) -> None:
    assert family.promote(2) == Champion(2, (1,))
    assert family.promote(3) == Champion(3, (2, 1))
    assert family.rollback() == Champion(2, (1,))
    assert family.rollback() == Champion(1, ())
    with pytest.raises(ModelError, match="has no version before v1"):
        family.rollback()
    assert family.promote(1) == Champion(1, ())


def test_a_family_stands_for_its_champion(family: Family) -> None:
    family.promote(2)
    assert resolve(family.folder) == family.path(2)
    assert resolve(family.path(3)) == family.path(3)
    assert Classifier.from_pretrained(family.folder).digest == Classifier.from_pretrained(family.path(2)).digest


def test_numbers_are_never_given_twice(family: Family) -> None:
    family.promote(3)
    family.promote(1)
    shutil.rmtree(family.path(3))
    assert family.next_number() == 4  # v3 was champion once
    shutil.copytree(family.path(1), family.path(4))
    family.prune(0)
    family.promote(1)
    assert family.next_number() == 5  # v4 never was, and is gone
    assert Family(family.folder / "new").next_number() == 1


@pytest.mark.parametrize(("keep", "left"), [(0, (1, 2)), (1, (1, 2, 5)), (9, (1, 2, 3, 4, 5))])
def test_prune_spares_the_champion_and_the_one_before(
    family: Family, tiny_model: Path, keep: int, left: tuple[int, ...]
) -> None:
    for number in (4, 5):
        shutil.copytree(tiny_model, family.path(number))
    family.promote(2)
    family.labels(3).touch()
    family.prune(keep)
    assert family.versions() == left
    assert family.labels(3).exists() == (3 in left)


def test_a_damaged_version_is_not_promoted(family: Family) -> None:
    (family.path(2) / "vocabulary.json").write_text("{}", encoding="utf-8")
    with pytest.raises(TamperedModelError):
        family.promote(2)
    assert family.champion() == Champion(1)


@pytest.mark.parametrize("content", ["", "{}", '{"champion": 9, "before": []}', "[1]"])
def test_a_broken_pointer_is_said_and_mended_by_promoting(family: Family, content: str) -> None:
    (family.folder / "champion.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match="Choose one with `exoclass models promote`"):
        Classifier.from_pretrained(family.folder)
    assert family.promote(2) == Champion(2, (), highest=3)


def test_two_processes_do_not_change_a_family_at_once(family: Family) -> None:
    code = "import sys; from pathlib import Path; from exoclass.versions import Family\n"
    code += "with Family(Path(sys.argv[1])).lock(): print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(family.folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env=clean_environment(), encoding="utf-8",
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ModelError, match=f"is being changed by process {other.pid}"), family.lock():
            pass
        other.kill()
    with family.lock():  # a lock goes with its process
        assert (family.folder / ".lock").read_text(encoding="utf-8") == str(os.getpid())


def test_leftovers_of_an_interrupted_run_are_swept(family: Family) -> None:
    (family.folder / ".v4-abc").mkdir()
    for name in (".v4.labels.jsonl-x", ".champion.json-x", "v4.labels.jsonl", "v3.labels.jsonl", "regression.jsonl"):
        (family.folder / name).touch()
    with family.lock():
        left = {path.name for path in family.folder.iterdir() if path.is_file()}
    assert left == {".lock", "champion.json", "v3.labels.jsonl", "regression.jsonl"}
    assert not (family.folder / ".v4-abc").exists()
    assert family.versions() == (1, 2, 3)


def test_only_retraining_begins_a_family(tmp_path: Path) -> None:
    folder = tmp_path / "typo"
    with pytest.raises(ModelError, match="there is no folder of versions"), Family(folder).lock():
        pass
    assert not folder.exists()
    with Family(folder).lock(create=True):
        assert folder.is_dir()


def test_a_model_is_no_family(tiny_model: Path) -> None:
    before = sorted(tiny_model.iterdir())
    with pytest.raises(ModelError, match="is a model, not a folder of versions"), Family(tiny_model).lock(create=True):
        pass
    assert sorted(tiny_model.iterdir()) == before


def test_a_damaged_version_does_not_hide_the_others(run: Run, family: Family) -> None:
    (family.path(2) / "vocabulary.json").write_text("{}", encoding="utf-8")
    done = run("models", "list", family.folder)
    assert done.returncode == 0
    assert [line.split()[:2] for line in done.stdout.splitlines()[:2]] == [["v1", "champion"], ["v2", "damaged"]]
    assert len(done.stdout.splitlines()) == 3
    assert "vocabulary.json" in done.stderr


@pytest.mark.parametrize(("text", "number"), [("3", 3), ("v12", 12)])
def test_a_version_is_read(text: str, number: int) -> None:
    assert version_number(text) == number


@pytest.mark.parametrize("text", ["", "v0", "three", "-1", "v1.0"])
def test_what_is_no_version_is_said(text: str) -> None:
    with pytest.raises(ModelError, match="is no version"):
        version_number(text)


def test_the_commands(run: Run, family: Family) -> None:
    folder = family.folder
    assert run("models", "promote", folder, "v2").stderr == f"v2 is the champion of {folder} now\n"
    listed = run("models", "list", folder)
    assert [line.split()[:2] for line in listed.stdout.splitlines()][1] == ["v2", "champion"]
    assert [one["champion"] for one in json.loads(run("models", "list", folder, "--json").stdout)] == [
        False,
        True,
        False,
    ]
    assert run("models", "diff", folder, "v1", "v2").stdout.startswith("records  84 to 84\n")
    assert run("models", "rollback", folder).stderr == f"v1 is the champion of {folder} again\n"
    assert run("models", "prune", folder, "--keep", "0").stderr == "deleted v2, v3\n"
    gone = run("models", "promote", folder, "v2")
    assert gone.returncode == 1
    assert "has no version v2. Its versions are: v1." in gone.stderr
