"""ESearch: the PMIDs that a query has in a span of days, however many they are.

PubMed delivers no more than 9,999 of them, and says so only in a warning. A span with more is halved, and a single day
with more is cut by ranges of PMIDs, so that every question fits into one answer and there are no pages to go wrong.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

from exoclass.errors import PubMedError
from exoclass.pubmed.eutils import Eutils, fault_of

CEILING = 9_999
"""PMIDs that PubMed delivers for one query at most."""

LAST_PMID = 99_999_999

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
        If PubMed cannot be asked, or knows nothing of what the query says.
    """
    yield from _parts(eutils, query, begins, ends, (1, LAST_PMID), by, ceiling)


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
            raise PubMedError(f"PubMed does not know {', '.join(unknown)} in the query", "Mend the query.")
        yield Found(begins, ends, tuple(answer["idlist"]), str(answer.get("querytranslation", "")), unknown)
        return
    low, high = uids
    if begins < ends:
        middle = begins + (ends - begins) // 2
        yield from _parts(eutils, query, begins, middle, uids, by, ceiling)
        yield from _parts(eutils, query, middle + timedelta(days=1), ends, uids, by, ceiling)
    elif low < high:
        yield from _parts(eutils, query, begins, ends, (low, (low + high) // 2), by, ceiling)
        yield from _parts(eutils, query, begins, ends, ((low + high) // 2 + 1, high), by, ceiling)
    else:
        raise PubMedError(f"PubMed counts {answer['count']} records under one PMID", "Run it again later.")


def _ask(eutils: Eutils, term: str, form: dict[str, str], ceiling: int) -> dict[str, Any]:
    """Return PubMed's ``esearchresult``, with no PMID twice."""
    whole = {"db": "pubmed", "term": term, "retmode": "json", "retstart": "0", "retmax": str(ceiling)} | form
    answer = _result(eutils.post("esearch.fcgi", whole, fault=_fault(ceiling)))
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
            return f'reports "{error}"'
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
