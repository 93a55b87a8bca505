"""Rows of small files by column name, for data with more columns than a record has fields, such as labels."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from exoclass.errors import InputError
from exoclass.readers.source import Line, open_source, text_lines

Row = dict[str, Any]


def read_rows(path: str | Path, *, one_of: Sequence[str] = ("scope", "disease")) -> Iterator[tuple[int, Row | str]]:
    """Yield line number and content of each row of a JSON Lines or CSV file; text instead says why a row is unreadable.

    The file is read into memory first: labelled data are small.

    Parameters
    ----------
    one_of
        Columns of which a table must have at least one.

    Raises
    ------
    InputError
        If the file cannot be read, is empty, or has none of these columns.
    """
    with open_source(path) as source:
        lines = [(number, line) for number, line in text_lines(source) if line.strip()]
    if not lines:
        raise InputError(f"{path} is empty", "Give it rows as JSON Lines or CSV.")
    yield from _objects(lines) if lines[0][1].lstrip().startswith("{") else _table(path, lines, one_of)


def _objects(lines: list[Line]) -> Iterator[tuple[int, Row | str]]:
    for number, line in lines:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, f"not a JSON object: {error}"
            continue
        yield number, value if isinstance(value, dict) else "not a JSON object"


def _table(path: str | Path, lines: list[Line], one_of: Sequence[str]) -> Iterator[tuple[int, Row | str]]:
    header = lines[0][1]
    reader = csv.reader((line + "\n" for _, line in lines), delimiter=max(",\t;", key=header.count))
    names = [name.strip().casefold() for name in next(reader)]
    if not set(one_of) & set(names):
        raise InputError(f"{path} has no {' or '.join(one_of)} column", f"Its columns are {', '.join(names)}.")
    while True:
        number = lines[min(reader.line_num, len(lines) - 1)][0]
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, f"not a table row: {error}"
            continue
        if len(cells) == len(names):
            yield number, dict(zip(names, cells, strict=True))
        else:
            yield number, f"{len(cells)} cells where the header has {len(names)}"
