"""The command line as a whole: help, version, exit codes, errors of one line, tracebacks when asked for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Run, clean_environment
from typer.main import get_command

from exoclass import __version__
from exoclass.cli import app

TOP: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]  # a group has commands
COMMANDS = [[name, *inner] for name in TOP for inner in [[sub] for sub in getattr(TOP[name], "commands", {})] or [[]]]
SCRIPT = Path(sys.executable).parent / "exoclass"


def python(code: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a program of a few lines whose command line is `args`."""
    return subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, encoding="utf-8", env=clean_environment()
    )


def test_the_version_is_that_of_the_package(run: Run) -> None:
    assert run("--version").stdout == f"exoclass {__version__}\n"


def test_the_installed_script_is_the_same_program(run: Run) -> None:
    done = subprocess.run([SCRIPT, "--help"], capture_output=True, encoding="utf-8", env=clean_environment())
    assert done.returncode == 0
    assert done.stdout.replace("python -m exoclass", "exoclass") == run("--help").stdout.replace(
        "python -m exoclass", "exoclass"
    )


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_names_every_command(run: Run, flag: str) -> None:
    done = run(flag)
    assert done.returncode == 0
    assert done.stderr == ""
    assert re.findall(r"^  ([\w-]+)  ", done.stdout.partition("Commands:")[2], flags=re.MULTILINE) == list(TOP)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_help_of_each_command_is_plain_text_with_an_example(run: Run, command: list[str]) -> None:
    done = run(*command, "--help", env={"TERM": "xterm-256color", "FORCE_COLOR": "1", "NO_COLOR": ""})
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    example = rf"^  .*exoclass {' '.join(command)}( |$)"
    assert re.search(example, done.stdout.partition("Usage")[2], flags=re.MULTILINE)


def test_without_a_command_help_is_shown_as_a_usage_error(run: Run) -> None:
    done = run()
    assert done.returncode == 2
    assert "Commands:" in done.stdout + done.stderr


@pytest.mark.parametrize("args", [["predcit"], ["--verbos"], ["labels", "--jsno"], ["train"], ["evaluate"], ["check"]])
def test_what_is_not_understood_is_a_usage_error(run: Run, args: list[str]) -> None:
    done = run(*args)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("flag", ["-v", "--verbose"])
def test_verbose_shows_the_traceback_and_the_line(run: Run, flag: str) -> None:
    done = run(flag, "predict", "nowhere.nbib")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):")
    assert "exoclass.errors.InputError: nowhere.nbib" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("exoclass: nowhere.nbib: no such file.")


def test_verbose_changes_nothing_where_nothing_fails(run: Run) -> None:
    assert run("-v", "labels").stdout == run("labels").stdout


RAISES = """
import sys
from exoclass import cli, errors

@cli.app.command("fail")
def fail() -> None:
    raise {error}

cli.main()
"""


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        ("errors.InputError('x.ris is empty', 'Export again.')", 1, "exoclass: x.ris is empty. Export again."),
        ("errors.UsageError('no axis')", 2, "exoclass: no axis"),
        ("errors.QualityGateError('F1 0.61 is below 0.70')", 3, "exoclass: F1 0.61 is below 0.70"),
        ("errors.ModelError('line one\\nline two')", 1, "exoclass: line one line two"),
        ("OSError(28, 'No space left on device')", 1, "exoclass: No space left on device. Mend that"),
        ("OSError(28, 'No space left on device', 'out.csv')", 1, "exoclass: out.csv: No space left on device."),
        ("RuntimeError('odd')", 1, "exoclass: internal error, RuntimeError: odd. Please report it"),
        ("RuntimeError('two\\nlines')", 1, "exoclass: internal error, RuntimeError: two lines. Please report it"),
    ],
)
def test_every_error_is_one_line_and_an_exit_code(error: str, code: int, line: str) -> None:
    done = python(RAISES.format(error=error), "fail")
    assert done.returncode == code
    [said] = done.stderr.splitlines()
    assert said.startswith(line)
    assert done.stdout == ""


def test_an_interrupt_exits_with_130() -> None:
    done = python(RAISES.format(error="KeyboardInterrupt"), "fail")
    assert done.returncode == 130
    assert "Traceback" not in done.stderr


WARNS = """
import sys, warnings
from exoclass import cli

@cli.app.command("warn")
def warn() -> None:
    warnings.warn({what})

cli.main()
"""


def test_a_warning_for_users_is_one_line() -> None:
    done = python(WARNS.format(what="'label x has no example'"), "warn")
    assert done.returncode == 0
    assert done.stderr == "exoclass: warning: label x has no example\n"


@pytest.mark.parametrize("kind", ["DeprecationWarning", "FutureWarning", "RuntimeWarning"])
def test_what_libraries_say_about_themselves_is_not_for_users(kind: str) -> None:
    done = python(WARNS.format(what=f"'soon gone', {kind}"), "warn")
    assert done.returncode == 0
    assert done.stderr == ""


@pytest.mark.parametrize("args", [["labels"], ["labels", "--json"], ["info", "--json"]])
def test_a_reader_that_stops_early_is_no_error(args: list[str], tiny_model: Path) -> None:
    args = [*args, str(tiny_model)] if args[0] == "info" else args
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "exoclass", *args],
            stdout=write_end,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env=clean_environment(),
        )
    finally:
        os.close(write_end)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_exit_code_stays_when_a_reader_stops_early(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"title": "Vesicles"}\n')
    command = '"$0" -m exoclass check "$1" | head -n 1; exit "${PIPESTATUS[0]}"'
    done = subprocess.run(
        ["bash", "-c", command, sys.executable, str(tmp_path / "bad.jsonl")],
        capture_output=True,
        encoding="utf-8",
        env=clean_environment(),
        cwd=ROOT,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert len(done.stdout.splitlines()) == 1
