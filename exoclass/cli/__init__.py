"""The command line: each command parses in one function and works in another, which returns data.

Only this package prints, exits or reads the environment. Modules that need numpy or more are imported inside the
commands, so that ``exoclass --help`` answers at once.
"""

from __future__ import annotations

import sys
import traceback
import warnings
from typing import Annotated, NoReturn

import typer

from exoclass import __version__
from exoclass.cli import (
    adapt,
    bench,
    benchmark,
    check,
    data,
    decide,
    distil,
    evaluate,
    export,
    info,
    labels,
    models,
    predict,
    query,
    retrain,
    silver,
    suggest,
    train,
    triage,
    warm_up,
)
from exoclass.cli.options import mute
from exoclass.errors import ExoclassError

app = typer.Typer(
    name="exoclass",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: quick, and the same in every terminal, file and README
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"exoclass {__version__}")
        raise typer.Exit


@app.callback()
def exoclass(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show tracebacks.")] = False,
) -> None:
    """Tag abstracts on exosome (extracellular-vesicle) therapy: scope, disease areas, therapeutic mechanisms.

    \b
    exoclass predict new.nbib                     one JSON line per abstract
    exoclass predict new.nbib -f table            a list to read
    exoclass predict export.ris -o tagged.ris     tags as keywords for Zotero and EndNote
    exoclass train labels.jsonl -o my-model       a model of your own
    """


for command in (
    predict,
    triage,
    decide,
    export,
    query,
    suggest,
    train,
    retrain,
    models,
    evaluate,
    check,
    data,
    silver,
    labels,
    info,
    adapt,
    warm_up,
    distil,
    bench,
    benchmark,
):
    command.add_to(app)


def main() -> None:
    """Run the command line; every failure is one line on stderr and an exit code (see `exoclass.errors`)."""
    verbose = bool({"-v", "--verbose"} & set(sys.argv[1:2]))
    warnings.showwarning = _show_warning
    try:
        app()
    except ExoclassError as error:
        _fail(str(error), error.exit_code, verbose=verbose)
    except OSError as error:  # a full disk, say
        mute()  # else Python tries once more to write what is left, and complains in its own words
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}. Mend that, and run it again.", 1, verbose=verbose)
    except Exception as error:  # noqa: BLE001 - the last resort: a user never sees a traceback unasked
        message = f"internal error, {type(error).__name__}: {error}. Please report it with `exoclass -v …`."
        _fail(message, 1, verbose=verbose)


def _fail(message: str, code: int, *, verbose: bool) -> NoReturn:
    """Say what went wrong and exit; called while the error is being handled, so that its traceback is at hand."""
    if verbose:
        traceback.print_exc()
    typer.echo(f"exoclass: {' '.join(message.split())}", err=True)
    sys.exit(code)


def _show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    if issubclass(category, UserWarning):  # warnings of libraries about themselves are not for users
        typer.echo(f"exoclass: warning: {message}", err=True)
