"""Read bibliographic records from exports of any of the formats that exoclass knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from exoclass.errors import InputError
from exoclass.readers.jsonl import read_jsonl
from exoclass.readers.medline import read_medline
from exoclass.readers.page import MAX_PAGE, read_page
from exoclass.readers.pubmed_xml import read_pubmed_xml
from exoclass.readers.ris import read_ris
from exoclass.readers.sniff import Format, sniff
from exoclass.readers.source import BrokenStreamError, Line, Source, open_source, text_chunks, text_lines
from exoclass.readers.table import read_table
from exoclass.records import Deletion, Record, Reject

__all__ = ["Format", "drop_duplicates", "read"]

Item = Record | Reject | Deletion

_LINE_READERS: dict[Format, Callable[[Iterable[Line], str], Iterator[Item]]] = {
    Format.MEDLINE: read_medline,
    Format.RIS: read_ris,
    Format.CSV: read_table,
    Format.JSONL: read_jsonl,
}


def read(paths: str | Path | Sequence[str | Path]) -> Iterator[Item]:
    """Read records from files, in order, each recognised by its content.

    Everything in a file comes out as a record, a reject or a deletion: nothing is lost silently. Memory stays
    constant, however large the files are.

    Parameters
    ----------
    paths
        One path or several; ``-`` is standard input. Gzip is undone.

    Raises
    ------
    InputError
        When the turn comes to a file that cannot be read as a whole: missing, a directory, empty, an unknown
        format. What precedes it has been delivered by then; a caller that wants to go on with the other files
        reads them one by one.
    """
    for path in (paths,) if isinstance(paths, str | Path) else paths:
        with open_source(path) as source:
            kind = sniff(source.head, source.name)
            try:
                yield from _items(kind, source)
            except BrokenStreamError as error:
                yield Reject(source.name, error.position, error.cause)


def drop_duplicates(items: Iterable[Item]) -> Iterator[Item]:
    """Turn each record whose PMID was read before into a reject, so that it is counted but not tagged twice.

    A record with a greater `version` than the one before is kept and flagged ``supersedes``. Records without a PMID
    are never dropped: equal titles and even equal DOIs belong to different papers too often.
    """
    seen: dict[str, tuple[int, str]] = {}
    for item in items:
        if not isinstance(item, Record) or item.pmid is None:
            yield item
            continue
        version, first = seen.get(item.pmid, (0, ""))
        if not first:
            seen[item.pmid] = (item.version, item.source)
            yield item
        elif item.version > version:
            seen[item.pmid] = (item.version, item.source)
            yield replace(item, flags=tuple(sorted({*item.flags, "supersedes"})))
        else:
            file, _, line = item.source.rpartition(":")
            yield Reject(file, f"line {line}", f"duplicate of PMID {item.pmid}, first read at {first}", item.title[:80])


def _items(kind: Format, source: Source) -> Iterator[Item]:
    if kind is Format.PUBMED_XML:
        return read_pubmed_xml(source.stream, source.name)
    if kind is Format.PAGE:
        return read_page(_page_text(source), source.name)
    return _LINE_READERS[kind](text_lines(source), source.name)


def _page_text(source: Source) -> str:
    """Read a page as a whole, up to the size no page has."""
    parts, length = [], 0
    for chunk in text_chunks(source.stream):
        parts.append(chunk)
        length += len(chunk)
        if length > MAX_PAGE:
            cause = f"{source.name}: a page of more than {MAX_PAGE // 1_000_000} MB"
            raise InputError(cause, "Export the records from PubMed instead: Save, Format: PubMed.")
    return "".join(parts)
