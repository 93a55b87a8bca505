"""CSV and TSV tables as databases, screening tools and spreadsheets write them.

The csv module of the standard library splits the cells; what it lacks is here: finding the separator and the header,
line numbers, and going on after a quotation mark that nobody closed (csv swallows the rest of the file).
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from exoclass.errors import InputError
from exoclass.readers.columns import Columns
from exoclass.readers.normalise import excerpt
from exoclass.readers.source import BrokenStreamError
from exoclass.records import Record, Reject

MAX_ROW = 2_000_000
"""Characters in one row, which in Scopus with references can be 500,000; past that, a quotation mark was left open."""

_SEPARATORS = (",", "\t", ";", "|")
_HEADER_ROWS = 10  # Dimensions puts a note above the header, Excel a "sep=;"

# csv refuses cells over 131,072 characters by default; this setting is global, so only ever raise it
csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW + 1))


def read_table(lines: Iterable[tuple[int, str]], file: str) -> Iterator[Record | Reject]:
    """Yield the records of a CSV or TSV file in order; a row that does not fit the header becomes a reject.

    Parameters
    ----------
    lines
        Line numbers from 1 and lines without their ends.
    file
        Name to put into `Record.source` and into rejects.

    Raises
    ------
    InputError
        If no row near the top names a title or an abstract column.
    """
    rows = _Rows(lines)
    names = _header(rows, file)
    columns = Columns.of(tuple(names))
    while (row := rows.next_row(len(names))) is not None:
        number, cells, text = row
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) == len(names):
            yield columns.record(cells, file=file, line=number)
        else:
            yield Reject(file, f"line {number}", _misfit(cells, names), excerpt(text))


def _misfit(cells: Sequence[str], names: Sequence[str]) -> str:
    if not cells or (len(cells) == 1 and len(names) > 2):
        return f"no row of this table, or a quotation mark that is not closed: 1 cell, the header has {len(names)}"
    return f"{len(cells)} cells, but the header has {len(names)}; is a separator or a quotation mark missing?"


def _header(rows: _Rows, file: str) -> list[str]:
    """Read up to the header, set the separator, and return the column names."""
    first: list[str] = []
    for _ in range(_HEADER_ROWS):
        head = rows.peek()
        if head is None:
            break
        best, names = _best_split(head)
        columns = Columns.of(tuple(names))
        if columns.has_text:
            rows.separator = best
            row = rows.next_row(0)
            names = [name.strip() for name in row[1]] if row else names
            while names and not names[-1]:
                names.pop()  # Web of Science ends its header with a tab
            return names
        first = first or names or [head]
        rows.skip()
    if not first:
        raise InputError(f"{file} holds no table", "Give it a header row with a Title and an Abstract column.")
    shown = ", ".join(excerpt(name) or "(no name)" for name in first[:12]) + (", …" if len(first) > 12 else "")
    raise InputError(
        f"{file} is a table without a title or abstract column; its columns are: {shown}",
        "Rename the columns to Title and Abstract, or export them too.",
    )


def _best_split(head: str) -> tuple[str, list[str]]:
    splits = [(separator, _cells(head, separator)) for separator in _SEPARATORS]
    return max(splits, key=lambda split: (len(Columns.of(tuple(split[1])).used), len(split[1])))


def _cells(text: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([text], delimiter=separator), [])
    except csv.Error:
        return []


class _Rows:
    """Rows of a table, read one at a time; lines that turn out not to belong to a row are put back."""

    def __init__(self, lines: Iterable[tuple[int, str]]) -> None:
        self._lines = iter(lines)
        self._back: deque[tuple[int, str]] = deque()
        self._broken: BrokenStreamError | None = None
        self.separator = ","

    def peek(self) -> str | None:
        """Return the next line that is not blank without taking it."""
        while (line := self._take()) is not None:
            if line[1].strip():
                self._back.appendleft(line)
                return line[1]
        return None

    def skip(self) -> None:
        """Drop the next line."""
        self._take()

    def next_row(self, width: int) -> tuple[int, list[str], str] | None:
        """Return line number, cells and first line of the next row, or None at the end.

        With a `width`, a row over several lines that has not so many cells is cut where a row with the right number
        begins: then a quotation mark was left open, and only the row that has it is lost.
        """
        if self.peek() is None:
            return None
        taken: list[tuple[int, str]] = []
        try:
            cells, closed = self._read(taken)
        except BrokenStreamError as error:
            if len(taken) < 2:
                raise
            # an open quotation mark had us read ahead: deliver what was taken before reporting the break
            self._broken = error
            cells, closed = [], False
        if width:
            cells = self._fit(cells, width)
        number, text = taken[0]
        if width and self.separator == "\t" and (plain := self._plain(text, width)):
            # tab-separated files often do not quote: a quotation mark is then a part of the text
            cells, closed = plain, True
            self._put_back(taken[1:])
        elif len(taken) > 1 and (not closed or (width and (len(cells) != width or self._sloppy(taken)))):
            resume = self._resume(taken, width, closed)
            self._put_back(taken[resume:])
            cells = [text] if resume < len(taken) else cells
        elif not closed:
            cells = [text]
        return number, cells, text

    def _read(self, taken: list[tuple[int, str]]) -> tuple[list[str], bool]:
        """Read one row as csv does; append its lines to `taken`; tell whether its quotation marks are closed."""
        closed = True

        def feed() -> Iterator[str]:
            nonlocal closed
            size = 0
            while size <= MAX_ROW and (line := self._take()) is not None:
                taken.append(line)
                size += len(line[1]) + 1
                yield line[1] + "\n"
            closed = False  # csv asked for more than there is

        try:
            return next(csv.reader(feed(), delimiter=self.separator), []), closed
        except csv.Error:  # a cell over the limit; as one cell it is a reject, or too long for a record
            return [taken[0][1]], closed

    def _sloppy(self, taken: Sequence[tuple[int, str]]) -> bool:
        """Tell whether text follows a closing quotation mark: then it may be the opening one of another row."""
        try:
            next(csv.reader([text + "\n" for _, text in taken], delimiter=self.separator, strict=True), None)
        except csv.Error:
            return True
        return False

    def _resume(self, taken: list[tuple[int, str]], width: int, closed: bool) -> int:
        """Return the index in `taken` of the line to go on with."""
        for index, (_, text) in enumerate(taken[1:], 1):
            if width > 1 and len(self._fit(_cells(text, self.separator), width)) == width:
                return index
        return len(taken) if closed else 1

    def _plain(self, text: str, width: int) -> list[str] | None:
        cells = self._fit(text.split("\t"), width)
        return [_unquote(cell) for cell in cells] if len(cells) == width else None

    @staticmethod
    def _fit(cells: list[str], width: int) -> list[str]:
        """Drop empty cells beyond the header."""
        while len(cells) > width and not cells[-1].strip():
            cells = cells[:-1]
        return cells

    def _take(self) -> tuple[int, str] | None:
        if self._back:
            return self._back.popleft()
        if self._broken is not None:
            raise self._broken
        return next(self._lines, None)

    def _put_back(self, lines: Sequence[tuple[int, str]]) -> None:
        self._back.extendleft(reversed(lines))


def _unquote(cell: str) -> str:
    inner = cell[1:-1]
    quoted = len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if quoted else cell
