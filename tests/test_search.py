"""Searching a real local server: all that a query has, or a clear line on why not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta

import eutils_server
import pytest
from eutils_server import Fault, Handler, Server, error, says

from exoclass.errors import PubMedError, UsageError
from exoclass.pubmed import Eutils, EutilsSettings, Limiter
from exoclass.pubmed.search import Found, existing, search

DAY = date(2026, 11, 23)
BEFORE = DAY - timedelta(days=40)
QUERY = "exosome*[tiab]"
RETRIES = 2


@pytest.fixture
def eutils(server: Server) -> Iterator[Eutils]:
    settings = EutilsSettings(base_url=server.url, api_key=eutils_server.KEY, retries=RETRIES, backoff=0.0)
    with Eutils(settings, limiter=Limiter(1e9, clock=lambda: 0.0, sleep=lambda _: None)) as running:
        yield running


def ask(eutils: Eutils, query: str = QUERY, ceiling: int = 9_999) -> list[Found]:
    return list(search(eutils, query, BEFORE, DAY, ceiling=ceiling))


def pmids(found: list[Found]) -> list[str]:
    return [pmid for part in found for pmid in part.pmids]


def result(**changes: object) -> Fault:
    return says(200, json.dumps({"esearchresult": {"count": "0", "idlist": [], "querytranslation": ""} | changes}))


def unknown(*phrases: str, fields: tuple[str, ...] = ()) -> dict[str, object]:
    return {"errorlist": {"phrasesnotfound": phrases, "fieldsnotfound": fields}}


def hides(handler: Handler, _: bytes) -> None:
    """Say in good order that there is nothing."""
    handler.answer(200, json.dumps({"esearchresult": {"count": "0", "idlist": []}}).encode())


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ('"extracellular vesicle AND x[tiab]', 'a quotation mark is not closed in the query "extracellular'),
        ("(exosome OR vesicle", "a bracket has no counterpart in the query (exosome OR vesicle. Add it"),
        ("exosome) OR (vesicle", "a bracket has no counterpart"),
        (" ", "the query is empty"),
    ],
)
def test_a_query_that_would_swallow_the_days_is_refused_unasked(
    server: Server, eutils: Eutils, query: str, said: str
) -> None:
    with pytest.raises(UsageError) as refused:
        ask(eutils, query)
    assert str(refused.value).startswith(said)
    assert server.forms == []


def test_brackets_within_quotation_marks_are_text(server: Server, eutils: Eutils) -> None:
    server.add(1, DAY)
    assert pmids(ask(eutils, '"smile :)"[tiab] AND (a OR (b))')) == ["1"]


def test_a_long_query_is_a_form_and_not_in_the_address(server: Server, eutils: Eutils) -> None:
    ask(eutils, " OR ".join(f'"vesicle {n}"[tiab]' for n in range(1000)))
    assert len(server.heads[0]) < 500
    assert server.heads[0].startswith("POST")


def test_what_pubmed_made_of_the_query_is_kept_without_control_characters(server: Server, eutils: Eutils) -> None:
    assert ask(eutils)[0].translation == f"all of {f'({QUERY}) AND'[:20]}".strip()


def test_days_without_records_are_no_fault_of_a_phrase_that_is_left_out(server: Server, eutils: Eutils) -> None:
    server.faults.extend([result(**unknown("exosoem")), result(count="7", **unknown("exosoem"))])
    [found] = ask(eutils)
    assert (found.pmids, found.unknown) == ((), ("exosoem",))
    assert server.forms[1]["term"] == f"({QUERY})"
    assert "mindate" not in server.forms[1]


def test_a_query_of_which_nothing_is_known_is_one_clear_line(server: Server, eutils: Eutils) -> None:
    server.faults.extend([result(**unknown("exosoem", "vesilce"))] * 2)
    with pytest.raises(PubMedError) as failed:
        ask(eutils)
    assert str(failed.value) == "PubMed does not know exosoem, vesilce in the query. Mend the query."


@pytest.mark.parametrize("field", ["crdt", "UID"])
def test_a_server_that_leaves_out_our_own_fields_is_not_believed(server: Server, eutils: Eutils, field: str) -> None:
    server.faults.append(result(count="1", idlist=["1"], **unknown(fields=(field,))))
    with pytest.raises(PubMedError, match="no longer knows the field"):
        ask(eutils)


def test_a_half_that_hides_what_it_has_is_asked_again(server: Server, eutils: Eutils) -> None:
    for n in range(20):
        server.add(n + 1, DAY - timedelta(days=n))
    server.faults.extend([None, None, hides])
    assert sorted(map(int, pmids(ask(eutils, ceiling=15)))) == list(range(1, 21))


def test_halves_that_hold_less_than_the_whole_time_after_time_are_an_error(server: Server, eutils: Eutils) -> None:
    for n in range(20):
        server.add(n + 1, DAY - timedelta(days=n))
    latest = f'"{DAY:%Y/%m/%d}"[crdt])'
    server.rule = lambda form: hides if latest in form["term"] and f"{BEFORE:%Y/%m/%d}" not in form["term"] else None
    with pytest.raises(
        PubMedError, match=r"counts 20 records from 2026-10-14 to 2026-11-23 and lists 0 in parts\. Run"
    ):
        ask(eutils, ceiling=15)


@pytest.mark.parametrize("change", ["came", "gone"])
def test_records_that_come_or_go_while_a_span_is_halved_are_no_error(
    server: Server, eutils: Eutils, change: str
) -> None:
    for n in range(20):
        server.add(n + 1, DAY - timedelta(days=n))

    def changes(handler: Handler, body: bytes) -> None:
        if change == "came":
            server.add(99, DAY)
        else:
            server.remove(1)
        handler.answer(200, body)

    server.faults.append(changes)
    assert set(pmids(ask(eutils, ceiling=15))) == set(server.articles)


def test_an_error_that_stays_names_the_query_and_is_not_quoted_at_length(server: Server, eutils: Eutils) -> None:
    server.faults.extend(
        [says(200, json.dumps({"esearchresult": {"ERROR": "Search Backend failed:\n" + "x" * 900}}))] * 3
    )
    with pytest.raises(PubMedError) as failed:
        ask(eutils)
    line = str(failed.value)
    assert line.startswith('127.0.0.1 reports "Search Backend failed: xxx')
    assert line.endswith(f"3 times in a row. Run it again in some minutes; if that does not help, check the query: "
                         f"{failed.value.remedy.partition('query: ')[2]}")  # fmt: skip
    assert QUERY in line
    assert len(line) < 320


@pytest.mark.parametrize("fault", [says(200, error("Invalid query")), says(400, error("Invalid query"))])
def test_a_query_that_pubmed_cannot_read_is_one_clear_line(server: Server, eutils: Eutils, fault: Fault) -> None:
    server.faults.extend([fault] * 3)
    with pytest.raises(PubMedError, match=r'reports "Invalid query", 3 times in a row\. .*check the query: \(exosome'):
        ask(eutils)


def test_existing_says_what_pubmed_has(server: Server, eutils: Eutils) -> None:
    server.hold(1, 3)
    assert existing(eutils, ("1", "2", "3")) == {"1", "3"}
