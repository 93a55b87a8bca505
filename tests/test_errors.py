"""The exception tree: one line each, the right exit code, and a docstring that draws what is there."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from exoclass import errors
from exoclass.errors import ExoclassError, QualityGateError, UsageError

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)]
EXIT_CODES = {UsageError: 2, QualityGateError: 3}


@pytest.mark.parametrize("kind", ALL)
def test_every_error_can_be_caught_as_exoclass_error(kind: type[Exception]) -> None:
    assert issubclass(kind, ExoclassError)


@pytest.mark.parametrize("kind", ALL)
def test_exit_codes_are_those_of_the_design(kind: type[ExoclassError]) -> None:
    assert kind("cause").exit_code == EXIT_CODES.get(kind, 1)


def test_the_tree_in_the_docstring_shows_every_error() -> None:
    drawn = re.findall(r"^ *(?:[│├└─ ]*)(\w+Error)\b", errors.__doc__ or "", flags=re.MULTILINE)
    assert sorted(drawn) == sorted(kind.__name__ for kind in ALL)


def test_the_tree_in_the_docstring_nests_as_the_classes_do() -> None:
    open_at: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^ {4}([│├└─ ]*)(\w+Error)\b", line)
        if not found:
            continue
        depth = len(found[1]) // 4
        open_at[depth] = found[2]
        if depth:
            assert getattr(errors, found[2]).__base__.__name__ == open_at[depth - 1]
    assert len(open_at) == 3


@pytest.mark.parametrize(
    ("cause", "remedy", "line"),
    [
        ("x.csv is empty", "", "x.csv is empty"),
        ("x.csv is empty", "Fill it.", "x.csv is empty. Fill it."),
        ("x.csv is empty.", "Fill it.", "x.csv is empty. Fill it."),
        ("a\nb\tc", "Do\n  this.", "a b c. Do this."),
    ],
)
def test_an_error_is_one_line_of_cause_and_remedy(cause: str, remedy: str, line: str) -> None:
    assert str(ExoclassError(cause, remedy)) == line


def test_an_error_keeps_its_parts_on_the_way_back_from_another_process() -> None:
    copy = pickle.loads(pickle.dumps(UsageError("cause", "remedy")))
    assert (type(copy), copy.cause, copy.remedy) == (UsageError, "cause", "remedy")
