"""Model folders are written whole or not at all, and every change to one is noticed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import clean_environment

from exoclass.errors import ModelError, OutputError, TamperedModelError
from exoclass.manifest import MANIFEST, check_target, new_folder, verify

FILES = {"a.json": b"{}", "b.npz": b"\x00\x01", "README.md": b"# Card\n"}


def write(target: Path, files: dict[str, bytes] = FILES, *, force: bool = False) -> Path:
    with new_folder(target, force=force) as draft:
        for name, content in files.items():
            (draft / name).write_bytes(content)
    return target


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(tmp_path / "model")


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MANIFEST}


def test_a_folder_holds_its_files_and_a_sha256_of_each(model: Path) -> None:
    assert content(model) == FILES
    listed = json.loads((model / MANIFEST).read_text(encoding="utf-8"))["files"]
    assert listed == {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}


def test_verifying_returns_the_sha256_of_the_manifest(model: Path) -> None:
    assert verify(model) == hashlib.sha256((model / MANIFEST).read_bytes()).hexdigest()


def test_the_same_files_have_the_same_digest(model: Path, tmp_path: Path) -> None:
    assert verify(write(tmp_path / "twin", dict(reversed(FILES.items())))) == verify(model)


def test_other_files_have_another_digest(model: Path, tmp_path: Path) -> None:
    assert verify(write(tmp_path / "other", FILES | {"a.json": b"[]"})) != verify(model)


def test_missing_parent_folders_are_made(tmp_path: Path) -> None:
    assert verify(write(tmp_path / "deep" / "down" / "model"))


def test_others_may_read_the_folder(model: Path) -> None:
    assert model.stat().st_mode & 0o055 == 0o055


def test_nothing_else_is_left_beside_the_folder(model: Path) -> None:
    write(model, {"c": b"new"}, force=True)
    assert [path.name for path in model.parent.iterdir()] == ["model"]


def test_an_existing_folder_is_not_overwritten(model: Path) -> None:
    with pytest.raises(OutputError, match=r"model exists already.*--force"):
        write(model, {"c": b"new"})
    assert content(model) == FILES


def test_force_replaces_a_model_whole(model: Path) -> None:
    write(model, {"c": b"new"}, force=True)
    assert content(model) == {"c": b"new"}
    verify(model)


def test_force_replaces_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    verify(write(tmp_path / "model", force=True))


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_force_replaces_nothing_but_a_model(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "thesis"
    precious = target / "chapter.txt" if kind == "folder" else target
    precious.parent.mkdir(exist_ok=True)
    precious.write_text("years of work", encoding="utf-8")
    with pytest.raises(OutputError, match="is no model, so it is not replaced"):
        write(target, force=True)
    assert precious.read_text(encoding="utf-8") == "years of work"
    assert [path.name for path in tmp_path.iterdir()] == ["thesis"]


def test_a_free_place_is_fit_to_write_to(tmp_path: Path) -> None:
    check_target(tmp_path / "free", force=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_the_old_folder(model: Path, error: type[BaseException]) -> None:
    def interrupted() -> None:
        with new_folder(model, force=True) as draft:
            (draft / "half").write_bytes(b"written")
            raise error

    with pytest.raises(error):
        interrupted()
    assert content(model) == FILES
    verify(model)
    assert [path.name for path in model.parent.iterdir()] == ["model"]


def test_a_killed_process_leaves_the_old_folder(model: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from exoclass.manifest import new_folder\n"
        "with new_folder(Path(sys.argv[1]), force=True) as draft:\n"
        "    (draft / 'half').write_bytes(b'written')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(model)], env=clean_environment(), check=False)
    assert done.returncode == -9
    assert content(model) == FILES
    verify(model)


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def failing() -> None:
        with new_folder(tmp_path / "model") as draft:
            (draft / "a").write_bytes(b"1")
            (draft / "no" / "such" / "folder").write_bytes(b"2")

    with pytest.raises(OutputError, match=r"model cannot be written"):
        failing()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written"):
        write(tmp_path / "file" / "model")


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_named(model: Path, name: str) -> None:
    (model / name).write_bytes((model / name).read_bytes() + b" ")
    with pytest.raises(TamperedModelError, match=f"{name} is not the file that was saved"):
        verify(model)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(model: Path, name: str) -> None:
    (model / name).unlink()
    with pytest.raises(TamperedModelError, match=f"{name} is in the manifest but not in the folder"):
        verify(model)


@pytest.mark.parametrize("name", ["extra.pkl", ".hidden", "zz"])
def test_an_extra_file_is_named(model: Path, name: str) -> None:
    (model / name).write_bytes(b"")
    with pytest.raises(TamperedModelError, match=rf"{name} is not in the manifest"):
        verify(model)


def test_an_extra_folder_is_named(model: Path) -> None:
    (model / "folder").mkdir()
    with pytest.raises(TamperedModelError, match="folder is not in the manifest"):
        verify(model)


@pytest.mark.parametrize("name", ["../secret", "sub/secret", "/etc/hostname", "..", ".", "", "./a.json"])
def test_a_manifest_cannot_point_outside_its_folder(model: Path, name: str) -> None:
    (model.parent / "secret").write_bytes(b"secret")
    (model / "sub").mkdir()
    (model / "sub" / "secret").write_bytes(b"secret")
    manifest = json.loads((model / MANIFEST).read_text(encoding="utf-8"))
    place = Path(os.path.normpath(model / name))
    manifest["files"][name] = hashlib.sha256(place.read_bytes()).hexdigest() if place.is_file() else "0"
    (model / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(TamperedModelError, match="is in the manifest but not in the folder"):
        verify(model)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"files": []}', '{"files": 5}', "null", "[" * 100_000, "\udcff"]
)
def test_a_manifest_that_cannot_be_read_is_refused(model: Path, text: str) -> None:
    (model / MANIFEST).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ModelError, match=rf"model has no readable {MANIFEST}"):
        verify(model)


def test_a_folder_without_a_manifest_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no readable manifest"):
        verify(tmp_path)


@pytest.mark.parametrize("kind", ["nothing", "file"])
def test_what_is_no_folder_is_no_model(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model"
    if kind == "file":
        path.write_bytes(b"")
    with pytest.raises(ModelError, match=r"there is no model folder .*exoclass train"):
        verify(path)
