"""ESearch: the PMIDs that a query has in a span of days, however many they are.

PubMed delivers no more than 9,999 of them, and says so only in a warning. A span with more is halved, and a single day
with more is cut by ranges of PMIDs, so that every question fits into one answer and there are no pages to go wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

from exoclass.errors import BrokenAnswerError, PubMedError, UsageError
from exoclass.pubmed.eutils import Eutils, fault_of
from exoclass.readers.normalise import clean, excerpt

CEILING = 9_999
"""PMIDs that PubMed delivers for one query at most."""

_TRIES = 3
"""How often the halves of a span are asked for if they hold less than the whole."""

LAST_PMID = 99_999_999

_OURS = frozenset({"crdt", "uid"})
"""Fields that we add to the query; a server that leaves them out answers for all days or PMIDs."""

Dates = Literal["crdt", "mdat"]
"""``crdt``, when PubMed added the record, which is what "new" means: the entry date of a late record is that of its
publication. ``mdat``, when the record was last changed."""


@dataclass(frozen=True, slots=True)
class Found:
    """A question that fitted into one answer.

    Parameters
    ----------
    begins, ends
        Days, both included.
    translation
        What PubMed made of the query.
    unknown
        Phrases and fields of the query that PubMed does not know and left out.
    """

    begins: date
    ends: date
    pmids: tuple[str, ...]
    translation: str
    unknown: tuple[str, ...] = ()


def search(
    eutils: Eutils, query: str, begins: date, ends: date, *, by: Dates = "crdt", ceiling: int = CEILING
) -> Iterator[Found]:
    """Yield all PMIDs of a query in a span of days, in parts of at most `ceiling`, the oldest days first.

    Raises
    ------
    PubMedError
        If PubMed cannot be asked, knows nothing of what the query says, or contradicts itself.
    UsageError
        If a quotation mark or a bracket of the query is not closed.
    """
    check_query(query)
    yield from _parts(eutils, query, begins, ends, (1, LAST_PMID), by, ceiling)


def check_query(query: str) -> None:
    """Refuse a query whose end would swallow the days that are added to it.

    >>> check_query('(exosome*[tiab] OR "smile :)") AND therap*[tiab]')

    Raises
    ------
    UsageError
        If it is empty, or a quotation mark or a bracket in it is not closed.
    """
    depth, bare = 0, "".join(query.split('"')[::2])
    for sign in re.findall(r"[()]", bare):
        depth += 1 if sign == "(" else -1
        if depth < 0:
            break
    shown = f"in the query {excerpt(query)}"
    if not query.strip():
        raise UsageError("the query is empty", "Write one as for PubMed.")
    if query.count('"') % 2:
        raise UsageError(f"a quotation mark is not closed {shown}", "Close it, or leave it out.")
    if depth:
        raise UsageError(f"a bracket has no counterpart {shown}", "Add it, or leave the other out.")


def existing(eutils: Eutils, pmids: tuple[str, ...]) -> frozenset[str]:
    """Return those PMIDs that PubMed has; up to some hundreds at a time.

    Raises
    ------
    PubMedError
        If PubMed cannot be asked.
    """
    answer = _ask(eutils, " OR ".join(f"{pmid}[uid]" for pmid in pmids), {}, CEILING)
    return frozenset(answer["idlist"])


def _parts(
    eutils: Eutils, query: str, begins: date, ends: date, uids: tuple[int, int], by: Dates, ceiling: int
) -> Iterator[Found]:
    term, form = f"({query})", {}
    if by == "crdt":
        term += f' AND ("{begins:%Y/%m/%d}"[crdt] : "{ends:%Y/%m/%d}"[crdt])'
    else:
        form = {"datetype": "mdat", "mindate": f"{begins:%Y/%m/%d}", "maxdate": f"{ends:%Y/%m/%d}"}
    if uids != (1, LAST_PMID):
        term += f" AND {uids[0]}:{uids[1]}[uid]"
    answer = _ask(eutils, term, form, ceiling)
    if int(answer["count"]) <= ceiling:
        unknown = _unknown(answer)
        if unknown and not answer["idlist"]:
            _check_known(eutils, query, unknown)
        yield Found(begins, ends, tuple(answer["idlist"]), clean(str(answer.get("querytranslation", ""))), unknown)
        return
    low, high = uids
    middle, centre = begins + (ends - begins) // 2, (low + high) // 2
    if begins < ends:
        halves = ((begins, middle, uids), (middle + timedelta(days=1), ends, uids))
    elif low < high:
        halves = ((begins, ends, (low, centre)), (begins, ends, (centre + 1, high)))
    else:
        raise PubMedError(f"PubMed counts {answer['count']} records under one PMID", "Run it again later.")
    for _ in range(_TRIES):
        parts = [part for half in halves for part in _parts(eutils, query, *half, by, ceiling)]
        listed = len({pmid for part in parts for pmid in part.pmids})
        if listed >= int(answer["count"]):  # more may have come meanwhile
            yield from parts
            return
        answer = _ask(eutils, term, form, ceiling)  # or some may have gone
    raise PubMedError(
        f"PubMed counts {int(answer['count']):,} records from {begins} to {ends} and lists {listed:,} in parts",
        "Run it again later.",
    )


def _check_known(eutils: Eutils, query: str, unknown: tuple[str, ...]) -> None:
    """Refuse a query of which nothing is left; one that has records on other days just has none on these."""
    if _ask(eutils, f"({query})", {}, 0)["count"] in {"0", 0}:
        raise PubMedError(f"PubMed does not know {', '.join(unknown)} in the query", "Mend the query.")


def _ask(eutils: Eutils, term: str, form: dict[str, str], ceiling: int) -> dict[str, Any]:
    """Return PubMed's ``esearchresult``, with no PMID twice."""
    whole = {"db": "pubmed", "term": term, "retmode": "json", "retstart": "0", "retmax": str(ceiling)} | form
    try:
        answer = _result(eutils.post("esearch.fcgi", whole, fault=_fault(ceiling)))
    except BrokenAnswerError as error:
        remedy = f"Run it again in some minutes; if that does not help, check the query: {excerpt(term)}"
        raise BrokenAnswerError(error.cause, remedy) from None
    if ours := sorted(_OURS.intersection(map(str.lower, _unknown(answer)))):
        raise PubMedError(f"PubMed no longer knows the field {ours[0]}, by which it is asked", "Upgrade exoclass.")
    return answer | {"idlist": list(dict.fromkeys(answer["idlist"]))}


def _result(body: bytes) -> dict[str, Any]:
    # PubMed puts raw control characters into its JSON.
    found = json.loads(body.decode("utf-8", "replace"), strict=False)["esearchresult"]
    return dict(found)


def _fault(ceiling: int) -> Callable[[bytes], str]:
    """Return what says what is wrong with an answer; "no hits" is believed only where a count says so."""

    def fault(body: bytes) -> str:
        if said := fault_of(body):
            return said
        try:
            result = _result(body)
        except (ValueError, KeyError, TypeError, RecursionError):
            return "sends something else than search results"
        if error := result.get("ERROR"):
            return f'reports "{excerpt(str(error))}"'
        count, ids = str(result.get("count", "")), result.get("idlist")
        if not count.isdecimal() or not isinstance(ids, list) or not all(str(pmid).isdecimal() for pmid in ids):
            return "sends search results without a count"
        # Of more than the ceiling only the count is used.
        if int(count) <= ceiling and len(set(ids)) != int(count):
            return f"counts {int(count):,} records and lists {len(set(ids)):,}"
        return ""

    return fault


def _unknown(answer: dict[str, Any]) -> tuple[str, ...]:
    listed = answer.get("errorlist") or {}
    return tuple(str(name) for key in ("phrasesnotfound", "fieldsnotfound") for name in listed.get(key, ()))
