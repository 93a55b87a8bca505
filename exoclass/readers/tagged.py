"""Blocks of tagged lines, the shape that MEDLINE and RIS have in common."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

MAX_BLOCK = 20_000_000
"""Characters kept of one record; a file without record ends must not fill the memory."""


@dataclass(frozen=True)
class Block:
    """The tagged fields of one record, in the order of the file.

    Parameters
    ----------
    line
        Number of its first line, from 1.
    fields
        Pairs of tag and the lines of its value; the first line may be empty.
    oversize
        Whether the record was longer than `MAX_BLOCK`, so that text is missing.
    """

    line: int
    fields: tuple[tuple[str, tuple[str, ...]], ...]
    oversize: bool = False

    @cached_property
    def by_tag(self) -> dict[str, list[tuple[str, ...]]]:
        """The fields by tag, each the list of its values in the order of the file."""
        found: dict[str, list[tuple[str, ...]]] = {}
        for tag, lines in self.fields:
            found.setdefault(tag, []).append(lines)
        return found

    @property
    def head(self) -> str:
        """The first text in the block, to find it by."""
        return next((f"{tag} {line}" for tag, lines in self.fields for line in lines if line.strip()), "")

    def values(self, *tags: str) -> list[str]:
        """Return the values that are not empty: all of the first tag, then all of the second, and so on.

        Wrapped lines are joined by a blank.
        """
        return [text for tag in tags for lines in self.by_tag.get(tag, ()) if (text := _join(lines))]

    def lines(self, *tags: str) -> Iterator[str]:
        """Yield the non-empty lines of the fields with one of `tags`, unjoined and in the order of the file."""
        return (line.strip() for name, lines in self.fields if name in tags for line in lines if line.strip())

    def first(self, *tags: str) -> str:
        """Return the first value of the first tag that has one, else an empty string."""
        return next(iter(self.values(*tags)), "")


@dataclass(slots=True)
class Draft:
    """A block that is still being read."""

    line: int
    fields: list[tuple[str, list[str]]] = field(default_factory=list)
    size: int = 0

    def add(self, tag: str, text: str) -> None:
        """Begin a new field."""
        if self._fits(text):
            self.fields.append((tag, [text]))

    def extend(self, text: str) -> None:
        """Add a wrapped line to the field that was begun last."""
        if self.fields and self._fits(text):
            self.fields[-1][1].append(text)

    def drop_last(self, unwanted: re.Pattern[str]) -> None:
        """Drop the last wrapped line if all of it is `unwanted`."""
        if self.fields and len(lines := self.fields[-1][1]) > 1 and unwanted.fullmatch(lines[-1]):
            lines.pop()

    def has(self, tag: str) -> bool:
        """Tell whether a field with `tag` was begun."""
        return any(name == tag for name, _ in self.fields)

    def freeze(self) -> Block:
        """Return the finished block."""
        fields = tuple((tag, tuple(lines)) for tag, lines in self.fields)
        return Block(self.line, fields, oversize=self.size > MAX_BLOCK)

    def _fits(self, text: str) -> bool:
        self.size += len(text) + 50  # a line costs memory even if it is empty
        return self.size <= MAX_BLOCK


def _join(lines: tuple[str, ...]) -> str:
    return " ".join(stripped for line in lines if (stripped := line.strip()))
