"""JSON Lines: one object a line, with the keys of `Record` or the column names that tables use for them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from typing import Any

from exoclass.errors import InputError
from exoclass.readers.columns import Cell, Columns
from exoclass.readers.normalise import excerpt
from exoclass.records import Record, Reject


def read_jsonl(lines: Iterable[tuple[int, str]], file: str) -> Iterator[Record | Reject]:
    """Yield the records of a JSON Lines file in order; a line that is no JSON object becomes a reject.

    Parameters
    ----------
    lines
        Line numbers from 1 and lines without their ends.
    file
        Name to put into `Record.source` and into rejects.

    Raises
    ------
    InputError
        If there is no line but blank ones.
    """
    found = False
    for number, line in lines:
        if not line.strip():
            continue
        found = True
        try:
            yield record_from_object(_object(line), file, number)
        except ValueError as error:  # also what json raises
            yield Reject(file, f"line {number}", f"not a record: {error}", excerpt(line))
        except RecursionError:
            yield Reject(file, f"line {number}", "not a record: brackets nested too deep", excerpt(line))
    if not found:
        raise InputError(f"{file} holds no JSON line", "Give it one JSON object with title and abstract on each line.")


def record_from_object(value: dict[str, Any], file: str, number: int) -> Record | Reject:
    """Return the record that a JSON object (or a table row by column name) describes.

    Raises
    ------
    ValueError
        If it has neither a title nor an abstract key, or a value that is no text, number or list of these.
    """
    columns = Columns.of(tuple(value))
    if not columns.has_text:
        raise ValueError("it has neither a title nor an abstract key")
    wanted = columns.used
    cells = [_cell(key, item) if index in wanted else "" for index, (key, item) in enumerate(value.items())]
    return columns.record(cells, file=file, line=number)


def _object(line: str) -> dict[str, Any]:
    value = json.loads(line)
    if not isinstance(value, dict):
        raise ValueError("a line has to hold one JSON object")
    return value


def _cell(key: str, value: object) -> Cell:
    if isinstance(value, list):
        return tuple(_scalar(key, member) for member in value)
    return _scalar(key, value)


def _scalar(key: str, value: object) -> str:
    if isinstance(value, dict):
        value = value.get("name", value)  # authors as objects
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{excerpt(key)!r} has to be text, a number or a list of these")
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)
