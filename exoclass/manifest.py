"""Model folders on disk: written whole or not at all, and checked file by file when read."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exoclass.errors import ModelError, OutputError, TamperedModelError

MANIFEST = "manifest.json"


def check_target(target: Path, *, force: bool) -> None:
    """Refuse to write a model to where something else is.

    Raises
    ------
    OutputError
        If `target` exists and `force` is false, or if it is neither a model nor an empty folder.
    """
    if not target.exists():
        return
    if not force:
        raise OutputError(f"{target} exists already", "Choose another folder, or use --force to replace it.")
    empty = target.is_dir() and not any(target.iterdir())
    if not empty and not (target / MANIFEST).is_file():  # --force is to replace a model, never a home folder
        raise OutputError(f"{target} is no model, so it is not replaced", "Choose another folder.")


@contextmanager
def new_folder(target: Path, *, force: bool = False) -> Iterator[Path]:
    """Yield a temporary folder that becomes `target` when the block ends without an error.

    The manifest is written last. An interrupted or failed block leaves `target` as it was.

    Raises
    ------
    OutputError
        As `check_target`, or if `target` cannot be written.
    """
    check_target(target, force=force)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {error.strerror}", "Choose another folder.") from error
    try:
        draft.chmod(0o755)  # mkdtemp makes it private, but a model is to be shared
        yield draft
        _write_manifest(draft)
        _swap(draft, target)
    except OSError as error:
        raise OutputError(
            f"{target} cannot be written: {error}", "Free some space, or choose another folder."
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def verify(folder: Path) -> str:
    """Check every file of a model folder against its manifest and return the sha256 of the manifest.

    Raises
    ------
    ModelError
        If the folder or its manifest is missing or unreadable.
    TamperedModelError
        Names the first file that is missing, changed or not in the manifest.
    """
    if not folder.is_dir():
        raise ModelError(f"there is no model folder {folder}", "Name a folder that `exoclass train` wrote.")
    try:
        content = (folder / MANIFEST).read_bytes()
        listed = json.loads(content)["files"]
        entries = {str(name): str(digest) for name, digest in listed.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"{folder} has no readable {MANIFEST}", "It is no exoclass model; name another one."
        ) from error
    remedy = "Do not use it: download or train it again."
    for name, digest in entries.items():
        path = folder / name
        if Path(name).name != name or not path.is_file():
            raise TamperedModelError(f"{folder}: {name} is in the manifest but not in the folder", remedy)
        if sha256(path) != digest:
            raise TamperedModelError(f"{folder}: {name} is not the file that was saved with the model", remedy)
    for path in sorted(folder.iterdir()):
        if path.name not in entries and path.name != MANIFEST:
            raise TamperedModelError(f"{folder}: {path.name} is not in the manifest", remedy)
    return hashlib.sha256(content).hexdigest()


def _write_manifest(folder: Path) -> None:
    files = {path.name: sha256(path) for path in sorted(folder.iterdir())}
    (folder / MANIFEST).write_text(json.dumps({"files": files}, indent=1) + "\n", encoding="utf-8")


def _swap(draft: Path, target: Path) -> None:
    if not target.exists():
        draft.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
    target.replace(old)  # a folder may replace an empty one
    draft.rename(target)
    shutil.rmtree(old)


def sha256(path: Path) -> str:
    """Return the digest of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
