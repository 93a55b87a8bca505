"""``exoclass triage``: what is new, tagged, ranked, and nothing twice."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from exoclass.cli.options import (
    Force,
    LibraryFile,
    Model,
    counter,
    eutils_settings,
    library_path,
    note,
    note_over_bar,
    now,
    output,
    print_json,
    rejects_path,
)
from exoclass.cli.query import DEFAULT_QUERY
from exoclass.errors import UsageError

if TYPE_CHECKING:
    from exoclass.batch import RejectsFile
    from exoclass.classifier import Classifier
    from exoclass.harvest import Harvested
    from exoclass.library import Library
    from exoclass.triage import Digest, Sort

_OWN = "default"
"""Name under which the query is saved that is asked when there is none."""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("triage")(triage_cli)


@dataclass(frozen=True, slots=True)
class Outputs:
    """Files to write beside what goes to the terminal."""

    html: Path | None = None
    csv: Path | None = None
    ris: Path | None = None
    force: bool = False

    def given(self) -> list[Path]:
        """Return the files that were asked for."""
        return [path for path in (self.html, self.csv, self.ris) if path is not None]


@dataclass
class Source:
    """Where new records come from: PubMed by queries, or files."""

    queries: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    since: str = "last"


def triage_cli(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Exports to add instead of asking PubMed; - is standard input.", metavar="[FILES]..."),
    ] = None,
    query: Annotated[
        list[str] | None,
        typer.Option(help="A query for PubMed, or the name of a saved one; may be repeated.", metavar="QUERY"),
    ] = None,
    since: Annotated[
        str, typer.Option(help="last, a number of days such as 7d, or a date: what PubMed added from then on.")
    ] = "last",
    want: Annotated[
        list[str] | None,
        typer.Option(help="Show only papers with this label, as axis:label; may be repeated.", metavar="TAG"),
    ] = None,
    sort: Annotated[
        Literal["relevance", "uncertainty", "newest"], typer.Option(help="What comes first.")
    ] = "relevance",
    top: Annotated[int | None, typer.Option(min=1, help="Show so many; the others wait for the next time.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Show all that is not decided yet, not only what is new.")
    ] = False,
    html: Annotated[Path | None, typer.Option(help="A page to read and to print.", metavar="FILE")] = None,
    csv: Annotated[Path | None, typer.Option(help="A table of what is shown.", metavar="FILE")] = None,
    ris: Annotated[Path | None, typer.Option(help="What is shown, for Zotero and EndNote.", metavar="FILE")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")] = False,
    library: LibraryFile = None,
    model: Model = "tfidf",
    rejects: Annotated[
        Path | None, typer.Option(help="Where unreadable records go. Default: exoclass-rejects.jsonl.")
    ] = None,
    force: Force = False,
) -> None:
    """Fetch what PubMed added since last time, tag it, and show what you have not seen yet, the likeliest first.

    \b
    Everything is kept in a library, one file on this computer. What was shown is not shown again unless it was revised,
    retracted or withdrawn since. With files or standard input nothing is fetched. Wants on one axis widen, wants on
    two axes narrow. Set NCBI_API_KEY for 10 requests a second, NCBI_EMAIL to tell NCBI who asks, and
    EXOCLASS_EUTILS_URL to ask a mirror.

    \b
    exoclass triage --html monday.html
    exoclass triage --query '(exosome*[tiab]) AND osteo*[tiab]' --since 30d
    exoclass triage --want mechanism:angiogenesis --want disease:cardiovascular --top 20
    exoclass triage export.nbib embase.ris
    """
    if files and (query or since != "last"):
        raise UsageError("files hold what they hold", "Leave out --query and --since, or the files.")
    if any(not text.strip() for text in query or ()):
        raise UsageError("the query is empty", "Name a saved one, or write one as for PubMed.")
    outputs = Outputs(html, csv, ris, force)
    digest = triage(
        source=Source(query or [], files or [], since), wants=want or [], sort=sort, top=top, everything=everything,
        outputs=outputs, as_json=as_json, library=library_path(library), model=model, rejects=rejects, today=_today(),
    )  # fmt: skip
    _tell(digest, outputs)


def triage(
    *, source: Source, wants: list[str], sort: Sort, top: int | None, everything: bool, outputs: Outputs, as_json: bool,
    library: Path, model: str, rejects: Path | None, today: date,
) -> Digest:  # fmt: skip
    """Take in, tag, write what is asked for, note it as shown, and return it."""
    from exoclass import triage as work
    from exoclass.batch import RejectsFile, check_output
    from exoclass.classifier import Classifier
    from exoclass.deciding import remaining
    from exoclass.library import Library
    from exoclass.wanting import Want

    begins = _begins(source.since, today)
    for path in outputs.given():
        check_output(path, force=outputs.force)  # said now, not after minutes of fetching
    clf = Classifier.from_pretrained(model)
    wanted = [Want.parse(text, clf.taxonomy) for text in wants]
    first = not library.exists()
    with Library.open(library) as opened:
        if first:
            note(f"A new library begins at {library}: what is fetched, shown and decided is kept there.")
        kept = rejects_path(rejects, None, force=False)
        with RejectsFile(kept, replace=rejects is None) as rejected:
            if source.files:
                asked = _read_files(opened, source.files, rejected)
            else:
                asked = _ask(opened, source, begins, today, rejected)
        bar = counter("tagging")
        work.tag_missing(opened, clf, when=now(), progress=bar)
        queue = work.queue(opened, clf, wants=wanted, sort=sort, top=top, everything=everything)
        left = remaining(opened, clf.id, clf.taxonomy)
        digest = work.Digest(queue, now(), clf.id, tuple(asked), left if left.read else None)
        _write(digest, clf, outputs, as_json)
        opened.mark_shown(item.entry for item in (*queue.items, *queue.changed))
    return digest


def _read_files(library: Library, files: list[Path], rejected: RejectsFile) -> list[str]:
    from exoclass.readers import drop_duplicates, read
    from exoclass.triage import take_in

    if Path("-") in files and sys.stdin is None:
        raise UsageError("standard input is closed", "Name a file: exoclass triage new.nbib")
    intake = take_in(library, drop_duplicates(read(files)), when=now(), reject=rejected.write)
    counts = [
        (intake.count("new"), "new"),
        (intake.count("revised", "retracted"), "revised or retracted"),
        (intake.count("known", "duplicate"), "known already"),
        (len(intake.deleted), "withdrawn by PubMed"),
        (intake.rejected, f"rejected (see {rejected.path})"),
    ]
    note(f"{', '.join(map(str, files))}: {', '.join(f'{n:,} {name}' for n, name in counts if n) or 'no record'}")
    return [str(file) for file in files]


def _ask(library: Library, source: Source, begins: date | None, today: date, rejected: RejectsFile) -> list[str]:
    """Ask PubMed each query and return the queries."""
    from exoclass.harvest import harvest, since_last

    saved = {query.name: query.text for query in library.queries.list()}
    if not source.queries and not saved:
        note(f"No query is saved, so this one is asked: {DEFAULT_QUERY}")
        note("`exoclass query add NAME QUERY` saves one of your own.")
    names = source.queries or list(saved) or [_OWN]
    for name in names:
        if name not in saved:  # the text itself names a query that was not saved under a name
            saved[name] = DEFAULT_QUERY if name == _OWN else name
            library.queries.save(name, saved[name], when=now())
    for name in names:
        first = begins or since_last(library, name, today=today)
        bar = counter(f"fetching {name}")
        found = harvest(
            library, name, first, today, settings=eutils_settings(), now=lambda: datetime.now(UTC),
            notice=note_over_bar, progress=bar,
        )  # fmt: skip
        for reject in found.rejects:
            rejected.write(reject)
        where = f", {len(found.rejects):,} not readable (see {rejected.path})" if found.rejects else ""
        note(f"{name}, {first} to {today}: {_harvested(found)}{where}")
    return [saved[name] for name in names]


def _harvested(found: Harvested) -> str:
    parts = [f"PubMed has {found.found:,}, {len(found.new):,} of them new"]
    if changed := len(found.revised) + len(found.retracted) + len(found.deleted):
        parts.append(f"{changed:,} revised, retracted or withdrawn")
    if found.unknown:
        parts.append(f"which does not know {', '.join(found.unknown)}")
    return ", ".join(parts)


def _begins(since: str, today: date) -> date | None:
    """Return the day from which to ask; None for "since last time"."""
    if since == "last":
        return None
    if since.endswith("d") and since[:-1].isdigit():
        return today - timedelta(days=int(since[:-1]))
    try:
        day = date.fromisoformat(since)
    except ValueError as error:
        raise UsageError(f"--since {since} is no time", "Write last, 7d, or a date such as 2026-11-01.") from error
    if day > today:
        raise UsageError(f"--since {since} lies in the future", "Write last, 7d, or a date such as 2026-11-01.")
    return day


def _today() -> date:
    return datetime.now(UTC).date()


def _write(digest: Digest, clf: Classifier, outputs: Outputs, as_json: bool) -> None:
    """Write every output; nothing counts as shown before all are written."""
    from exoclass.listing import show, to_json
    from exoclass.writers import View, write_csv, write_ris

    predictions = [item.prediction for item in digest.queue.items]
    with ExitStack() as stack:
        if outputs.html:
            from exoclass.digest import render

            stack.enter_context(output(outputs.html, force=outputs.force)).write(render(digest, clf.taxonomy))
        if outputs.csv:
            write_csv(predictions, stack.enter_context(output(outputs.csv, force=outputs.force)), View(), clf.taxonomy)
        if outputs.ris:
            write_ris(predictions, stack.enter_context(output(outputs.ris, force=outputs.force)), View(), clf.taxonomy)
    if as_json:
        print_json(to_json(digest))
        return
    with output(None, force=False) as stream:
        show(digest, stream, clf.taxonomy)


def _tell(digest: Digest, outputs: Outputs) -> None:
    queue = digest.queue
    if not queue.items and not queue.changed:
        note("Nothing new since you last looked.")
    waiting = [(queue.waiting, "more wait for the next time"), (queue.unwanted, "without the wanted labels wait")]
    for count, what in waiting:
        if count:
            note(f"{count:,} {what}")
    for path in outputs.given():
        note(f"written to {path}")
    if digest.remaining:
        note(digest.remaining.line())
