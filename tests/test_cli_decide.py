"""``exoclass triage`` on files, ``decide``, ``export`` and ``query`` in real processes, on one library file."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from conftest import ROOT, Run

WEEK = ROOT / "data" / "examples" / "week.nbib"


@pytest.fixture(scope="module")
def filled(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a library that was filled and shown once; tests that change it copy it."""
    folder = tmp_path_factory.mktemp("library")
    done = run("triage", WEEK, "--library", "x.db", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "x.db"


@pytest.fixture
def library(filled: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "x.db"
    copy.write_bytes(filled.read_bytes())
    return copy


def test_the_first_run_explains_itself_and_the_second_has_no_news(run: Run, tmp_path: Path) -> None:
    first = run("triage", WEEK, "--library", "x.db", cwd=tmp_path)
    assert first.returncode == 0
    assert "A new library begins at x.db" in first.stderr
    assert "7 new" in first.stderr
    assert "Therapy: 3" in first.stdout
    second = run("triage", WEEK, "--library", "x.db", cwd=tmp_path)
    assert (second.returncode, second.stdout) == (0, "")
    assert "Nothing new since you last looked." in second.stderr
    assert "7 known already" in second.stderr


def test_every_output_holds_the_same_records(run: Run, tmp_path: Path) -> None:
    done = run(
        "triage", "-", "--json", "--csv", "t.csv", "--ris", "t.ris", "--html", "t.html", "--library", "x.db",
        stdin=WEEK.read_text(encoding="utf-8"), cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = [line["pmid"] for line in json.loads(done.stdout)["records"]]
    assert len(found) == 7
    rows = csv.DictReader((tmp_path / "t.csv").read_text(encoding="utf-8").splitlines())
    assert [row["pmid"] for row in rows] == found
    assert (tmp_path / "t.ris").read_text(encoding="utf-8").count("ER  -") == 7
    page = (tmp_path / "t.html").read_text(encoding="utf-8")
    assert all(f"https://pubmed.ncbi.nlm.nih.gov/{pmid}/" in page for pmid in found)


def test_an_output_that_cannot_be_written_is_said_before_anything_is_read(run: Run, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("mine", encoding="utf-8")
    done = run("triage", WEEK, "--csv", "t.csv", "--library", "x.db", cwd=tmp_path)
    assert done.returncode == 1
    assert "t.csv exists already" in done.stderr
    assert not (tmp_path / "x.db").exists()
    assert (tmp_path / "t.csv").read_text(encoding="utf-8") == "mine"


def test_unreadable_records_are_kept_with_the_reason(run: Run, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("pmid,title,abstract\n1,Exosomes heal,Wounds closed.\n2,,\n", encoding="utf-8")
    done = run("triage", "new.csv", "--library", "x.db", cwd=tmp_path)
    assert done.returncode == 0
    assert "1 new, 1 rejected (see exoclass-rejects.jsonl)" in done.stderr
    [reject] = [json.loads(line) for line in (tmp_path / "exoclass-rejects.jsonl").read_text("utf-8").splitlines()]
    assert reject["position"] == "line 3"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--since", "soon"], "--since soon is no time"),
        (["--since", "2999-01-01"], "lies in the future"),
        (["--want", "disease:hart"], "there is no label 'hart'"),
        ([str(WEEK), "--query", "x"], "files hold what they hold"),
        (["--query", " "], "the query is empty"),
    ],
)
def test_wrong_usage_is_one_line(run: Run, tmp_path: Path, args: list[str], message: str) -> None:
    done = run("triage", *args, "--library", "x.db", cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) <= 2


def test_decide_and_export(run: Run, library: Path, tmp_path: Path) -> None:
    done = run("decide", "37957914", "40704321", "--accept", "--library", library)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("2 accepted\n2 read, 2 relevant: an estimated ")
    done = run("decide", "30866952", "--tag", "scope:pathogenic_mediator", "--json", "--library", library)
    assert json.loads(done.stdout) == [{"verdict": "correct", "tags": {"scope": ["pathogenic_mediator"]}, "note": ""}]
    done = run("export", "-f", "labels", "-o", "new.jsonl", "--library", library, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert run("check", "new.jsonl", cwd=tmp_path).returncode == 0
    done = run("export", "--verdict", "accept", "-f", "csv", "--library", library)
    assert {row["pmid"] for row in csv.DictReader(done.stdout.splitlines())} == {"37957914", "40704321"}


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["decide"], 2, "it takes PMIDs and one of --accept, --reject and --tag"),
        (["decide", "1", "--accept", "--reject"], 2, "one of --accept, --reject and --tag"),
        (["decide", "one", "--accept"], 2, "'one' is no PMID"),
        (["decide", "99", "--accept"], 1, "not in the library: PMID 99"),
        (["decide", "--file", "no.csv"], 1, "no.csv"),
        (["decide", "--file", "no.csv", "--accept"], 2, "a file of decisions says all by itself"),
        (["export", "-f", "labels", "--verdict", "accept"], 2, "labelled data is all that was accepted"),
        (["export", "--verdict", "maybe"], 2, "--verdict maybe is none"),
        (["query", "remove", "bone"], 1, "the library has no query named 'bone'"),
        (["query", "add", "bone", " "], 2, "a query needs a name and a text"),
    ],
)
def test_what_cannot_be_done_is_said(run: Run, library: Path, args: list[str], code: int, message: str) -> None:
    done = run(*args, "--library", library)
    assert done.returncode == code
    assert message in done.stderr


def test_queries_are_kept(run: Run, library: Path) -> None:
    assert run("query", "add", "bone", "osteo*[tiab]", "--library", library).returncode == 0
    assert run("query", "list", "--library", library).stdout == "bone\tosteo*[tiab]\tnot asked yet\n"
    assert run("query", "remove", "bone", "--library", library).returncode == 0
    listed = run("query", "list", "--library", library)
    assert listed.stdout == ""
    assert "No query is saved" in listed.stderr


def test_the_library_is_where_the_environment_says(run: Run, library: Path, tmp_path: Path) -> None:
    done = run("query", "list", "--json", env={"EXOCLASS_LIBRARY": str(library)})
    assert (done.returncode, json.loads(done.stdout)) == (0, [])
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    assert run("query", "add", "a", "b", env=home).returncode == 0
    assert (tmp_path / "exoclass" / "library.db").is_file()
