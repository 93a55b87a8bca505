"""Harvesting from a real local server into a real library: nothing lost, nothing doubled, whatever goes wrong."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from conftest import clean_environment
from eutils_server import KEY, PAGE, Fault, Handler, Server, article, cut, cut_unseen, drop, error, hang, says

from exoclass.errors import PubMedError, UsageError
from exoclass.harvest import Harvested, harvest, since_last
from exoclass.library import Filter, Library
from exoclass.pubmed import EutilsSettings, Limiter
from exoclass.pubmed.search import search
from exoclass.records import Record

TODAY = date(2026, 11, 23)
NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
QUERY = "exosome*[tiab]"
RETRACTED = '<CommentsCorrectionsList><CommentsCorrections RefType="RetractionIn"/></CommentsCorrectionsList>'


@pytest.fixture
def library(library: Library) -> Library:
    """Return a new library with one query."""
    library.queries.save("mine", QUERY, when=NOW.isoformat())
    return library


def unhurried() -> Limiter:
    """Return a limiter whose clock only its own sleep moves, so that no test waits."""
    now = [0.0]
    return Limiter(1e9, clock=lambda: now[0], sleep=lambda seconds: now.__setitem__(0, now[0] + seconds))


def to(server: Server, *, timeout: float = 5.0, retries: int = 3) -> EutilsSettings:
    return EutilsSettings(base_url=server.url, api_key=KEY, timeout=timeout, retries=retries, backoff=0.0)


def ask(
    library: Library, server: Server, begins: date = TODAY - timedelta(days=7), ends: date = TODAY, *,
    now: datetime = NOW, notices: list[str] | None = None, ceiling: int = 9_999, timeout: float = 5.0,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Harvested:  # fmt: skip
    server.ceiling = ceiling
    return harvest(
        library, "mine", begins, ends, settings=to(server, timeout=timeout), now=lambda: now, limiter=unhurried(),
        notice=(notices if notices is not None else []).append, progress=progress, ceiling=ceiling,
    )  # fmt: skip


def pmids(library: Library, wanted: Filter | None = None) -> set[str | None]:
    return {entry.record.pmid for entry in library.records(wanted)}


def fill(server: Server, count: int, day: date = TODAY, start: int = 1) -> set[str]:
    for number in range(start, start + count):
        server.add(number, day)
    return {str(number) for number in range(start, start + count)}


# ------------------------------------------------------------------------------------------------- what is brought


def test_what_was_added_in_the_span_is_brought_once(library: Library, server: Server) -> None:
    wanted = fill(server, 5) | fill(server, 5, TODAY - timedelta(days=7), 11)
    fill(server, 5, TODAY - timedelta(days=8), 21)  # too early
    seen: list[tuple[int, int]] = []
    found = ask(library, server, progress=lambda done, total: seen.append((done, total)))
    assert pmids(library) == wanted
    assert (found.found, len(found.new), found.revised, found.rejects) == (10, 10, (), ())
    assert seen == [(10, 10)]
    again = ask(library, server)
    assert (again.found, again.new) == (10, ())
    [asked_for] = [form for form in server.asked if len(form) == 10]
    assert set(asked_for) == wanted  # each was fetched a single time


def test_a_late_record_with_an_old_date_is_new(library: Library, server: Server) -> None:
    server.add(1, TODAY, article("1", title="Published a year ago, added today"))
    assert len(ask(library, server).new) == 1


def test_since_last_reaches_back_over_the_end_of_the_last_window(library: Library, server: Server) -> None:
    assert since_last(library, "mine", today=TODAY) == TODAY - timedelta(days=30)
    ask(library, server)
    assert since_last(library, "mine", today=TODAY) == TODAY - timedelta(days=3)
    assert since_last(library, "mine", today=TODAY + timedelta(days=7)) == TODAY - timedelta(days=3)


def test_clock_skew_loses_nothing(library: Library, server: Server) -> None:
    server.add(1, TODAY + timedelta(days=1))  # PubMed's day has begun, ours has not
    assert len(ask(library, server).new) == 1
    server.add(2, TODAY - timedelta(days=1))  # and it still adds to days that are over
    server.add(3, TODAY + timedelta(days=2))
    tomorrow = TODAY + timedelta(days=1)
    begins = since_last(library, "mine", today=tomorrow)
    found = ask(library, server, begins, tomorrow)
    assert pmids(library) == {"1", "2", "3"}
    assert len(found.new) == 2


def test_a_long_span_goes_window_by_window(library: Library, server: Server) -> None:
    wanted = {str(n) for n in range(1, 101)}
    for number in range(1, 101):
        server.add(number, TODAY - timedelta(days=number))
    ask(library, server, TODAY - timedelta(days=100))
    assert pmids(library) == wanted
    windows = library.queries.windows("mine")
    assert len(windows) == 4
    assert all(window.done for window in windows)
    assert sum(window.found or 0 for window in windows) == 100
    assert windows[0].translation.startswith("all of")


def test_revised_retracted_and_deleted_between_two_runs(library: Library, server: Server) -> None:
    fill(server, 6)
    ask(library, server)
    later, day = NOW + timedelta(days=7), TODAY + timedelta(days=7)
    server.add(1, day, article("1", abstract="Vesicles closed wounds of mice, and of rats."))
    server.add(2, day, article("2", more=RETRACTED))
    server.remove(3)
    server.add(4, day)  # changed in nothing that we keep
    server.add(99, day, created=date(2020, 1, 1))  # an old paper that was never here
    found = ask(library, server, since_last(library, "mine", today=day), day, now=later)
    assert found.new == ()
    assert found.revised == (library.get("1").id,)
    assert found.retracted == (library.get("2").id,)
    assert found.deleted == ("3",)
    assert {p: library.get(p).state for p in "1234"} == {"1": "live", "2": "retracted", "3": "deleted", "4": "live"}
    assert found.rejects == ()
    assert pmids(library) == {"1", "2", "3", "4", "5", "6"}


def test_a_record_that_only_the_index_has_lost_is_not_withdrawn(library: Library, server: Server) -> None:
    fill(server, 3)
    ask(library, server)
    del server.created["2"]
    server.hits = lambda form: [p for p in server.articles if p != "2"] if "[uid]" in form["term"] else []  # type: ignore[method-assign]
    assert ask(library, server).deleted == ()


def test_a_record_without_text_or_unknown_is_named_and_the_others_come(library: Library, server: Server) -> None:
    fill(server, 3)
    server.add(4, TODAY, "<PubmedArticle><MedlineCitation><PMID>4</PMID></MedlineCitation></PubmedArticle>")
    server.add(5, TODAY, "<!-- held back -->")
    found = ask(library, server)
    assert pmids(library) == {"1", "2", "3"}
    assert {reject.position for reject in found.rejects} == {"PMID 4", "PMID 5"}


def test_a_window_that_ends_in_the_future_was_asked_only_until_it_was_done(library: Library, server: Server) -> None:
    ask(library, server, ends=TODAY + timedelta(days=400))
    later = TODAY + timedelta(days=30)
    assert since_last(library, "mine", today=later) == TODAY - timedelta(days=3)


def test_the_same_span_again_finds_what_changed_since(library: Library, server: Server) -> None:
    fill(server, 3)
    ask(library, server)
    server.add(2, TODAY, article("2", more=RETRACTED))
    found = ask(library, server, now=NOW + timedelta(hours=6))
    assert found.retracted == (library.get("2").id,)


def test_what_a_file_brought_meanwhile_is_not_what_pubmed_has(library: Library, server: Server) -> None:
    server.add(1, TODAY, article("1", more=RETRACTED), created=date(2020, 1, 1))
    server.faults.extend([says(500)] * 4)
    with pytest.raises(PubMedError):
        ask(library, server)  # the window is open from here on
    old = Record("Vesicles, study 1", "As an export of last year has it.", pmid="1", source="old.ris:1")
    library.add([old], when=(NOW + timedelta(hours=1)).isoformat())
    found = ask(library, server, now=NOW + timedelta(hours=2))
    assert found.retracted == (library.get("1").id,)


def test_a_long_span_that_is_cut_short_is_finished_whatever_is_asked_next(library: Library, server: Server) -> None:
    for number in range(1, 101):
        server.add(number, TODAY - timedelta(days=number))
    server.faults.extend([None] * 4 + [says(500)] * 4)
    with pytest.raises(PubMedError):
        ask(library, server, TODAY - timedelta(days=100))
    assert len(pmids(library)) < 40
    found = ask(library, server, TODAY)
    assert pmids(library) == {str(n) for n in range(1, 101)}
    assert all(window.finished for window in library.queries.windows("mine"))
    assert found.found == len(found.new) == 69  # the first of four windows was done


def test_what_two_windows_share_is_counted_once(library: Library, server: Server) -> None:
    fill(server, 5)
    server.faults.extend([says(500)] * 4)
    with pytest.raises(PubMedError):
        ask(library, server)
    found = ask(library, server, TODAY - timedelta(days=3), TODAY + timedelta(days=1))
    assert (found.found, len(found.new)) == (5, 5)


def test_days_in_the_wrong_order_are_refused(library: Library, server: Server) -> None:
    with pytest.raises(UsageError, match=r"2026-11-24 is after 2026-11-23\. Give the earlier day first"):
        ask(library, server, TODAY + timedelta(days=1))
    assert server.forms == []
    assert library.queries.windows("mine") == ()


def week(library: Library, server: Server, number: int) -> Harvested:
    day, now = TODAY + timedelta(weeks=number), NOW + timedelta(weeks=number)
    return ask(library, server, since_last(library, "mine", today=day), day, now=now)


def refuses(pmid: str) -> Callable[[dict[str, str]], Fault | None]:
    """Break every answer of EFetch that has this record in it."""
    return lambda form: cut_unseen if pmid in form.get("id", "").split(",") else None


@pytest.mark.parametrize("how", ["held back", "cut off"])
def test_a_record_that_was_listed_and_not_sent_is_asked_for_until_it_comes(
    library: Library, server: Server, how: str
) -> None:
    fill(server, 9)
    if how == "held back":
        server.articles["5"] = ""
    else:
        server.rule = refuses("5")
    for number in range(3):  # soon it is older than what is asked for once more
        [reject] = week(library, server, number).rejects
        assert reject.position == "PMID 5"
        assert pmids(library) == {str(n) for n in range(1, 10)} - {"5"}
    server.rule, server.articles["5"] = lambda _: None, article("5")
    found = week(library, server, 3)
    assert found.new == (library.get("5").id,)
    assert library.queries.owed("mine") == {}
    server.forms.clear()
    week(library, server, 4)
    assert server.asked == []


def test_a_record_that_pubmed_never_has_is_given_up_in_the_end(library: Library, server: Server) -> None:
    fill(server, 2)
    server.articles["2"] = ""
    assert week(library, server, 0).rejects
    server.remove(2)
    assert [bool(week(library, server, number).rejects) for number in (1, 12, 13, 14)] == [True, True, True, False]


def test_a_record_without_text_is_told_as_long_as_its_day_is_asked_for(library: Library, server: Server) -> None:
    server.add(4, TODAY, "<PubmedArticle><MedlineCitation><PMID>4</PMID></MedlineCitation></PubmedArticle>")
    assert [len(week(library, server, number).rejects) for number in range(4)] == [1, 1, 0, 0]


def test_a_server_that_has_lost_everything_withdraws_nothing(library: Library, server: Server) -> None:
    fill(server, 6)
    ask(library, server)
    kept, server.articles = server.articles, {}
    notices: list[str] = []
    assert ask(library, server, notices=notices).deleted == ()
    assert "PubMed has none of 6 records that it had: not taken for a withdrawal" in notices
    server.articles = {pmid: xml for pmid, xml in kept.items() if pmid != "3"}
    assert ask(library, server).deleted == ("3",)


def test_a_fetch_that_has_lost_everything_withdraws_nothing(library: Library, server: Server) -> None:
    fill(server, 6)
    ask(library, server)
    server.remove(3)
    server.rule = lambda form: (
        says(400, error("ID list is empty! Possibly it has no correct IDs.")) if "id" in form else None
    )
    assert ask(library, server).deleted == ()


def test_a_retracted_record_can_be_withdrawn_too(library: Library, server: Server) -> None:
    fill(server, 3)
    server.add(2, TODAY, article("2", more=RETRACTED))
    ask(library, server)
    server.remove(2)
    assert ask(library, server).deleted == ("2",)


def test_an_outage_that_looks_like_an_answer_leaves_the_window_open(library: Library, server: Server) -> None:
    wanted = fill(server, 300)
    server.rule = lambda form: says(200, PAGE) if "id" in form else None
    with pytest.raises(PubMedError, match="sends a web page instead of data, 4 times in a row"):
        ask(library, server)
    assert len(server.asked) == 8  # the batch and a trial of one record, each four times
    server.rule = lambda _: None
    assert (len(ask(library, server).new), pmids(library)) == (300, wanted)


def test_a_record_that_breaks_its_batch_breaks_alone(library: Library, server: Server) -> None:
    fill(server, 9)
    server.add(10, TODAY, "<PubmedArticle><MedlineCitation><PMID>10</PMID></PubmedArticleSet><ERROR>lost</ERROR>")
    found = ask(library, server)
    assert pmids(library) == {str(n) for n in range(1, 10)}
    [reject] = found.rejects
    assert reject.position == "PMID 10"
    assert reject.reason.startswith('PubMed could not send it: 127.0.0.1 reports "lost"')


# ------------------------------------------------------------------------------------------------- the ceiling


@pytest.mark.parametrize("ceiling", [1, 3, 7, 100])
def test_more_hits_than_pubmed_delivers(library: Library, server: Server, ceiling: int) -> None:
    wanted = fill(server, 12, TODAY) | fill(server, 5, TODAY - timedelta(days=3), 50)
    found = ask(library, server, ceiling=ceiling)
    assert pmids(library) == wanted
    assert found.found == 17


def test_the_real_ceiling_in_one_day(server: Server) -> None:
    for number in range(40_000_000, 40_010_050):
        server.add(number, TODAY, "x")
    with eutils_client(server) as eutils:
        parts = list(search(eutils, QUERY, TODAY, TODAY))
    found = [pmid for part in parts for pmid in part.pmids]
    assert (len(found), len(set(found))) == (10_050, 10_050)
    assert max(len(part.pmids) for part in parts) <= 9_999


def eutils_client(server: Server):  # type: ignore[no-untyped-def]  # noqa: ANN201 - the type is that of the next line
    from exoclass.pubmed import Eutils

    return Eutils(to(server), limiter=unhurried())


# ------------------------------------------------------------------------------------------------- faults


def result(**changes: object) -> str:
    return json.dumps({"esearchresult": {"count": "1", "idlist": ["1"], "querytranslation": ""} | changes})


def repeated(handler: Handler, body: bytes) -> None:
    """List one PMID twice, and another not at all."""
    content = json.loads(body, strict=False)
    ids = content["esearchresult"].get("idlist", [])
    content["esearchresult"]["idlist"] = [*ids[:-1], ids[0]]
    handler.answer(200, json.dumps(content).encode())


PASSING: dict[str, tuple[Fault, str]] = {
    "429": (says(429, '{"error":"API rate limit exceeded"}'), "answers 429"),
    "429 with Retry-After": (says(429, "", {"Retry-After": "7"}), "trying again in 7 s"),
    "500": (says(500, "no"), "answers 500"),
    "500 with a page": (says(500, PAGE), "answers 500"),
    "page in 200": (says(200, PAGE), "sends a web page instead of data"),
    "ERROR in 200": (says(200, error("Search Backend failed")), 'reports "Search Backend failed"'),
    "ERROR in JSON": (says(200, result(ERROR="Database is not supported")), 'reports "Database is not supported"'),
    "invalid JSON": (says(200, '{"esearchresult": {"count": "3", "idl'), "sends something else than search results"),
    "no count": (says(200, result(count="")), "without a count"),
    "no list": (says(200, result(idlist=None)), "without a count"),
    "wrong count": (says(200, result(count="3")), "counts 3 records and lists 1"),
    "zero hits and an ERROR": (says(200, result(count="0", idlist=[], ERROR="busy")), 'reports "busy"'),
    "duplicates": (repeated, "counts 5 records and lists 4"),
    "cut connection": (cut, "breaks off"),
    "dropped connection": (drop, "breaks off"),
}


@pytest.mark.parametrize("name", PASSING)
def test_a_search_that_fails_is_repeated(library: Library, server: Server, name: str) -> None:
    fault, message = PASSING[name]
    wanted = fill(server, 5)
    server.faults.append(fault)
    notices: list[str] = []
    found = ask(library, server, notices=notices)
    assert pmids(library) == wanted
    assert len(found.new) == 5
    assert message in notices[0]
    assert KEY not in "".join(notices)


@pytest.mark.parametrize("name", PASSING)
def test_a_search_that_keeps_failing_ends_with_one_line_and_the_next_run_goes_on(
    library: Library, server: Server, name: str
) -> None:
    fault, message = PASSING[name]
    wanted = fill(server, 5)
    server.faults.extend([fault] * 4)
    with pytest.raises(PubMedError) as failed:
        ask(library, server)
    line = str(failed.value)
    assert message.replace("trying again in 7 s", "answers 429") in line
    assert KEY not in line + repr(failed.value)
    assert [window.done for window in library.queries.windows("mine")] == [None]
    ask(library, server, TODAY)
    assert pmids(library) == wanted  # the window that was left open was finished, too


def test_a_hang_is_given_up(library: Library, server: Server) -> None:
    wanted = fill(server, 2)
    server.faults.append(hang)
    notices: list[str] = []
    ask(library, server, notices=notices, timeout=0.1)
    assert "does not answer in time" in notices[0]
    assert pmids(library) == wanted


@pytest.mark.parametrize("fault", [cut, cut_unseen, drop, says(500), says(200, PAGE), says(200, error("no"))])
def test_a_fetch_that_fails_is_repeated(library: Library, server: Server, fault: Fault) -> None:
    wanted = fill(server, 450)
    server.faults.extend([None, None, None, fault])  # two searches and a batch are well
    found = ask(library, server)
    assert pmids(library) == wanted
    assert (len(found.new), found.rejects) == (450, ())


def test_batches_that_came_before_a_failure_stay(library: Library, server: Server) -> None:
    wanted = fill(server, 450)
    server.faults.extend([None, None, None, *[says(500)] * 4])
    with pytest.raises(PubMedError, match="answers 500"):
        ask(library, server)
    assert len(pmids(library)) == 200
    before = len(server.asked)
    found = ask(library, server)
    assert pmids(library) == wanted
    assert len(found.new) == 250
    fetched = [pmid for batch in server.asked[before:] for pmid in batch]
    assert len(fetched) == len(set(fetched)) == 250  # none of the 200 again


def test_a_query_of_which_pubmed_knows_nothing_is_an_error(library: Library, server: Server) -> None:
    unknown = {"phrasesnotfound": ["exosoem"], "fieldsnotfound": []}
    server.faults.append(says(200, result(count="0", idlist=[], errorlist=unknown)))
    with pytest.raises(PubMedError) as failed:
        ask(library, server)
    assert str(failed.value) == "PubMed does not know exosoem in the query. Mend the query."


def test_what_pubmed_leaves_out_of_a_query_is_told(library: Library, server: Server) -> None:
    fill(server, 1)
    unknown = {"phrasesnotfound": ["exosoem"], "fieldsnotfound": ["tibb"]}
    server.faults.append(says(200, result(errorlist=unknown)))
    assert ask(library, server).unknown == ("exosoem", "tibb")


def test_the_key_is_sent_and_kept_nowhere(library: Library, server: Server, tmp_path: Path) -> None:
    fill(server, 3)
    ask(library, server)
    assert all(form["api_key"] == KEY and form["tool"] == "exoclass" for form in server.forms)
    library.close()
    assert all(KEY.encode() not in file.read_bytes() for file in tmp_path.iterdir())


# ------------------------------------------------------------------------------------------------- kill -9

# Each line names a library; a process of its own harvests into it. Forking spares the time in which nothing happens.
PROGRAM = """
import os, sys, traceback
from datetime import UTC, date, datetime
from exoclass.harvest import harvest
from exoclass.library import Library
from exoclass.pubmed import EutilsSettings, Limiter

def work(path, url):
    with Library.open(path) as library:
        library.queries.save("mine", "exosome*[tiab]", when="2026-11-23")
        harvest(library, "mine", date(2026, 8, 1), date(2026, 11, 23), settings=EutilsSettings(base_url=url),
                now=lambda: datetime(2026, 11, 23, 8, tzinfo=UTC), limiter=Limiter(1e9))

for path in sys.stdin:
    if not (pid := os.fork()):
        try:
            work(path.strip(), sys.argv[1])
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Harvester:
    """Harvests in real processes, which it kills if they take longer than it is told."""

    def __init__(self, server: Server) -> None:
        pipe = subprocess.PIPE
        environment = clean_environment() | {"NO_PROXY": "127.0.0.1"}
        command = [sys.executable, "-c", PROGRAM, server.url]
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment, bufsize=0)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._lines, self._answers = self._process.stdin, self._process.stdout

    def __enter__(self) -> Harvester:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def harvest(self, path: Path, seconds: float | None = None) -> int:
        """Return the exit code, -9 if it was killed after some seconds."""
        self._lines.write(f"{path}\n".encode())
        pid = int(self._answers.readline())
        if not select.select([self._answers], [], [], seconds)[0]:
            os.kill(pid, signal.SIGKILL)  # it is not waited for yet, so the number is still its own
        return int(self._answers.readline())


def content(path: Path) -> tuple[object, ...]:
    with Library.open(path) as library:
        entries = sorted(library.records(), key=lambda entry: entry.record.pmid or "")
        windows = library.queries.windows("mine")
        return (
            [(entry.record, entry.state, entry.added, entry.changed) for entry in entries],
            [len(library.history(entry.id)) for entry in entries],
            [(window.begins, window.ends, window.found, window.finished) for window in windows],
        )


def kill_and_compare(server: Server, folder: Path, libraries: int, seed: int) -> int:
    """Kill harvests at random moments, finish each, and return how many were killed before they were done."""
    for number in range(1, 401):
        server.add(number, TODAY - timedelta(days=number % 100))
    with Harvester(server) as harvester:
        assert harvester.harvest(folder / "first.db") == 0  # the first one is slower
        began = time.monotonic()
        assert harvester.harvest(folder / "whole.db") == 0
        whole = time.monotonic() - began
        expected = content(folder / "whole.db")
        rng, killed = random.Random(seed), 0
        for number in range(libraries):
            path, before, times = folder / f"{number}.db", len(server.asked), rng.choice((1, 1, 1, 2, 3))
            codes = [harvester.harvest(path, rng.uniform(0, 0.9 * whole)) for _ in range(times)]
            assert {0, -signal.SIGKILL} >= set(codes)
            killed += codes.count(-signal.SIGKILL)
            assert harvester.harvest(path) == 0
            assert content(path) == expected
            fetched = [pmid for batch in server.asked[before:] for pmid in batch]
            assert len(fetched) <= 400 + 200 * times  # a kill costs a batch
    return killed


def test_killed_anywhere_the_next_run_completes_the_same_library(server: Server, tmp_path: Path) -> None:
    """For more than 15 libraries set EXOCLASS_TEST_KILLS."""
    count = int(os.environ.get("EXOCLASS_TEST_KILLS", "15"))
    assert kill_and_compare(server, tmp_path, count, seed=4) >= count // 2
