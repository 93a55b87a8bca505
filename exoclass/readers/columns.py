"""The names that tables and JSON give to the fields of a record, in one place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from exoclass.readers.clues import (
    doi_in_note,
    doi_in_url,
    is_retracted,
    pmid_in_note,
    pmid_in_url,
    split_authors,
    split_list,
)
from exoclass.readers.normalise import build_record, clean, find_doi, find_pmid, find_year
from exoclass.records import Record, Reject

Cell = str | tuple[str, ...]
"""A value as read: text, or a list of texts where the format has lists."""

ALIASES: dict[str, str] = {
    "title": "title|article title|document title|primary title|ti|t1|book title|original title",
    "abstract": "abstract|abstract note|abstract text|ab|n2|summary|text",
    "other_abstract": "original abstract|other abstract",
    "pmid": "pmid|pubmed id|pubmed|pubmed pmid|medline pmid|pubmed accession|pm",
    "doi": "doi|do|di|digital object identifier|article doi",
    "year": "year|publication year|published year|pub year|year published|py|y1|publication date|date published"
    "|pub date|date|dp",
    "journal": "journal|journal book|journal title|source title|publication title|publication name|journal name|jt|so"
    "|jf|t2|jo|ta",
    "citation": "source|citation",
    "authors": "authors|author full names|author names|author|authors names|author string|au|af|fau",
    "keywords": "keywords|author keywords|keyword|de|kw|manual tags|ot",
    "publication_types": "publication types|publication type|document type|document types|item type|pt|dt|type",
    "mesh_terms": "mesh terms|mesh headings|mesh|mh|medline mesh",
    "version": "version",
    "flags": "flags",
    "links": "url|link|open url link|doi link|links|urls|ur",
    "notes": "extra|notes|note|n1",
}
"""Field of a record -> names for it, best first. Case, blanks and punctuation in a column name do not count."""

_KEPT_FLAGS = frozenset({"retracted", "book", "other_abstract"})
_MISSING = frozenset({"nan", "none", "null", "<na>", "#n/a"})
_NAME = re.compile(r"[\W_]+")
_CITATION = re.compile(r"\s*(?P<journal>[^()]{2,200}?)\s*\((?P<year>(?:1[89]|20)\d\d)\)")
_FIELD_OF = {
    _NAME.sub("", name): (field, rank) for field, names in ALIASES.items() for rank, name in enumerate(names.split("|"))
}


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column holds which field of a record: field -> positions, best first."""

    positions: dict[str, tuple[int, ...]]

    @staticmethod
    @lru_cache(maxsize=64)
    def of(names: tuple[str, ...]) -> Columns:
        """Return what the column `names` mean; names that mean nothing to us are left out."""
        found: dict[str, list[tuple[int, int]]] = {}
        for position, name in enumerate(names):
            known = _FIELD_OF.get(_NAME.sub("", name.casefold()))
            if known is not None:
                found.setdefault(known[0], []).append((known[1], position))
        return Columns({field: tuple(position for _, position in sorted(ranks)) for field, ranks in found.items()})

    @property
    def has_text(self) -> bool:
        """Whether there is something to tag: a title or an abstract."""
        return "title" in self.positions or "abstract" in self.positions

    @property
    def used(self) -> frozenset[int]:
        """Positions of the columns that mean something."""
        return frozenset(position for positions in self.positions.values() for position in positions)

    def record(self, row: Sequence[Cell], *, file: str, line: int) -> Record | Reject:
        """Return the record that the cells of `row` describe."""
        title, abstract = self._text(row, "title"), self._text(row, "abstract")
        flags = {flag for cell in self._cells(row, "flags") for flag in _items(cell)} & _KEPT_FLAGS
        if not abstract and (abstract := self._text(row, "other_abstract")):
            flags.add("other_abstract")
        types = self._list(row, "publication_types")
        if is_retracted(title, types):
            flags.add("retracted")
        # Embase writes "Journal of Tests (2014) 3:3 (15-16). Date of …"
        citation = _CITATION.match(self._text(row, "citation"))
        version = self._text(row, "version")
        return build_record(
            file=file,
            line=line,
            title=title,
            abstract=abstract,
            pmid=self._pmid(row),
            doi=self._doi(row),
            journal=self._text(row, "journal") or (citation["journal"] if citation else ""),
            year=self._year(row) or (citation["year"] if citation else None),
            authors=[name for cell in self._cells(row, "authors")[:1] for name in _authors(cell)],
            keywords=self._list(row, "keywords"),
            publication_types=types,
            mesh_terms=self._list(row, "mesh_terms"),
            version=int(version) if re.fullmatch(r"[1-9]\d{0,3}", version) else 1,
            flags=flags,
        )

    def _cells(self, row: Sequence[Cell], field: str) -> list[Cell]:
        """Return the cells of `field` that are not empty, best first."""
        return [row[position] for position in self.positions.get(field, ()) if _join(row[position])]

    def _text(self, row: Sequence[Cell], field: str) -> str:
        return next(map(_join, self._cells(row, field)), "")

    def _list(self, row: Sequence[Cell], field: str) -> tuple[str, ...]:
        return next(map(_items, self._cells(row, field)), ())

    def _year(self, row: Sequence[Cell]) -> int | None:
        return next((year for cell in self._cells(row, "year") if (year := find_year(_join(cell)))), None)

    def _pmid(self, row: Sequence[Cell]) -> str | None:
        for cell in self._cells(row, "pmid"):
            if pmid := find_pmid(clean(_join(cell).removesuffix(".0"))):  # pandas makes a column with gaps floats
                return pmid
        return pmid_in_note(self._lines(row, "notes")) or pmid_in_url(self._lines(row, "links"))

    def _doi(self, row: Sequence[Cell]) -> str | None:
        for cell in self._cells(row, "doi"):
            if doi := find_doi(clean(_join(cell))):
                return doi
        return doi_in_url(self._lines(row, "links")) or doi_in_note(self._lines(row, "notes"))

    def _lines(self, row: Sequence[Cell], field: str) -> list[str]:
        parts = [part for cell in self._cells(row, field) for part in ((cell,) if isinstance(cell, str) else cell)]
        return [clean(line) for part in parts for line in part.splitlines()]


def _join(cell: Cell) -> str:
    text = cell if isinstance(cell, str) else " ".join(cell)
    text = text.strip()
    return "" if text.casefold() in _MISSING else text


def _items(cell: Cell) -> tuple[str, ...]:
    return split_list(cell) if isinstance(cell, str) else cell


def _authors(cell: Cell) -> tuple[str, ...]:
    return split_authors(cell) if isinstance(cell, str) else cell
