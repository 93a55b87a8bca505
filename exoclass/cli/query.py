"""``exoclass query``: the saved queries of a library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from exoclass.cli.options import AsJson, LibraryFile, library_path, note, now, print_json, say

if TYPE_CHECKING:
    from pathlib import Path

    from exoclass.library import Query, Window

DEFAULT_QUERY = '(exosome*[tiab] OR "extracellular vesicle*"[tiab]) AND therap*[tiab]'
"""What `triage` asks PubMed for when nobody has said anything else."""

query = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]}
)

Name = Annotated[str, typer.Argument(help="A short name of your own.", metavar="NAME", show_default=False)]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(query, name="query")


@query.callback()
def query_cli() -> None:
    """Keep the PubMed queries that triage asks each time."""


@query.command("add")
def add_cli(
    name: Name,
    text: Annotated[str, typer.Argument(help="The query, as PubMed takes it.", metavar="QUERY", show_default=False)],
    library: LibraryFile = None,
) -> None:
    """Save a query; another text under the same name replaces it and begins anew.

    \b
    exoclass query add bone '(exosome*[tiab]) AND osteo*[tiab]'
    exoclass triage --query bone
    """
    saved = add(name=name, text=text, library=library_path(library))
    note(f"query {saved.name} saved: {saved.text}")


def add(*, name: str, text: str, library: Path) -> Query:
    """Save a query and return it."""
    from exoclass.errors import UsageError
    from exoclass.library import Library

    if not name.strip() or not text.strip():
        raise UsageError("a query needs a name and a text", "For example: exoclass query add bone 'osteo*[tiab]'")
    with Library.open(library) as opened:
        return opened.queries.save(name.strip(), text.strip(), when=now())


@query.command("list")
def list_cli(library: LibraryFile = None, as_json: AsJson = False) -> None:
    """Show the saved queries and up to when each was asked.

    \b
    exoclass query list
    """
    found = list_queries(library=library_path(library))
    if as_json:
        print_json([{"name": q.name, "query": q.text, "asked_until": until} for q, until in found])
        return
    for saved, until in found:
        say(f"{saved.name}\t{saved.text}\t{f'asked until {until}' if until else 'not asked yet'}")
    if not found:
        note(f"No query is saved. `exoclass triage` asks for {DEFAULT_QUERY}")


def list_queries(*, library: Path) -> list[tuple[Query, str]]:
    """Return each query with the last day for which it was answered, empty if there is none."""
    from exoclass.library import Library

    if not library.exists():
        return []
    with Library.open(library) as opened:
        return [(saved, _until(opened.queries.windows(saved.name))) for saved in opened.queries.list()]


def _until(windows: tuple[Window, ...]) -> str:
    return max((window.ends for window in windows if window.done), default="")


@query.command("remove")
def remove_cli(name: Name, library: LibraryFile = None) -> None:
    """Forget a query; the records that it brought stay.

    \b
    exoclass query remove bone
    """
    remove(name=name, library=library_path(library))
    note(f"query {name} removed; its records stay in the library")


def remove(*, name: str, library: Path) -> None:
    """Forget a query."""
    from exoclass.library import Library

    with Library.open(library, create=False) as opened:
        opened.queries.remove(name)
