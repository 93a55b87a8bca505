"""Tagging whole files: streamed, nothing lost, written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self, TextIO

from exoclass.classifier import Classifier
from exoclass.errors import InputError, OutputError
from exoclass.records import Deletion, Prediction, Record, Reject
from exoclass.writers import View, Writer


@dataclass
class Tally:
    """What came in and what became of it; ``read == tagged + rejected`` when a run has ended."""

    read: int = 0
    tagged: int = 0
    rejected: int = 0
    deletions: int = 0
    flags: Counter[str] = field(default_factory=Counter)

    def line(self, rejects: Path | None) -> str:
        """Return the summary for people."""
        parts = [f"{self.read:,} records read, {self.tagged:,} tagged, {self.rejected:,} rejected"]
        if self.rejected and rejects:
            parts[0] += f" (see {rejects})"
        if self.flags:
            parts.append(", ".join(f"{count:,} {flag}" for flag, count in sorted(self.flags.items())))
        if self.deletions:
            parts.append(f"{self.deletions:,} PMIDs withdrawn by PubMed")
        return "; ".join(parts)


class RejectsFile:
    """A JSON Lines file that comes into being with the first reject.

    Parameters
    ----------
    path
        Where to write; None keeps nothing.
    replace
        Overwrite an existing file. Otherwise an existing one raises `OutputError` at the first reject.
    """

    def __init__(self, path: Path | None, *, replace: bool = False) -> None:
        self.path = path
        self.replace = replace
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        """Return the file itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file if it was opened."""
        if self._file:
            self._file.close()

    def write(self, reject: Reject) -> None:
        """Append one reject, opening the file if it is the first."""
        if self.path is None:
            return
        if self._file is None:
            try:
                self._file = self.path.open("w" if self.replace else "x", encoding="utf-8", errors="backslashreplace")
            except FileExistsError as error:
                raise OutputError(f"{self.path} exists already", "Use --force, or name another --rejects.") from error
            except OSError as error:
                raise OutputError(
                    f"{self.path} cannot be written: {error.strerror}", "Name another --rejects."
                ) from error
        self._file.write(json.dumps(asdict(reject), ensure_ascii=False) + "\n")
        self._file.flush()  # a reject is kept even if the run dies


def tag_all(
    items: Iterable[Record | Reject | Deletion],
    clf: Classifier,
    *,
    writer: Writer,
    out: TextIO,
    view: View,
    rejects: RejectsFile,
    batch_size: int = 64,
    threshold: float | None = None,
    explain: bool = True,
    strict: bool = False,
    progress: Iterable[None] | None = None,
) -> Tally:
    """Tag every record of a stream and account for every item.

    Parameters
    ----------
    items
        What `exoclass.readers.read` yields.
    writer, out, view
        Format, stream, and what to show.
    rejects
        Takes the items that could not be read.
    strict
        Raise at the first reject instead of going on.
    progress
        Advanced once per tagged record.

    Raises
    ------
    InputError
        If `strict` and an item was rejected, or if nothing but rejects came in.
    """
    tally = Tally()
    predictions = clf.predict(
        _records(items, tally, rejects, strict), batch_size=batch_size, threshold=threshold, explain=explain
    )
    writer(_counted(predictions, tally, progress), out, view, clf.taxonomy)
    if not tally.tagged and tally.rejected:
        where = f"; the reasons are in {rejects.path}" if rejects.path else ""
        raise InputError(f"none of {tally.rejected:,} records could be read{where}", "Check the file, or export again.")
    return tally


def _records(
    items: Iterable[Record | Reject | Deletion], tally: Tally, rejects: RejectsFile, strict: bool
) -> Iterator[Record]:
    for item in items:
        if isinstance(item, Deletion):
            tally.deletions += 1
            continue
        tally.read += 1
        if isinstance(item, Record):
            tally.flags.update(item.flags)
            yield item
            continue
        tally.rejected += 1
        rejects.write(item)
        if strict:
            raise InputError(f"{item.file}, {item.position}: {item.reason}", "Mend it, or leave out --strict.")


def _counted(predictions: Iterable[Prediction], tally: Tally, progress: Iterable[None] | None) -> Iterator[Prediction]:
    ticks = iter(progress) if progress is not None else None
    for prediction in predictions:
        tally.tagged += 1
        yield prediction
        if ticks:
            next(ticks, None)


def check_output(path: Path, *, force: bool = False) -> None:
    """Say at once, and not after a long run, that a file cannot be written.

    Raises
    ------
    OutputError
        If `path` exists and `force` is false, is no regular file, or has no folder to lie in.
    """
    if path.exists() and not force:
        raise OutputError(f"{path} exists already", "Choose another name, or use --force to replace it.")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path} is no regular file, so it is not replaced", "Name a file.")
    if not path.absolute().parent.is_dir():
        raise OutputError(f"{path} cannot be written: No such file or directory", "Choose another place.")


@contextmanager
def atomic_output(path: Path, *, force: bool = False) -> Iterator[TextIO]:
    """Yield a text stream whose content becomes `path` when the block ends without an error.

    Raises
    ------
    OutputError
        If `path` exists and `force` is false, or cannot be written.
    """
    check_output(path, force=force)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}", "Choose another place.") from error
    draft = Path(name)
    try:
        # file names that are not UTF-8 are written with escapes
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace", newline="") as out:
            yield out
        umask = os.umask(0)
        os.umask(umask)
        draft.chmod(0o666 & ~umask)  # mkstemp makes it private
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
