"""What several commands share: their common options, progress and output."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from exoclass.errors import OutputError, UsageError
from exoclass.records import Deletion, Record, Reject

if TYPE_CHECKING:
    from exoclass.pubmed import EutilsSettings
    from exoclass.taxonomy import Taxonomy

Model = Annotated[
    str, typer.Option("--model", "-m", help="A model folder, or the name of a shipped model.", metavar="MODEL")
]
Data = Annotated[
    list[Path], typer.Argument(help="Labelled records as JSON Lines or CSV.", metavar="DATA...", show_default=False)
]
TaxonomyFile = Annotated[
    Path | None, typer.Option("--taxonomy", help="A taxonomy file instead of the shipped one.", metavar="FILE")
]
LibraryFile = Annotated[
    Path | None,
    typer.Option(
        "--library", help="The library. Default: EXOCLASS_LIBRARY, else a file in your data folder.", metavar="FILE"
    ),
]
Abstracts = Annotated[
    list[Path], typer.Argument(help="Abstracts in any format that predict reads.", metavar="FILES...")
]
Base = Annotated[
    str,
    typer.Option(
        "--base", help="The encoder to start from: a folder, or a name on the Hugging Face hub.", metavar="BASE"
    ),
]
EncoderFolder = Annotated[Path, typer.Option("--output", "-o", help="Folder for the new encoder.", metavar="FOLDER")]
Steps = Annotated[int, typer.Option("--steps", help="How many batches to learn from.", min=1)]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]
Force = Annotated[bool, typer.Option("--force", help="Replace existing output.")]


def load_taxonomy(path: Path | None) -> Taxonomy:
    """Return the taxonomy of a file, or the shipped one."""
    from exoclass.taxonomy import Taxonomy

    return Taxonomy.load(path)


def note(message: str) -> None:
    """Write one line for people to stderr."""
    typer.echo(message, err=True)


def note_over_bar(message: str) -> None:
    """Write one line for people to stderr while a progress bar stands there."""
    from tqdm import tqdm

    tqdm.write(message, file=sys.stderr)  # the bar makes room for it


def say(text: str) -> None:
    """Write text and a line end to stdout; a reader that stops early (``| head``) does not change the exit code."""
    try:
        typer.echo(text)
    except BrokenPipeError:
        mute()


def print_json(value: Any) -> None:  # noqa: ANN401 - anything JSON takes
    """Write indented JSON to stdout."""
    say(json.dumps(value, indent=2, ensure_ascii=False))


def ticks(unit: str, total: int | None = None) -> Iterable[None]:
    """Return a progress bar on stderr to be advanced once per item; silent when stderr is no terminal."""
    from tqdm import tqdm

    def forever() -> Iterator[None]:
        while True:
            yield None

    return tqdm(forever(), total=total, unit=f" {unit}", disable=None, file=sys.stderr, leave=False, mininterval=0.2)


def counter(what: str) -> Callable[[int, int], None]:
    """Return what takes "done" and "of how many" and moves a progress bar on stderr; silent when it is no terminal."""
    from tqdm import tqdm

    bar = tqdm(desc=what, unit=" records", disable=None, file=sys.stderr, leave=False, mininterval=0.2)

    def advance(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)
        if done == total:
            bar.close()

    return advance


@contextmanager
def output(path: Path | None, *, force: bool) -> Iterator[TextIO]:
    """Yield stdout, or a file that appears only when all is written.

    A reader that stops early (``| head``) ends the command quietly.
    """
    if path is not None and str(path) != "-":
        from exoclass.batch import atomic_output

        with atomic_output(path, force=force) as file:
            yield file
        return
    if not isinstance(sys.stdout, io.TextIOWrapper):  # it is None when the shell closed it
        raise OutputError("standard output is closed", "Leave it open, or name a file with -o.")
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # whatever the locale
    try:
        yield sys.stdout
        sys.stdout.flush()
    except BrokenPipeError:
        mute()
        raise typer.Exit(0) from None


def readable(items: Iterable[Record | Reject | Deletion]) -> Iterator[Record]:
    """Yield the records, and tell at the end how many items were rejected."""
    unread: list[Reject] = []
    for item in items:
        if isinstance(item, Reject):
            unread.append(item)
        elif isinstance(item, Record):
            yield item
    if unread:
        first = unread[0]
        note(f"{len(unread):,} records are left out, the first at {first.file}, {first.position}: {first.reason}")


def mute() -> None:
    """Send what is still to be written to stdout nowhere, because its reader is gone or its disk is full."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def eutils_settings() -> EutilsSettings:
    """Return how to talk to PubMed: as the environment says, else the public defaults."""
    from exoclass.pubmed import EutilsSettings

    url = os.environ.get("EXOCLASS_EUTILS_URL", "").strip() or EutilsSettings().base_url
    key = os.environ.get("NCBI_API_KEY", "").strip()
    return EutilsSettings(base_url=url, api_key=key, email=os.environ.get("NCBI_EMAIL", "").strip())


def library_path(path: Path | None) -> Path:
    """Return the file of the library: as given, as ``EXOCLASS_LIBRARY`` says, or in the user's folder of data."""
    if path is not None:
        return path
    named = os.environ.get("EXOCLASS_LIBRARY", "").strip()
    found = Path(named) if named else Path(typer.get_app_dir("exoclass")) / "library.db"
    try:
        found.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{found.parent} cannot be made: {error.strerror}", "Name a --library.") from error
    return found


def now() -> str:
    """Return the time as the library keeps it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def rejects_path(rejects: Path | None, out: Path | None, *, force: bool) -> Path:
    """Return where rejects go: as asked, else a free name beside the output or in the current folder."""
    if rejects is not None:
        if out is not None and rejects.absolute() == out.absolute():
            raise UsageError(f"--output and --rejects both name {out}", "Give each a file of its own.")
        return rejects
    first = Path("exoclass-rejects.jsonl") if out is None or str(out) == "-" else Path(f"{out}.rejects.jsonl")
    path, number = first, 2
    while path.exists() and not force:
        path, number = first.with_suffix(f".{number}.jsonl"), number + 1
    return path
