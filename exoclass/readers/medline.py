"""MEDLINE text as PubMed exports it (``.nbib``) and EFetch sends it.

Own reader: Bio.Medline needs a blank line between records (files joined without one merge two papers), takes any
number of broken lines for continuations without a word, and knows no position to report a fault at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from exoclass.errors import InputError
from exoclass.readers.clues import doi_in_note, is_retracted
from exoclass.readers.normalise import build_record, excerpt, find_doi, find_year
from exoclass.readers.source import BrokenStreamError
from exoclass.readers.tagged import MAX_BLOCK, Block, Draft
from exoclass.records import Record, Reject

_TAG = re.compile(r"([A-Z][A-Z0-9 ]{3})-(?: (.*)|\s*)", re.DOTALL)
_COUNTER = re.compile(r"\s*\d{1,9}\s*[.:)]?\s*")
_LEADING_COUNTER = re.compile(r"\s*\d{1,9}\s*[.:)]\s*(?=PMID *-)")
_ONCE = frozenset({"PMID", "OWN", "STAT", "TI", "BTI", "AB", "DP", "JT", "TA", "EDAT", "CRDT", "SO"})
_OTHER_ABSTRACT = re.compile(r"\s*(?:publisher|plain-language-summary|aids|kie|nasa|pip)\s*:\s*", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"\s*abstract available from the publisher\.?\s*", re.IGNORECASE)


def read_medline(lines: Iterable[tuple[int, str]], file: str) -> Iterator[Record | Reject]:
    """Yield the records of a MEDLINE file in order.

    A record ends at a blank line or where the next ``PMID-`` begins, so joined files lose nothing. Text that belongs
    to no record, such as an error message of the server in the middle of a download, becomes a reject.

    Parameters
    ----------
    lines
        Line numbers from 1 and lines without their ends.
    file
        Name to put into `Record.source` and into rejects.

    Raises
    ------
    InputError
        If the text holds no record at all.
    """
    found = False
    for item in _joined(_pieces(lines, file)):
        found = True
        yield item if isinstance(item, Reject) else _record(item, file)
    if not found:
        raise InputError(f"{file} holds no MEDLINE record", "Export it from PubMed again with Save > Format: PubMed.")


def _pieces(lines: Iterable[tuple[int, str]], file: str) -> Iterator[Block | Reject]:
    """Yield what stands between blank lines or before a ``PMID-``.

    The tag ``""`` marks wrapped text that a blank line cut off from its field.
    """
    draft: Draft | None = None
    loose: Reject | None = None
    for number, raw in lines:
        line = _mended(raw)
        match = _TAG.fullmatch(line)
        tag = match.group(1).strip() if match else ""
        ends = tag == "PMID" or not line.strip()
        if draft is not None and ends:
            yield draft.freeze()
            draft = None
        if loose is not None and (ends or match):
            yield loose
            loose = None
        if match or (draft is None and line[:1].isspace() and not ends):
            draft = draft or Draft(number)
            draft.add(tag, (match.group(2) or "") if match else line)
        elif draft is not None:
            draft.extend(line)
        elif loose is None and not ends and not _COUNTER.fullmatch(line):
            loose = Reject(file, f"line {number}", "text outside any record", excerpt(line))
    if draft is not None:
        yield draft.freeze()
    if loose is not None:
        yield loose


def _mended(line: str) -> str:
    """Return `line` without no-break spaces and counters where the tag stands."""
    line = line[:6].replace("\u00a0", " ") + line[6:]
    return _LEADING_COUNTER.sub("", line) if "PMID" in line[:20] else line


def _joined(pieces: Iterable[Block | Reject]) -> Iterator[Block | Reject]:
    """Join pieces that a blank line tore apart.

    A piece without a PMID belongs to the record above unless it repeats a field that a record has once: then it is a
    record whose PMID line is damaged.
    """
    held: Draft | None = None
    try:
        for piece in pieces:
            joins = not isinstance(piece, Reject) and held is not None and _belongs(piece, held)
            if held is not None and not joins:
                yield held.freeze()
                held = None
            if isinstance(piece, Reject):
                yield piece
                continue
            held = held or Draft(piece.line)
            _append(held, piece)
    except BrokenStreamError:
        if held is not None:  # this one was read whole before the stream broke
            yield held.freeze()
        raise
    if held is not None:
        yield held.freeze()


def _belongs(piece: Block, held: Draft) -> bool:
    return "PMID" not in piece.by_tag and not any(held.has(tag) for tag in piece.by_tag.keys() & _ONCE)


def _append(held: Draft, piece: Block) -> None:
    for tag, lines in piece.fields:
        if tag:
            held.add(tag, lines[0])
            lines = lines[1:]
        for line in lines:
            held.extend(line)
    if piece.oversize:
        held.size = MAX_BLOCK + 1


def _record(block: Block, file: str) -> Record | Reject:
    if block.oversize:
        reason = f"the record is longer than {MAX_BLOCK:,} characters"
        return Reject(file, f"line {block.line}", reason, excerpt(block.head))
    title = block.first("TI", "BTI", "CTI", "TT")
    abstract, flags = block.first("AB"), []
    if not abstract and (abstract := _other_abstract(block)):
        flags.append("other_abstract")
    if is_retracted(title, []) or block.values("RIN"):
        flags.append("retracted")
    if block.values("BTI"):
        flags.append("book")
    return build_record(
        file=file,
        line=block.line,
        title=title,
        abstract=abstract,
        pmid=block.first("PMID"),
        doi=_doi(block),
        journal=block.first("JT", "TA", "BTI" if block.first("TI") else "PB"),
        year=_year(block),
        authors=_authors(block),
        keywords=[word.lstrip("*") for word in block.values("OT")],
        publication_types=block.values("PT"),
        mesh_terms=dict.fromkeys(heading.split("/")[0].lstrip("*") for heading in block.values("MH")),
        flags=flags,
    )


def _other_abstract(block: Block) -> str:
    texts = (_OTHER_ABSTRACT.sub("", text, count=1) for text in block.values("OAB"))
    return next((text for text in texts if not _PLACEHOLDER.fullmatch(text)), "")


def _doi(block: Block) -> str | None:
    own = (value for value in block.values("LID", "AID") if value.casefold().endswith("[doi]"))
    return next((doi for value in own if (doi := find_doi(value))), None) or doi_in_note(block.values("SO"))


def _year(block: Block) -> int | None:
    if year := find_year(block.first("DP")):
        return year
    # the others are written as 20190401 or 2019/04/01
    return next((year for text in block.values("DEP", "EDAT", "CRDT") if (year := find_year(text[:4]))), None)


def _authors(block: Block) -> list[str]:
    full = [lines for lines in block.fields if lines[0] in {"FAU", "CN"}]
    if any(tag == "FAU" for tag, _ in full):
        return [" ".join(lines) for _, lines in full]
    return block.values("AU", "CN") or block.values("FED", "ED")
