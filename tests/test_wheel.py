"""The wheel: it carries what exoclass needs, nothing else, and works far from any checkout."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ABSTRACT, ROOT, clean_environment

NBIB = f"PMID- 90000001\nTI  - Exosomes of stem cells speed wound healing\nAB  - {ABSTRACT}\n"


def succeed(*args: str | Path, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, *map(str, args)],
        cwd=cwd,
        env=clean_environment() | (env or {}),
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel with the build tools at hand, so without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    succeed("-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel, without its dependencies, into a folder of its own."""
    folder = tmp_path_factory.mktemp("installed")
    pip = ("-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    succeed(*pip, "--no-deps", "--no-index", "--no-compile", "--target", folder, wheel, cwd=folder)
    return folder


@pytest.mark.parametrize("name", ["configs/taxonomy.toml", "configs/tfidf.toml", "configs/prediction.schema.json"])
def test_the_wheel_carries_the_configuration_as_it_is(wheel: Path, name: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read(f"exoclass/shipped/{name}") == (ROOT / name).read_bytes()


def test_the_wheel_carries_all_models_whole(names: set[str]) -> None:
    models = ROOT / "models"
    files = {path.relative_to(models) for path in models.rglob("*") if path.is_file()}
    wanted = {f"exoclass/shipped/models/{path}" for path in files if path.parts[0] != "encoder"}
    assert wanted == {name for name in names if name.startswith("exoclass/shipped/models/")}


def test_the_wheel_carries_every_module(names: set[str]) -> None:
    package = ROOT / "exoclass"
    modules = {str(path.relative_to(ROOT)) for path in package.rglob("*.py")}
    assert modules <= names
    assert "exoclass/py.typed" in names


def test_the_wheel_carries_nothing_else(names: set[str]) -> None:
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"exoclass"}
    assert not [name for name in names if {"tests", "data", "__pycache__"} & set(name.split("/"))]


def test_the_wheel_is_no_larger_than_the_index_takes(wheel: Path) -> None:
    assert wheel.stat().st_size < 100_000_000


def test_an_installed_exoclass_tags_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "x.nbib").write_text(NBIB, encoding="utf-8")
    done = succeed(
        "-P", "-m", "exoclass", "predict", "x.nbib", cwd=tmp_path, env={"PYTHONPATH": str(installed)}
    )  # fmt: skip
    line = json.loads(done.stdout)
    assert line["pmid"] == "90000001"
    assert line["scope"]["id"] == "therapy"
    assert {path.name for path in tmp_path.iterdir()} == {"x.nbib"}


def test_what_runs_is_the_installed_package_with_its_own_files(installed: Path, tmp_path: Path) -> None:
    code = (
        "import exoclass; from exoclass.config import shipped; from exoclass.classifier import find_model\n"
        "print(exoclass.__file__, shipped('configs/taxonomy.toml'), find_model('tfidf'), sep='\\n')"
    )
    done = succeed("-P", "-c", code, cwd=tmp_path, env={"PYTHONPATH": str(installed)})
    paths = [Path(line) for line in done.stdout.splitlines()]
    assert len(paths) == 3
    assert all(path.is_relative_to(installed) for path in paths)


def test_an_installed_exoclass_shows_its_taxonomy_and_model(installed: Path, tmp_path: Path) -> None:
    env = {"PYTHONPATH": str(installed)}
    labels = succeed("-P", "-m", "exoclass", "labels", "--json", cwd=tmp_path, env=env)
    model = succeed("-P", "-m", "exoclass", "info", "--json", cwd=tmp_path, env=env)
    assert json.loads(labels.stdout)["fingerprint"].startswith(json.loads(model.stdout)["model"]["taxonomy"])
