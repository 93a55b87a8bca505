"""PubMed: records by PMID, over the E-utilities."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from exoclass.errors import BrokenAnswerError, PubMedError
from exoclass.pubmed.eutils import Eutils, EutilsSettings, Limiter, fault_of
from exoclass.readers.normalise import excerpt, find_pmid
from exoclass.readers.pubmed_xml import read_pubmed_xml
from exoclass.records import Deletion, Record, Reject

__all__ = ["Eutils", "EutilsSettings", "Limiter", "efetch_all", "fetch"]

BATCH = 200
"""PMIDs per request; NCBI asks for POST from about this number on."""

SOURCE = "PubMed"
"""What stands for the file name in `Record.source` (``PubMed:30943982``) and in `Reject.file`."""

NO_RECORD = "PubMed has no record of it"
"""`Reject.reason` of a PMID that PubMed does not have."""

NOT_SENT = "PubMed could not send it"
"""How `Reject.reason` begins for a PMID whose record did not come whole, though PubMed may well have it."""

_PATIENCE = 10
"""Pieces of a batch that may fail in a row before the rest is given up: more than it takes to single out one of 200."""

_PROBE = "1"
"""The first record of PubMed. Any whole answer, also that there is none, shows that EFetch is at work."""

Item = Record | Reject | Deletion

_SET = re.compile(rb"<Pubmed(?:Book)?ArticleSet(?:\s[^<>]*?)?(/?)>")
_SET_END = re.compile(rb"</Pubmed(?:Book)?ArticleSet\s*>\s*\Z")
_NONE_FOUND = re.compile(rb"<ERROR>\s*ID list is empty")


def fetch(
    pmids: Iterable[str],
    *,
    settings: EutilsSettings,
    limiter: Limiter | None = None,
    notice: Callable[[str], None] | None = None,
) -> Iterator[Item]:
    """Fetch records by PMID, in the order asked for, each as soon as its batch has arrived whole.

    Every PMID is answered once, however often it was asked for: by a `Record`, a `Deletion`, or a `Reject` whose
    position is ``PMID n``. What PubMed sends without being asked comes as a `Reject` too.

    Parameters
    ----------
    limiter
        To be shared by calls that follow each other; by default one of its own at `EutilsSettings.rate`.
    notice
        Takes one line before each repetition of a request.

    Raises
    ------
    PubMedError
        If a batch cannot be had; those before it have been delivered.
    UsageError
        If the base URL is none.
    """
    with Eutils(settings, limiter=limiter, notice=notice) as eutils:
        asked: set[str] = set()
        batch: list[str] = []
        for text in pmids:
            pmid = find_pmid(text)
            if pmid is None:
                yield Reject(SOURCE, f"PMID {excerpt(text)}", "this is no PMID")
            elif pmid not in asked:
                asked.add(pmid)
                batch.append(pmid)
            if len(batch) == BATCH:
                yield from efetch(batch, eutils)
                batch = []
        if batch:
            yield from efetch(batch, eutils)


def efetch(pmids: Sequence[str], eutils: Eutils, *, retries: int | None = None) -> Iterator[Item]:
    """Fetch one batch of different PMIDs and answer each of them; see `fetch`."""
    form = {"db": "pubmed", "retmode": "xml", "id": ",".join(pmids)}
    body = eutils.post("efetch.fcgi", form, fault=fault_of_article_set, retries=retries)
    yield from _answers(pmids, body)


def efetch_all(pmids: Sequence[str], eutils: Eutils) -> Iterator[Item]:
    """Fetch as `efetch` does, but let a record that PubMed cannot send fail alone and not with its batch.

    A batch that is broken time after time is halved until what breaks it stands alone as a `Reject` that begins with
    `NOT_SENT`. If too much fails in a row, the rest is named so without being asked for once more.

    Raises
    ------
    PubMedError
        If nothing else can be had either, so that PubMed is at fault and not a record; nothing was delivered then.
    """
    try:
        yield from list(efetch(pmids, eutils))
    except BrokenAnswerError as error:
        try:
            list(efetch([_PROBE], eutils))
        except PubMedError:
            raise error from None
        yield from _in_pieces(pmids, eutils, error.cause)


def _in_pieces(pmids: Sequence[str], eutils: Eutils, cause: str) -> Iterator[Item]:
    failed, waiting = 0, _halves(pmids)
    if not waiting:
        yield Reject(SOURCE, f"PMID {pmids[0]}", f"{NOT_SENT}: {cause}")
    while waiting:
        piece = waiting.pop()
        items: list[Item] | None = None
        if failed < _PATIENCE:
            try:
                items = list(efetch(piece, eutils, retries=1))
                failed = 0
            except BrokenAnswerError as error:
                failed, cause = failed + 1, error.cause
        if items is not None:
            yield from items
        elif len(piece) > 1 and failed < _PATIENCE:
            waiting += _halves(piece)
        else:
            yield from (Reject(SOURCE, f"PMID {pmid}", f"{NOT_SENT}: {cause}") for pmid in piece)


def _halves(pmids: Sequence[str]) -> list[Sequence[str]]:
    """Return two halves, the first one last, as a stack has it; nothing if there is one PMID only."""
    middle = len(pmids) // 2
    return [pmids[middle:], pmids[:middle]] if middle else []


def fault_of_article_set(body: bytes) -> str:
    """Return what is wrong with an answer of EFetch; empty text if it is a whole set of articles.

    >>> fault_of_article_set(b"<PubmedArticleSet></PubmedArticleSet>")
    ''
    """
    if _NONE_FOUND.search(body):  # an ERROR for what is otherwise an empty set
        return ""
    if fault := fault_of(body):
        return fault
    opened = _SET.search(body)
    if opened is None:
        return "sends something else than records" if body.strip() else "sends an empty answer"
    return "" if opened[1] or _SET_END.search(body) else "sends records that are cut off"


def _answers(pmids: Sequence[str], body: bytes) -> Iterator[Item]:
    found: dict[str, Item] = {}
    records = b"" if _NONE_FOUND.search(body) else body
    for item in read_pubmed_xml(io.BytesIO(records), SOURCE):
        pmid = find_pmid(item.excerpt) if isinstance(item, Reject) else item.pmid
        if pmid is None or pmid not in pmids:
            unasked = Reject(SOURCE, f"PMID {pmid or 'unknown'}", "sent without being asked for")
            yield item if isinstance(item, Reject) else unasked
            continue
        earlier = found.get(pmid)
        if earlier is None or _rank(item) > _rank(earlier):
            found[pmid] = item
    for pmid in pmids:
        match found.get(pmid):
            case None:
                yield Reject(SOURCE, f"PMID {pmid}", NO_RECORD)
            case Reject() as reject:
                yield replace(reject, position=f"PMID {pmid}")
            case item:
                yield replace(item, source=f"{SOURCE}:{pmid}")


def _rank(item: Item) -> int:
    """Return which of two answers for one PMID counts: the newest version of the record, else any."""
    return item.version if isinstance(item, Record) else 0
