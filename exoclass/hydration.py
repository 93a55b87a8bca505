"""Labelled records with the true title and abstract from PubMed in place of a digest; the labels stay."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from exoclass.errors import CorpusError, OutputError, PubMedError
from exoclass.pubmed import EutilsSettings, Limiter, fetch
from exoclass.readers.columns import Columns
from exoclass.readers.jsonl import record_from_object
from exoclass.readers.normalise import find_pmid
from exoclass.readers.rows import read_rows
from exoclass.records import Record, Reject

NO_PMID = "without a PMID"
NOT_FOUND = "not found in PubMed"
NO_ABSTRACT = "without an abstract in PubMed"

_HEADER = b'{"exoclass": "records fetched by hydrate; delete this file to fetch them anew"}\n'


@dataclass(frozen=True, slots=True)
class LabeledRow:
    """A row of a labelled file with all its keys, known to us or not.

    Parameters
    ----------
    name
        Its id, else what identifies the paper.
    keys
        The row as read.
    kept
        Why it keeps its digest; empty text if it has the text of PubMed.
    retracted
        Whether PubMed says so.
    """

    name: str
    pmid: str | None
    keys: Mapping[str, Any]
    kept: str = ""
    retracted: bool = False

    def to_json(self) -> str:
        """Return the row as one line of JSON."""
        return json.dumps(self.keys, ensure_ascii=False)


def read_labeled_rows(path: Path) -> list[LabeledRow]:
    """Read a labelled file; labels are not looked at, since they only pass through.

    Raises
    ------
    CorpusError
        If a row cannot be read, or none has a PMID.
    InputError
        If the file cannot be read at all.
    """
    rows = []
    for number, row in read_rows(path):
        try:
            record = row if isinstance(row, str) else record_from_object(row, str(path), number)
        except ValueError as error:
            record = str(error)
        if isinstance(row, str) or not isinstance(record, Record):
            reason = record.reason if isinstance(record, Reject) else record
            raise CorpusError(f"{path}:{number}: {reason}", "See all faults with `exoclass check FILE`.")
        rows.append(LabeledRow(str(row.get("id") or record.key), record.pmid, row))
    if not any(row.pmid for row in rows):
        raise CorpusError(f"no record of {path} has a PMID", "Give them one in a key named pmid.")
    return rows


@dataclass
class FetchedRecords:
    """The records fetched so far, kept in a file as they come, so that a killed run goes on where it was.

    Raises
    ------
    OutputError
        If the file is not one of ours, or cannot be used.
    """

    path: Path
    records: dict[str, Record] = field(default_factory=dict)

    def __enter__(self) -> Self:
        """Read what an earlier run left, and open the file to add to it."""
        remedy = f"Move or delete {self.path}."
        try:
            content = self.path.read_bytes() if self.path.exists() else b""
            if not content.startswith(_HEADER) and not _HEADER.startswith(content):
                raise OutputError(f"{self.path} is in the way: records being fetched would be kept there", remedy)
            begun = content.startswith(_HEADER)
            for record in filter(None, map(_kept_record, content.splitlines()[1:])):
                self.records[record.pmid or ""] = record
            self._file = self.path.open("ab" if begun else "wb")
            # A run that was killed may have left half a line.
            self._file.write(b"" if content.endswith(b"\n") else b"\n" if begun else _HEADER)
        except OSError as error:
            raise OutputError(f"{self.path} cannot be used: {error.strerror}", remedy) from error
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file; it stays if there is something in it."""
        self._file.close()
        if not self.records:
            self.path.unlink(missing_ok=True)

    def add(self, record: Record) -> None:
        """Keep one more record."""
        kept = {"pmid": record.pmid, "title": record.title, "abstract": record.abstract, "flags": record.flags}
        self._file.write(json.dumps(kept).encode() + b"\n")
        self._file.flush()
        self.records[record.pmid or ""] = record

    def fetch(
        self,
        pmids: Sequence[str],
        *,
        settings: EutilsSettings,
        limiter: Limiter | None = None,
        notice: Callable[[str], None] | None = None,
        progress: Iterable[None] = (),
    ) -> None:
        """Fetch those of the PMIDs that are not here yet.

        Parameters
        ----------
        progress
            Advanced once per PMID that is answered.

        Raises
        ------
        PubMedError
            If PubMed fails for good; what came before is kept.
        """
        ticks = iter(progress)
        try:
            for item in fetch(pmids, settings=settings, limiter=limiter, notice=notice):
                if isinstance(item, Record):
                    self.add(item)
                next(ticks, None)
        except PubMedError as error:
            kept = f"What was fetched is kept in {self.path}, and the same command goes on from there."
            raise PubMedError(error.cause, f"{error.remedy} {kept}") from error

    def missing(self, rows: Iterable[LabeledRow]) -> list[str]:
        """Return the PMIDs of rows that are not here, each once, in order."""
        return [pmid for pmid in dict.fromkeys(row.pmid for row in rows) if pmid and pmid not in self.records]


def hydrate(rows: Iterable[LabeledRow], records: Mapping[str, Record]) -> Iterator[LabeledRow]:
    """Give each row the title and abstract of the record with its PMID, and ``"hydrated": true``.

    A row without such a record, or whose record has no abstract proper (a plain-language or foreign one is none),
    stays as it is and says why in `LabeledRow.kept`.

    Parameters
    ----------
    records
        By PMID.
    """
    for row in rows:
        record = records.get(row.pmid or "")
        retracted = record is not None and "retracted" in record.flags
        if record is None:
            yield LabeledRow(row.name, row.pmid, row.keys, NOT_FOUND if row.pmid else NO_PMID)
        elif not record.abstract or "other_abstract" in record.flags:
            yield LabeledRow(row.name, row.pmid, row.keys, NO_ABSTRACT, retracted)
        else:
            yield LabeledRow(row.name, row.pmid, _with_text(row.keys, record), retracted=retracted)


def _with_text(keys: Mapping[str, Any], record: Record) -> dict[str, Any]:
    """Return the keys with another text, and without whatever else would be read as title or abstract."""
    names, positions = tuple(keys), Columns.of(tuple(keys)).positions
    fields = ("title", "abstract", "other_abstract") if record.title else ("abstract", "other_abstract")
    replaced = {names[position] for name in fields for position in positions.get(name, ())}
    text = {name: value for name, value in (("title", record.title), ("abstract", record.abstract)) if value}
    kept = {name: text.get(name, value) for name, value in keys.items() if name not in replaced or name in text}
    return kept | text | {"hydrated": True}


def _kept_record(line: bytes) -> Record | None:
    """Return the record in a line of the file; None for a line that was cut when its run was killed."""
    try:
        kept = json.loads(line)
        title, abstract, pmid = kept["title"], kept["abstract"], find_pmid(kept["pmid"])
        return Record(title=title, abstract=abstract, pmid=pmid, flags=tuple(kept["flags"])) if pmid else None
    except (ValueError, KeyError, TypeError):
        return None
