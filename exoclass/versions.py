"""A family of model versions: numbered folders that are never overwritten, and a pointer to the one that is used.

::

    my-models/
        champion.json       which version is used, and which were before it
        v1/  v2/  …         ordinary model folders
        v2.labels.jsonl     the new labels that v2 has learnt from beside its base set
        regression.jsonl    cases that once went wrong, if somebody put them there
        unfinished/         checkpoints of a retraining that was stopped, taken up by the next one
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from exoclass.errors import ModelError, OutputError
from exoclass.manifest import MANIFEST, verify

POINTER = "champion.json"
_LOCK = ".lock"
_VERSION = re.compile(r"v([1-9][0-9]{0,5})")


@dataclass(frozen=True, slots=True)
class Champion:
    """The version that is used, and those that were used before it, the last one first.

    `highest` is the highest number a version had when some were deleted: it is not given again.
    """

    number: int
    before: tuple[int, ...] = ()
    highest: int = 0


@dataclass(frozen=True, slots=True)
class Family:
    """The versions of one model in one folder.

    Raises
    ------
    ModelError
        By every method, if the folder or its pointer cannot be read, or names a version that is not there.
    OutputError
        By every method that writes, if that fails.
    """

    folder: Path

    @property
    def begun(self) -> bool:
        """Whether there is a champion; a run that was killed early can leave a version without one."""
        return (self.folder / POINTER).exists()

    def versions(self) -> tuple[int, ...]:
        """Return the numbers of all versions in rising order."""
        if not self.folder.is_dir():
            return ()
        found = (_VERSION.fullmatch(path.name) for path in self.folder.iterdir() if path.is_dir())
        return tuple(sorted(int(match[1]) for match in found if match))

    def path(self, number: int) -> Path:
        """Return the model folder of a version, whether it is there or not."""
        return self.folder / f"v{number}"

    def labels(self, number: int) -> Path:
        """Return the file of the new labels of a version, whether it is there or not."""
        return self.folder / f"v{number}.labels.jsonl"

    @property
    def unfinished(self) -> Path:
        """The folder for checkpoints of a retraining that takes long, whether it is there or not."""
        return self.folder / "unfinished"

    @property
    def regression(self) -> Path | None:
        """The file of cases that once went wrong, if there is one."""
        path = self.folder / "regression.jsonl"
        return path if path.is_file() else None

    def next_number(self) -> int:
        """Return a number that no version has, nor had as far as is known."""
        champion = self.champion() if self.begun else Champion(0)
        return max(*self.versions(), champion.number, *champion.before, champion.highest, 0) + 1

    def champion(self) -> Champion:
        """Return the version that is used."""
        path = self.folder / POINTER
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            before = tuple(int(number) for number in content["before"])
            found = Champion(int(content["champion"]), before, int(content.get("highest", 0)))
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ModelError(
                f"{self.folder} has no readable {POINTER}", "Choose one with `exoclass models promote`."
            ) from error
        if not self.path(found.number).is_dir():
            raise ModelError(
                f"{path} names version {found.number}, which is not there", "Choose one with `exoclass models promote`."
            )
        return found

    def promote(self, number: int) -> Champion:
        """Make a version the one that is used; the change is atomic."""
        self.check(number)
        verify(self.path(number))
        if not self.begun:
            return self._point(Champion(number))
        try:
            now = self.champion()
        except ModelError:
            now = Champion(number, highest=self.versions()[-1])  # a broken pointer is what promoting mends
        if now.number == number:
            return self._point(now)
        before = (now.number, *(one for one in now.before if one != number))
        return self._point(replace(now, number=number, before=before))

    def rollback(self) -> Champion:
        """Go back to the version that was used before."""
        now = self.champion()
        there = [number for number in now.before if self.path(number).is_dir()]
        if not there:
            raise ModelError(f"{self.folder} has no version before v{now.number}", "There is nothing to go back to.")
        verify(self.path(there[0]))
        return self._point(replace(now, number=there[0], before=tuple(there[1:])))

    def prune(self, keep: int) -> tuple[int, ...]:
        """Delete all but the newest `keep` versions, the champion and the one before it; return the deleted ones."""
        now = self.champion()
        spared = {now.number, *now.before[:1], *self.versions()[-keep:]} if keep else {now.number, *now.before[:1]}
        gone = tuple(number for number in self.versions() if number not in spared)
        if gone:
            self._point(replace(now, highest=self.next_number() - 1))
        try:
            for number in gone:
                trash = self.path(number).rename(self.folder / f".v{number}-pruned")  # at once: never half a version
                shutil.rmtree(trash)
                self.labels(number).unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{self.folder} cannot be tidied: {error}", "The champion is as it was.") from error
        return gone

    @contextmanager
    def lock(self, *, create: bool = False) -> Iterator[None]:
        """Keep every other process from changing the family meanwhile; the lock goes with the process that holds it.

        Parameters
        ----------
        create
            Make the folder if there is none.

        Raises
        ------
        ModelError
            If another process holds it, and says which; if the folder is missing, or is a model and no family.
        """
        if (self.folder / MANIFEST).exists():  # a lock or a version in it would make it a damaged model
            raise ModelError(f"{self.folder} is a model, not a folder of versions", "Name another folder.")
        if not create and not self.folder.is_dir():
            raise ModelError(f"there is no folder of versions {self.folder}", "`exoclass retrain` begins one.")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = (self.folder / _LOCK).open("a+", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{self.folder} cannot be written: {error.strerror}", "Choose another folder.") from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                raise ModelError(
                    f"{self.folder} is being changed by process {holder}", "Wait until that one has finished."
                ) from error
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            self._sweep()
            yield

    def _sweep(self) -> None:
        """Remove what interrupted runs left: drafts that never became a version, and labels without one."""
        for path in (*self.folder.glob(".v*-*"), *self.folder.glob(f".{POINTER}-*")):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        for path in self.folder.glob("v*.labels.jsonl"):
            if not (self.folder / path.name.removesuffix(".labels.jsonl")).is_dir():
                path.unlink(missing_ok=True)

    def check(self, number: int) -> None:
        """Raise `ModelError` if there is no such version."""
        if number not in self.versions():
            there = ", ".join(f"v{one}" for one in self.versions()) or "none"
            raise ModelError(f"{self.folder} has no version v{number}", f"Its versions are: {there}.")

    def _point(self, champion: Champion) -> Champion:
        told = {"champion": champion.number, "before": champion.before, "highest": champion.highest}
        content = json.dumps(told) + "\n"
        try:
            handle, name = tempfile.mkstemp(prefix=f".{POINTER}-", dir=self.folder)
            with os.fdopen(handle, "w", encoding="utf-8") as draft:
                draft.write(content)
                draft.flush()
                os.fsync(draft.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(self.folder / POINTER)
        except OSError as error:
            raise OutputError(
                f"{self.folder} cannot be written: {error.strerror}", "The champion is as it was."
            ) from error
        return champion


def version_number(text: str) -> int:
    """Read ``3`` or ``v3``; raises `ModelError` if it is neither."""
    match = _VERSION.fullmatch(text if text.startswith("v") else f"v{text}")
    if match is None:
        raise ModelError(f"{text!r} is no version", "Write a number such as 3 or v3.")
    return int(match[1])


def resolve(folder: Path) -> Path:
    """Return the folder of the model that a path stands for: the champion of a family, else the folder itself."""
    return Family(folder).path(Family(folder).champion().number) if (folder / POINTER).is_file() else folder
