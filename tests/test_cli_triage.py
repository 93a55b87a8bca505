"""``exoclass triage`` against a real local E-utilities server: from nothing to a digest, only what is new, kill -9."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.sax.saxutils import escape

import conftest
import pytest
from conftest import Run, clean_environment
from eutils_server import KEY, Server, article, error, says

from exoclass.library import Library

TODAY = datetime.now(UTC).date()
ABSTRACT = escape(conftest.ABSTRACT)


def about(server: Server) -> dict[str, str]:
    return {"EXOCLASS_EUTILS_URL": server.url, "NO_PROXY": "127.0.0.1", "NCBI_API_KEY": KEY}


def fill(server: Server, *numbers: int) -> None:
    for number in numbers:
        server.add(number, TODAY, article(str(number), title=f"Exosomes heal wound {number}", abstract=ABSTRACT))


def shown(done: subprocess.CompletedProcess[str]) -> set[str]:
    assert done.returncode == 0, done.stderr
    return {line["pmid"] for line in json.loads(done.stdout)["records"]}


def test_from_nothing_to_a_digest_and_then_only_what_is_new(run: Run, server: Server, tmp_path: Path) -> None:
    fill(server, 1, 2, 3)
    first = run("triage", "--json", "--html", "a.html", "--library", "x.db", cwd=tmp_path, env=about(server))
    assert shown(first) == {"1", "2", "3"}
    assert "A new library begins at x.db" in first.stderr
    assert "No query is saved, so this one is asked: (exosome*[tiab]" in first.stderr
    assert "PubMed has 3, 3 of them new" in first.stderr
    assert (tmp_path / "a.html").read_text(encoding="utf-8").count("<article") == 3
    fill(server, 4)
    second = run("triage", "--json", "--library", "x.db", cwd=tmp_path, env=about(server))
    assert shown(second) == {"4"}
    third = run("triage", "--library", "x.db", cwd=tmp_path, env=about(server))
    assert (third.returncode, third.stdout) == (0, "")
    assert "Nothing new since you last looked." in third.stderr
    assert not [
        form for form in server.forms if "exosome" not in form.get("term", "exosome") and "uid" not in form["term"]
    ]


def test_saved_queries_are_all_asked_and_share_what_they_find(run: Run, server: Server, tmp_path: Path) -> None:
    fill(server, 1, 2)
    for name in ("bone", "brain"):
        assert run("query", "add", name, f"{name}*[tiab]", "--library", "x.db", cwd=tmp_path).returncode == 0
    done = run("triage", "--json", "--library", "x.db", cwd=tmp_path, env=about(server))
    assert shown(done) == {"1", "2"}
    assert json.loads(done.stdout)["asked"] == ["bone*[tiab]", "brain*[tiab]"]
    listed = run("query", "list", "--library", "x.db", cwd=tmp_path).stdout
    assert listed.count("asked until") == 2
    one = run("triage", "--query", "bone", "--json", "--library", "x.db", cwd=tmp_path, env=about(server))
    assert json.loads(one.stdout)["asked"] == ["bone*[tiab]"]


def test_what_changed_is_shown_apart(run: Run, server: Server, tmp_path: Path) -> None:
    fill(server, 1, 2)
    assert shown(run("triage", "--json", "--library", "x.db", cwd=tmp_path, env=about(server))) == {"1", "2"}
    server.remove(2)
    done = run("triage", "--library", "x.db", cwd=tmp_path, env=about(server))
    assert done.returncode == 0
    assert "Changed since you saw them: 1" in done.stdout
    assert "Exosomes heal wound 2 (PMID 2) was withdrawn by PubMed" in done.stdout


def test_a_server_that_fails_is_one_line_and_the_next_run_makes_it_good(
    run: Run, server: Server, tmp_path: Path
) -> None:
    fill(server, 1)
    server.faults.extend([says(400, error("API key invalid"))])
    done = run("triage", "--library", "x.db", cwd=tmp_path, env=about(server))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("exoclass: 127.0.0.1 refuses the API key. Mend NCBI_API_KEY")
    assert KEY not in done.stderr
    assert shown(run("triage", "--json", "--library", "x.db", cwd=tmp_path, env=about(server))) == {"1"}


def test_killed_anywhere_nothing_is_lost_and_nothing_shown_twice(server: Server, tmp_path: Path) -> None:
    """Fetching, tagging and writing are all hit: a run takes about as long as the longest wait."""
    fill(server, *range(1, 201))
    command = [
        sys.executable, "-m", "exoclass", "triage", "--json", "--html", "d.html", "--force", "--library", "x.db",
    ]  # fmt: skip
    environment = clean_environment() | about(server)
    rng, seen = random.Random(2), set[str]()
    outcomes = []
    for _ in range(5):
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8"
        )
        try:
            out, _ = process.communicate(timeout=rng.uniform(0.2, 3.0))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            out, _ = process.communicate()
        outcomes.append(process.returncode)
        if process.returncode == 0:
            found = {line["pmid"] for line in json.loads(out)["records"]}
            assert not found & seen
            seen |= found
    assert -signal.SIGKILL in outcomes
    last = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", check=True)
    final = {line["pmid"] for line in json.loads(last.stdout)["records"]}
    assert not final & seen
    assert final | seen == {str(number) for number in range(1, 201)}
    with Library.open(tmp_path / "x.db") as library:
        assert len(library.ids()) == 200
        assert all(window.done for window in library.queries.windows("default"))


def test_triage_and_decide_at_once(server: Server, tmp_path: Path) -> None:
    fill(server, *range(1, 121))
    environment = clean_environment() | about(server)

    def start(*args: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "exoclass", *args, "--library", "x.db"],
            cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
        )  # fmt: skip

    first = start("triage", "--json")
    first.communicate()
    assert first.returncode == 0
    fill(server, *range(121, 241))
    running = [
        start("triage", "--json"),
        *(start("decide", *map(str, range(10 * n + 1, 10 * n + 11)), "--accept") for n in range(4)),
    ]
    ended = [(process.communicate(), process.returncode) for process in running]
    assert [code for _, code in ended] == [0] * 5, ended
    with Library.open(tmp_path / "x.db") as library:
        assert len(library.ids()) == 240
        decisions = library.standing_decisions()
        assert len(decisions) == 40
        assert all(decision.tags["scope"] for decision in decisions)


@pytest.mark.parametrize(("since", "days"), [("7d", 7), ((TODAY - timedelta(days=12)).isoformat(), 12)])
def test_since_says_from_when(run: Run, server: Server, tmp_path: Path, since: str, days: int) -> None:
    server.add(1, TODAY - timedelta(days=days), article("1", abstract=ABSTRACT))
    server.add(2, TODAY - timedelta(days=days + 1), article("2", abstract=ABSTRACT))
    done = run("triage", "--since", since, "--json", "--library", "x.db", cwd=tmp_path, env=about(server))
    assert shown(done) == {"1"}
