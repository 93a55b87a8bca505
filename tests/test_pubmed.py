"""Fetching from a real local server that misbehaves: nothing lost, nothing doubled, the key in no message."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import eutils_server
import pytest
from eutils_server import KEY, PAGE, Fault, Server, article, cut, cut_unseen, drop, error, hang, says
from hypothesis import given, settings
from hypothesis import strategies as st

from exoclass import pubmed
from exoclass.errors import InputError, PubMedError, UsageError
from exoclass.pubmed import Eutils, EutilsSettings, Limiter, efetch_all, fetch
from exoclass.records import Deletion, Record, Reject

Item = Record | Reject | Deletion
RETRIES = 4

OVER_LIMIT = '{"error":"API rate limit exceeded","api-key":"127.0.0.1","count":"4","limit":"3"}'
PASSING: dict[str, Fault] = {
    "429": says(429, OVER_LIMIT),
    "429 with Retry-After": says(429, OVER_LIMIT, {"Retry-After": "0"}),
    "500": says(500, "Internal Server Error"),
    "500 with a page": says(500, PAGE),
    "502": says(502, PAGE),
    "503": says(503, b"", {"Retry-After": "0"}),
    "408": says(408),
    "page in 200": says(200, PAGE, {"Content-Type": "text/html"}),
    "ERROR in 200": says(200, error("Unable to obtain query #1")),
    "ERROR in 400": says(400, error("proxy_stream(): Failed to connect to PubOne service")),
    "ERROR that is cut off": says(200, "<eFetchResult><ERROR>something wen"),
    "JSON in 200": says(200, OVER_LIMIT),
    "nothing in 200": says(200),
    "cut connection": cut,
    "cut XML": cut_unseen,
    "dropped connection": drop,
    "gzip that is none": says(200, b"no gzip", {"Content-Encoding": "gzip"}),
}


@dataclass
class Watch:
    """A clock that only a limiter's sleep moves, so that no test waits."""

    now: float = 100.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 3))
        self.now += seconds

    def limiter(self, rate: float = 1e9) -> Limiter:
        return Limiter(rate, clock=lambda: self.now, sleep=self.sleep)


@pytest.fixture
def watch() -> Watch:
    return Watch()


def to(server: Server, *, api_key: str = KEY, backoff: float = 0.0) -> EutilsSettings:
    return EutilsSettings(
        base_url=server.url, email="erika@example.org", api_key=api_key, retries=RETRIES, backoff=backoff
    )


def ask(server: Server, *pmids: int | str, limiter: Limiter | None = None) -> list[Item]:
    return list(fetch(map(str, pmids), settings=to(server), limiter=limiter or Watch().limiter()))


def shown(items: list[Item]) -> list[str]:
    """Return for each item what it answers."""
    return [item.position if isinstance(item, Reject) else item.pmid or "" for item in items]


def fails(server: Server, *pmids: int | str, api_key: str = KEY) -> PubMedError:
    with pytest.raises(PubMedError) as caught:
        list(fetch(map(str, pmids), settings=to(server, api_key=api_key), limiter=Watch().limiter()))
    assert api_key not in f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"
    return caught.value


def test_records_come_as_our_readers_read_them(server: Server) -> None:
    server.hold(90000001)
    assert ask(server, 90000001) == [
        Record(
            title="Vesicles, study 90000001",
            abstract="Vesicles number 90000001 closed wounds of mice.",
            pmid="90000001",
            source="PubMed:90000001",
        )
    ]


def test_each_pmid_is_answered_once_in_the_order_asked_for(server: Server) -> None:
    numbers = [str(90000450 - n) for n in range(450)]
    server.hold(*sorted(numbers))
    assert shown(ask(server, *numbers, *numbers[:250])) == numbers
    assert server.asked == [numbers[:200], numbers[200:400], numbers[400:]]


def test_a_batch_is_delivered_before_the_next_is_asked_for(server: Server) -> None:
    server.hold(*range(1, 401))
    answers = fetch(map(str, range(1, 401)), settings=to(server), limiter=Watch().limiter())
    assert len([next(answers) for _ in range(200)]) == 200
    assert len(server.forms) == 1
    next(answers)
    assert len(server.forms) == 2


def test_nothing_to_fetch_asks_nothing(server: Server) -> None:
    assert ask(server) == []
    assert server.forms == []


def test_a_request_is_a_form_that_says_who_asks(server: Server) -> None:
    server.hold(7)
    ask(server, 7)
    assert server.forms == [
        {
            "db": "pubmed",
            "retmode": "xml",
            "id": "7",
            "tool": "exoclass",
            "email": "erika@example.org",
            "api_key": KEY,
        }
    ]
    assert server.heads[0].startswith("POST /entrez/eutils/efetch.fcgi HTTP/1.1")
    assert KEY not in server.heads[0]


def test_what_is_not_set_is_not_sent(server: Server) -> None:
    server.hold(7)
    list(fetch(["7"], settings=EutilsSettings(base_url=server.url.rstrip("/"))))
    assert server.forms[0].keys() == {"db", "retmode", "id", "tool"}


def test_what_pubmed_does_not_have_is_a_reject(server: Server) -> None:
    server.hold(1, 3)
    assert ask(server, 1, 2, 3)[1] == Reject("PubMed", "PMID 2", "PubMed has no record of it")


@pytest.mark.parametrize(
    "none", [says(200, "<PubmedArticleSet/>"), says(400, error("ID list is empty! Possibly it has no correct IDs."))]
)
def test_an_answer_with_no_record_at_all_rejects_each_pmid(server: Server, none: Fault) -> None:
    server.faults.append(none)
    assert shown(ask(server, 1, 2)) == ["PMID 1", "PMID 2"]
    assert len(server.forms) == 1


def test_what_is_no_pmid_is_rejected_and_not_sent(server: Server) -> None:
    server.hold(8)
    items = ask(server, "PMC123", "", "0", "1,2", "008", "PMID: 8")
    assert shown(items) == ["PMID PMC123", "PMID ", "PMID 0", "PMID 1,2", "8"]
    assert server.asked == [["8"]]


def test_of_two_versions_the_newer_one_counts(server: Server) -> None:
    server.articles["5"] = article("5", version=2, title="New") + article("5", title="Old") + article("5", version=2)
    (item,) = ask(server, 5)
    assert isinstance(item, Record)
    assert (item.title, item.version) == ("New", 2)


def test_what_was_not_asked_for_is_a_reject(server: Server) -> None:
    server.articles["5"] = article("5") + article("6")
    assert ask(server, 5)[0] == Reject("PubMed", "PMID 6", "sent without being asked for")
    assert shown(ask(server, 5)) == ["PMID 6", "5"]


def test_a_record_without_a_pmid_is_a_reject(server: Server) -> None:
    server.articles["5"] = article("")
    assert shown(ask(server, 5)) == ["PMID unknown", "PMID 5"]


def test_a_faulty_article_does_not_harm_the_others(server: Server) -> None:
    server.hold(1, 3)
    server.articles["2"] = article("2", title="<b>never closed")
    items = ask(server, 1, 2, 3)
    assert shown(items) == ["1", "PMID 2", "3"]
    assert isinstance(items[1], Reject)
    assert "not well-formed" in items[1].reason


def test_a_withdrawn_pmid_is_a_deletion(server: Server) -> None:
    server.hold(1)
    server.articles["2"] = "<DeleteCitation><PMID>2</PMID></DeleteCitation>"
    assert ask(server, 1, 2)[1] == Deletion("2", "PubMed:2")


def test_declared_entities_are_refused(server: Server) -> None:
    server.faults.append(
        says(200, '<!DOCTYPE PubmedArticleSet [<!ENTITY a "ha">]><PubmedArticleSet></PubmedArticleSet>')
    )
    with pytest.raises(InputError, match="entities"):
        ask(server, 1)


@pytest.mark.parametrize("name", PASSING)
def test_a_passing_fault_costs_one_more_request(server: Server, watch: Watch, name: str) -> None:
    server.hold(1, 2, 4)
    server.faults.append(PASSING[name])
    notices: list[str] = []
    items = list(fetch("1234", settings=to(server), limiter=watch.limiter(), notice=notices.append))
    assert shown(items) == ["1", "2", "PMID 3", "4"]
    assert server.asked == [["1", "2", "3", "4"]] * 2
    assert [line.endswith("; trying again in 0 s (1 of 4)") for line in notices] == [True]
    assert notices[0].startswith("127.0.0.1 ")


def test_a_server_that_hangs_is_given_up(server: Server) -> None:
    server.hold(1)
    server.faults.append(hang)
    quick = replace(to(server), timeout=0.1)
    assert shown(list(fetch(["1"], settings=quick, limiter=Watch().limiter()))) == ["1"]
    server.faults.extend([hang] * (RETRIES + 1))
    with pytest.raises(PubMedError, match="does not answer in time, 5 times in a row"):
        list(fetch(["1"], settings=quick, limiter=Watch().limiter()))


@settings(max_examples=25)
@given(st.lists(st.lists(st.sampled_from(sorted(PASSING)), max_size=RETRIES), min_size=4, max_size=4))
def test_whatever_goes_wrong_nothing_is_lost_or_doubled(faults: list[list[str]]) -> None:
    with pytest.MonkeyPatch.context() as patch, eutils_server.serve() as server:
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setattr(pubmed, "BATCH", 3)
        server.hold(*range(1, 11))
        del server.articles["6"]
        server.faults.extend(fault for names in faults for fault in (*(PASSING[name] for name in names), None))
        assert shown(ask(server, *range(1, 11))) == ["1", "2", "3", "4", "5", "PMID 6", "7", "8", "9", "10"]


@pytest.mark.parametrize("name", PASSING)
def test_a_lasting_fault_is_one_error_after_what_came_before(server: Server, name: str) -> None:
    server.hold(*range(1, 301))
    server.faults.extend([None, *[PASSING[name]] * (RETRIES + 1)])
    answers = fetch(map(str, range(1, 301)), settings=to(server), limiter=Watch().limiter())
    assert len([next(answers) for _ in range(200)]) == 200
    with pytest.raises(PubMedError, match="5 times in a row") as caught:
        next(answers)
    assert caught.value.remedy
    assert "<" not in str(caught.value)
    assert len(server.forms) == 1 + RETRIES + 1


def all_of(server: Server, *pmids: int, notice: Callable[[str], None] | None = None) -> list[Item]:
    with Eutils(to(server), limiter=Watch().limiter(), notice=notice) as eutils:
        return list(efetch_all([str(pmid) for pmid in pmids], eutils))


def breaks(*pmids: int, at: int = 1) -> Callable[[dict[str, str]], Fault | None]:
    """Cut every answer that has `at` or more of these records in it."""
    return lambda form: cut_unseen if len({*map(str, pmids)} & {*form["id"].split(",")}) >= at else None


def test_an_answer_that_is_always_too_long_comes_in_parts(server: Server) -> None:
    server.hold(*range(1, 201))
    server.rule = breaks(*range(1, 201), at=60)
    assert shown(all_of(server, *range(1, 201))) == [str(n) for n in range(1, 201)]
    assert len(server.forms) == 5 + 1 + 2 * 2 + 4  # the whole, the trial of one record, the halves, the quarters


@pytest.mark.parametrize("bad", [(2,), (200,), (77,), (3, 4, 120)])
def test_records_that_cannot_be_sent_cost_no_other_one(server: Server, bad: tuple[int, ...]) -> None:
    server.hold(*range(1, 201))
    server.rule = breaks(*bad)
    items = all_of(server, *range(1, 201))
    assert [item.position for item in items if isinstance(item, Reject)] == [f"PMID {n}" for n in bad]
    assert len(items) == 200
    assert {item.reason for item in items if isinstance(item, Reject)} == {
        "PubMed could not send it: 127.0.0.1 sends records that are cut off, 2 times in a row"
    }


def test_when_too_much_fails_the_rest_is_named_and_not_asked_for(server: Server) -> None:
    server.hold(*range(1, 201))
    server.rule = lambda form: None if form["id"] == "1" else cut_unseen
    items = all_of(server, *range(2, 201))
    assert shown(items) == [f"PMID {n}" for n in range(2, 201)]
    assert len(server.forms) == 5 + 1 + 10 * 2


def test_a_connection_that_is_always_cut_is_halved_too(server: Server) -> None:
    server.hold(1, 2, 3, 4)
    server.rule = lambda form: cut if form["id"].count(",") > 1 else None
    assert shown(all_of(server, 1, 2, 3, 4)) == ["1", "2", "3", "4"]


@pytest.mark.parametrize("name", PASSING)
def test_an_outage_is_no_fault_of_the_records(server: Server, name: str) -> None:
    server.hold(*range(1, 201))
    server.rule = lambda _: PASSING[name]
    with pytest.raises(PubMedError, match="5 times in a row") as caught:
        all_of(server, *range(1, 201))
    assert KEY not in f"{caught.value!r} {caught.value} {caught.value.__context__!r}"
    assert len(server.forms) <= 2 * (RETRIES + 1)


def test_waits_double_and_pass_the_limiter(server: Server, watch: Watch) -> None:
    server.hold(1)
    server.faults.extend([says(500)] * RETRIES)
    list(fetch(["1"], settings=to(server, backoff=0.2), limiter=watch.limiter(rate=2.2)))
    assert watch.slept == [0.5, 0.5, 0.8, 1.6]


def test_retry_after_counts_more_than_our_own_patience(server: Server, watch: Watch) -> None:
    server.hold(1)
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=250), usegmt=True)
    server.faults.extend([says(429, b"", {"Retry-After": "7"}), says(503, b"", {"Retry-After": date})])
    list(fetch(["1"], settings=to(server, backoff=1000), limiter=watch.limiter()))
    assert watch.slept[0] == 7
    assert 100 < watch.slept[1] <= 250  # a slow machine may be late


def test_a_retry_after_that_says_nothing_leaves_our_own_patience(server: Server, watch: Watch) -> None:
    server.hold(1)
    server.faults.append(says(429, b"", {"Retry-After": "soon"}))
    list(fetch(["1"], settings=to(server, backoff=3), limiter=watch.limiter()))
    assert watch.slept == [3]


def test_a_wait_that_is_too_long_is_left_to_the_user(server: Server) -> None:
    server.faults.append(says(503, b"", {"Retry-After": "3600"}))
    assert "asks to wait 3600 seconds. Run it again after that." in str(fails(server, 1))
    assert len(server.forms) == 1


@pytest.mark.parametrize(("api_key", "rate"), [("", 3), (KEY, 10)])
def test_requests_keep_to_the_rate_that_ncbi_allows(watch: Watch, api_key: str, rate: int) -> None:
    limiter = watch.limiter(EutilsSettings(api_key=api_key).rate)
    times = []
    for _ in range(5 * rate):
        limiter.wait()
        times.append(watch.now)
    assert times[0] == 100
    assert all(times[n + rate] - times[n] > 1 for n in range(len(times) - rate))
    assert times[-1] < 100 + 5.6


def test_time_that_passed_anyway_is_not_waited_for_again(watch: Watch) -> None:
    limiter = watch.limiter(1)
    limiter.wait()
    watch.now += 5
    limiter.wait()
    assert watch.slept == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (says(404, PAGE), "127.0.0.1 answers 404 Not Found. Check"),
        (says(414, "too long"), "answers 414 Request-URI Too Long: too long. Check"),
        (says(301, b"", {"Location": "http://127.0.0.1:9/"}), "answers 301 Moved Permanently. Check"),
        (says(400, f'{{"error":"bad","api-key":"{KEY}"}}'), "answers 400 Bad Request"),
        (says(400, f'{{"error":"API key invalid","api-key":"{KEY}","type":"api-key"}}'), "refuses the API key. Mend"),
        (says(200, error(f"Invalid api_key {KEY}")), "refuses the API key. Mend NCBI_API_KEY"),
    ],
)
def test_what_is_refused_for_good_is_not_tried_again(server: Server, fault: Fault, said: str) -> None:
    server.faults.append(fault)
    assert said in str(fails(server, 1))
    assert len(server.forms) == 1


@pytest.mark.parametrize("padding", [0, 30, 50, 66, 74])
@pytest.mark.parametrize("status", [200, 400, 403, 500])
def test_no_part_of_the_key_is_quoted_from_an_answer(server: Server, status: int, padding: int) -> None:
    server.faults.extend([says(status, error("x" * padding + KEY))] * (RETRIES + 1))
    assert KEY[:6] not in str(fails(server, 1))


def test_the_key_is_in_no_log_and_no_repr(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server.hold(1)
    server.faults.extend(PASSING[name] for name in ("429", "cut connection", "ERROR in 200"))
    ask(server, 1)
    assert caplog.text
    assert KEY not in caplog.text
    assert KEY not in repr(to(server))


def test_a_server_that_is_not_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        off = EutilsSettings(base_url=url, retries=1, backoff=0)
        with pytest.raises(PubMedError, match=r"127\.0\.0\.1 cannot be reached.*2 times in a row\. Check the conn"):
            list(fetch(["1"], settings=off, limiter=Watch().limiter()))


@pytest.mark.parametrize("url", ["", "eutils", "ftp://example.org/", "http://", "http://[::1/", "file:///etc/passwd"])
def test_an_address_that_is_none_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError, match="EXOCLASS_EUTILS_URL"):
        list(fetch(["1"], settings=EutilsSettings(base_url=url)))


def test_a_password_in_the_address_is_not_shown(server: Server) -> None:
    server.faults.append(says(404))
    url = server.url.replace("//", "//erika:secret@")
    with pytest.raises(PubMedError) as caught:
        list(fetch(["1"], settings=EutilsSettings(base_url=url)))
    assert "secret" not in f"{caught.value!r}"
