"""RIS in the dialects of EndNote, Zotero, Embase, Ovid, ProQuest, Scopus, Web of Science and whoever copied them.

Own reader: rispy 0.10 drops the last record when its ``ER`` is missing, merges two records when one in the middle is,
and returns nothing for the single-space dialect.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from exoclass.errors import InputError
from exoclass.readers.clues import doi_in_note, doi_in_url, is_retracted, pmid_in_note, pmid_in_url
from exoclass.readers.normalise import build_record, excerpt, find_doi, find_pmid, find_year, looks_english
from exoclass.readers.tagged import MAX_BLOCK, Block, Draft
from exoclass.records import Record, Reject

_TAG = re.compile(r"\s*([A-Z][A-Z0-9])[ \u00a0]{2}-[ \u00a0]*(.*)", re.DOTALL)
_TIGHT_TAG = re.compile(r"([A-Z][A-Z0-9])[ \u00a0]-(?:[ \u00a0]+(.*))?", re.DOTALL)
_TYPE = re.compile(r"[A-Z]{3,8}\s*")
_TIGHT_TAGS = (
    "TY A1 A2 A3 A4 AB AD AN AU AV BT C1 C2 C3 C4 C5 C6 C7 C8 CA CN CP CT CY DA DB DO DP ED EP ER ET ID IS J1 J2 JA JF"
    " JO KW L1 L2 L3 L4 LA LB LK M1 M2 M3 N1 N2 NV OP PB PP PT PY RI RN RP SE SN SP ST T1 T2 T3 TA TI TT U1 U2 U3 U4 U5"
    " UR VL VO Y1 Y2"
)
_STRAY = re.compile(r"\s*(?:https?://|www\.|link to\b)", re.IGNORECASE)
_COUNTER = re.compile(r"\s*\d{1,6}\s*[.:)]\s*")
_LONG_TEXT = 200
_MEDLINE = re.compile(r"\b(?:pubmed|medline|nlm|national library of medicine|cmedm|mnh|mdc)\b", re.IGNORECASE)
_NOT_NLM_NUMBER = re.compile(r"\b(?:proquest|embase|web ?of ?science|webofknowledge)\b", re.IGNORECASE)
_ABSTRACT_NOTE = re.compile(r"\s*abstract\s*[:.]\s*", re.IGNORECASE)
_BOOKS = frozenset({"BOOK", "CHAP", "EBOOK", "ECHAP", "EDBOOK"})
_NOTES = ("N1", "M1", "M2", "ID", "AN", "U1", "U2", "U3", "U4", "U5", "C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8")
_LINKS = ("UR", "L2", "L3", "L1", "LK")


def read_ris(lines: Iterable[tuple[int, str]], file: str) -> Iterator[Record | Reject]:
    """Yield the records of a RIS file in order.

    A record ends at ``ER``, at the next ``TY``, or at the end of the file, so a missing ``ER`` loses nothing.

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
    for item in _blocks(lines, file):
        found = True
        yield item if isinstance(item, Reject) else _record(item, file)
    if not found:
        raise InputError(f"{file} holds no RIS record", "Export it again as RIS; each record begins with 'TY  - '.")


class _Dialect:
    """Tells tagged lines from wrapped text; learns from the file whether one blank stands before the dash, or two."""

    def __init__(self) -> None:
        self.tight: bool | None = None

    def split(self, line: str) -> tuple[str, str] | None:
        """Return tag and value, or None for a line that is no field."""
        if match := _TAG.fullmatch(line):
            if match.group(1) == "TY" or self.tight is None:
                self.tight = False
            return match.group(1), match.group(2)
        match = _TIGHT_TAG.fullmatch(line)
        if match is None:
            return None
        tag, value = match.group(1), match.group(2) or ""
        if tag == "TY" and _TYPE.fullmatch(value):
            self.tight = True
            return tag, value
        if tag == "ER" and not value.strip():
            return tag, value
        # in a file with two blanks, "AB - therapy" is the middle of a wrapped sentence
        return (tag, value) if self.tight is not False and tag in _TIGHT_TAGS else None


def _blocks(lines: Iterable[tuple[int, str]], file: str) -> Iterator[Block | Reject]:
    dialect, after_blank = _Dialect(), False
    draft: Draft | None = None
    for number, line in lines:
        field = dialect.split(line)
        if field is None and draft is None and _could_be_a_paper(line):
            yield Reject(file, f"line {number}", "text outside any record", excerpt(line))
        elif field is None and draft is not None and line.strip():
            draft.extend(line)
        if field is not None and field[0] == "ER":
            if draft is not None:
                yield draft.freeze()
            draft = None
            field = dialect.split(field[1])  # the next record may begin on the same line
        if field is not None and field[0] != "ER":
            # some write other fields before TY: then it is the same record, unless a blank line stands between
            if draft is not None and field[0] == "TY" and (after_blank or draft.has("TY")):
                draft.drop_last(_COUNTER)
                yield draft.freeze()
                draft = None
            draft = draft or Draft(number)
            draft.add(*field)
        after_blank = not line.strip() or (after_blank and field is None)
    if draft is not None:
        yield draft.freeze()


def _could_be_a_paper(line: str) -> bool:
    return len(line) > _LONG_TEXT and not line.isspace() and not _STRAY.match(line)


def _record(block: Block, file: str) -> Record | Reject:
    if reason := _fault(block):
        return Reject(file, f"line {block.line}", reason, excerpt(block.head))
    title = _text(block, "TI", "T1", "CT", "BT", "ST", "TT")
    types = [kind for kind in block.values("M3", "PT") if not find_doi(kind)]
    flags = []
    if is_retracted(title, [*types, *block.lines("N1", "KW")]):
        flags.append("retracted")
    if not _BOOKS.isdisjoint(kind.strip() for kind in block.lines("TY")):
        flags.append("book")
    return build_record(
        file=file,
        line=block.line,
        title=title,
        abstract=_abstract(block),
        pmid=_pmid(block),
        doi=_doi(block),
        journal=block.first("JF", "T2", "JO", "JA", "J2", "J1", "JI", "J9"),
        year=next((year for text in block.values("PY", "Y1", "YR", "DA") if (year := find_year(text))), None),
        authors=block.values("AU", "A1") or block.values("A2", "A3", "A4"),
        keywords=[word.strip(" *") for line in block.lines("KW", "DE") for word in line.split(";")],
        publication_types=types,
        flags=flags,
    )


def _fault(block: Block) -> str:
    if block.oversize:
        return f"the record is longer than {MAX_BLOCK:,} characters; an ER line may be missing"
    # TY and ER both lost: the fields of two papers in one record must not become one paper
    if all(len(set(block.values(tag))) > 1 for tag in ("DO", "TI" if "TI" in block.by_tag else "T1")):
        return "two titles and two DOIs in one record; the TY or ER line between them is missing"
    return ""


def _text(block: Block, *tags: str) -> str:
    return next((text for tag in tags for text in _texts(block, tag)), "")


def _texts(block: Block, tag: str) -> list[str]:
    """Return the values of `tag` without the link lines that Embase and Ovid put under a record.

    A link in the middle of a sentence belongs to the text.
    """
    texts = []
    for lines in block.by_tag.get(tag, ()):
        kept = [lines[0].strip()]
        for line in map(str.strip, lines[1:]):
            if not (_STRAY.match(line) and kept[-1].endswith((".", "?", "!", ")", "]"))):
                kept.append(line)
        texts.append(" ".join(kept).strip())
    return [text for text in texts if text]


def _abstract(block: Block) -> str:
    for tag in ("AB", "N2"):
        if texts := list(dict.fromkeys(_texts(block, tag))):
            # several are sections of one abstract, or translations of which the English one is wanted
            return " ".join([text for text in texts if looks_english(text)] or texts)
    notes = block.values("N1")
    return next((_ABSTRACT_NOTE.sub("", note, count=1) for note in notes if _ABSTRACT_NOTE.match(note)), "")


def _doi(block: Block) -> str | None:
    for text in block.values("DO", "DI", "M3", "L3", "ID"):
        if doi := doi_in_url([text]) or find_doi(text):
            return doi
    return doi_in_url(block.values(*_LINKS)) or doi_in_note(block.lines("N1", "M1"))


def _pmid(block: Block) -> str | None:
    """Return the PMID where the record says that a number is one.

    Scopus writes it to C2, Embase to C5, PubMed and MEDLINE through EndNote or EBSCO to AN. An accession number of
    another database, however much it looks like one, is none.
    """
    sources = " ".join(block.values("DB", "DP"))
    tags = ["PM"]
    if re.search(r"\bscopus\b", sources, re.IGNORECASE):
        tags.append("C2")
    if re.search(r"\bembase\b", sources, re.IGNORECASE):
        tags.append("C5")
    elsewhere = " ".join([sources, *block.values("UR")])
    if _MEDLINE.search(sources) and not _NOT_NLM_NUMBER.search(elsewhere):
        tags.append("AN")
    numbers = (pmid for text in block.values(*tags) if (pmid := find_pmid(text)))
    return next(numbers, None) or pmid_in_note(block.lines(*_NOTES)) or pmid_in_url(block.values(*_LINKS))
