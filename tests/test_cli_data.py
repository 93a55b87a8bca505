"""``exoclass data hydrate`` against a real local server: texts change, labels stay, kills do no harm."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, clean_environment
from eutils_server import KEY, Server, article, cut, hang, says

from exoclass.cli.data import hydrate
from exoclass.corpus import Corpus
from exoclass.errors import CorpusError, OutputError, PubMedError
from exoclass.pubmed import EutilsSettings, Limiter
from exoclass.taxonomy import Taxonomy

REMINDER = "The abstracts belong to their publishers: use them yourself, do not pass them on."


@pytest.fixture
def env(server: Server) -> dict[str, str]:
    return {"EXOCLASS_EUTILS_URL": server.url, "NCBI_API_KEY": f" {KEY}\n", "NO_PROXY": "127.0.0.1"}


def row(number: int, **more: object) -> dict[str, Any]:
    """Return a labelled digest about PMID 90000000 + number."""
    return {
        "id": f"exo-{number}",
        "pmid": str(90000000 + number),
        "title": f"Digest {number}",
        "abstract": f"Own words on study {number}.",
        "scope": "therapy",
        "disease": ["skin_wound"],
        "mechanism": None,
        "unsure": [],
        "annotators": ["a1"],
        "group": f"paper-{number}",
        "my own note": {"kept": ["as", "it", "is"]},
    } | more


def save(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in rows), encoding="utf-8")
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def settings(server: Server) -> EutilsSettings:
    return EutilsSettings(base_url=server.url, api_key=KEY, retries=2, backoff=0)


def quickly(file: Path, out: Path, server: Server, *, force: bool = False) -> list[str]:
    """Hydrate in this process without waiting for the rate, and return why rows were kept."""
    rows = hydrate(file=file, out=out, force=force, settings=settings(server), limiter=Limiter(1e9))
    return [found.kept for found in rows]


def pmids(*numbers: int) -> list[str]:
    return [str(90000000 + number) for number in numbers]


def test_texts_are_pubmeds_and_all_else_stays(run: Run, server: Server, env: dict[str, str], tmp_path: Path) -> None:
    server.hold(*pmids(1, 3))
    server.articles[pmids(4)[0]] = article(pmids(4)[0], abstract="")
    rows = [row(1), row(2), row(3), row(4), row(5, pmid=None), row(6, pmid=None, id=None, doi="10.5555/x.6"), row(1)]
    data, out = save(tmp_path / "labels.jsonl", *rows), tmp_path / "real.jsonl"
    done = run("data", "hydrate", data, "-o", out, env=env)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines() == [
        "1 not found in PubMed, digest kept: exo-2",
        "1 without an abstract in PubMed, digest kept: exo-4",
        "2 without a PMID, digest kept: exo-5, doi:10.5555/x.6",
        f"3 of 7 records have PubMed's text now; written to {out}",
        REMINDER,
    ]
    found = lines(out)
    for at, number in ((0, 1), (2, 3), (6, 1)):
        [pmid] = pmids(number)
        text = {"title": f"Vesicles, study {pmid}", "abstract": f"Vesicles number {pmid} closed wounds of mice."}
        assert found[at] == rows[at] | text | {"hydrated": True}
        assert list(found[at]) == [*rows[at], "hydrated"]
    assert [found[at] for at in (1, 3, 4, 5)] == [rows[at] for at in (1, 3, 4, 5)]
    assert server.asked == [pmids(1, 2, 3, 4)]
    assert server.forms[0]["api_key"] == KEY
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.jsonl", "real.jsonl"]


def test_the_result_can_be_trained_on_and_its_splits_stay(
    run: Run, server: Server, env: dict[str, str], tmp_path: Path, taxonomy: Taxonomy
) -> None:
    server.hold(*pmids(1, 2))
    (tmp_path / "data").mkdir()
    data, out = save(tmp_path / "data" / "labels.jsonl", row(1), row(2)), tmp_path / "real.jsonl"
    splits = tmp_path / "data" / "splits.json"
    splits.write_text(json.dumps({"train": ["paper-1"], "dev": [], "test": ["paper-2"]}))
    done = run("data", "hydrate", data, "-o", out, env=env)
    assert f"copy {splits} beside {out}, so that the same papers stay held out for testing" in done.stderr
    splits.rename(tmp_path / "splits.json")
    for item, number in zip(Corpus.load([out], taxonomy), (1, 2), strict=True):
        assert item.labels == {"therapy", "skin_wound"}
        assert (item.group, item.split) == (f"paper-{number}", ("train", "test")[number - 1])
        assert item.record.pmid == pmids(number)[0]
        assert "closed wounds" in item.record.abstract


def test_abstracts_that_are_none_and_retractions_are_named(
    run: Run, server: Server, env: dict[str, str], tmp_path: Path
) -> None:
    plain, untitled, withdrawn = pmids(1, 2, 3)
    other = "<OtherAbstract Type='plain-language-summary'><AbstractText>Said simply.</AbstractText></OtherAbstract>"
    notice = "<CommentsCorrectionsList><CommentsCorrections RefType='RetractionIn'/></CommentsCorrectionsList>"
    server.articles = {
        plain: article(plain, abstract="", more=other),
        untitled: article(untitled, title="[Not Available]."),
        withdrawn: article(withdrawn, more=notice),
    }
    data, out = save(tmp_path / "labels.jsonl", row(1), row(2), row(3)), tmp_path / "real.jsonl"
    done = run("data", "hydrate", data, "-o", out, env=env)
    assert done.stderr.splitlines()[:2] == [
        "1 without an abstract in PubMed, digest kept: exo-1",
        "1 retracted, better left out of training: exo-3",
    ]
    assert [found["title"] for found in lines(out)] == ["Digest 1", "Digest 2", f"Vesicles, study {withdrawn}"]
    assert [found.get("hydrated") for found in lines(out)] == [None, True, True]


def test_other_names_for_the_text_do_not_hide_the_new_one(server: Server, tmp_path: Path, taxonomy: Taxonomy) -> None:
    server.hold(*pmids(1))
    named = {
        ("Article Title" if key == "title" else "AB" if key == "abstract" else key): v for key, v in row(1).items()
    }
    out = tmp_path / "real.jsonl"
    quickly(save(tmp_path / "labels.jsonl", named), out, server)
    assert not {"Article Title", "AB"} & lines(out)[0].keys()
    assert Corpus.load([out], taxonomy).texts == [
        "Vesicles, study 90000001\nVesicles number 90000001 closed wounds of mice."
    ]


def test_a_table_comes_out_as_json_lines(server: Server, tmp_path: Path, taxonomy: Taxonomy) -> None:
    server.hold(*pmids(1))
    data, out = tmp_path / "labels.csv", tmp_path / "real.jsonl"
    data.write_text("PMID,Title,Abstract,scope,disease\n90000001,T,A,therapy,skin_wound; neoplasms\n,T,B,therapy,\n")
    assert quickly(data, out, server) == ["", "without a PMID"]
    first, second = Corpus.load([out], taxonomy)
    assert first.labels == {"therapy", "skin_wound", "neoplasms"}
    assert (first.record.title, second.record.title) == ("Vesicles, study 90000001", "T")


def test_who_asks_is_told_to_ncbi(run: Run, server: Server, env: dict[str, str], tmp_path: Path) -> None:
    server.hold(*pmids(1))
    data = save(tmp_path / "labels.jsonl", row(1))
    run("data", "hydrate", data, "-o", tmp_path / "x.jsonl", env=env | {"NCBI_EMAIL": "erika@example.org"})
    assert (server.forms[0]["tool"], server.forms[0]["email"]) == ("exoclass", "erika@example.org")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_stopped_goes_on_where_it_was(
    server: Server, env: dict[str, str], tmp_path: Path, how: signal.Signals
) -> None:
    numbers = range(1, 251)
    server.hold(*pmids(*numbers))
    server.faults.extend([None, hang])
    data, out = save(tmp_path / "labels.jsonl", *map(row, numbers)), tmp_path / "real.jsonl"
    command = [sys.executable, "-m", "exoclass", "data", "hydrate", str(data), "-o", str(out)]
    child = subprocess.Popen(
        command, env=clean_environment() | env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert server.hanging.wait(60)
    child.send_signal(how)
    said = "".join(child.communicate())
    assert child.returncode == (130 if how is signal.SIGINT else -how)
    assert "Traceback" not in said
    assert not out.exists()
    part = tmp_path / "real.jsonl.part.jsonl"
    assert len(part.read_text().splitlines()) == 201
    if how is signal.SIGKILL:  # it might have died within a line
        part.write_bytes(part.read_bytes()[:-20])
    again = subprocess.run(command, env=clean_environment() | env, capture_output=True, text=True, check=True)
    resumed = 199 if how is signal.SIGKILL else 200
    assert again.stderr.splitlines()[0] == f"{resumed} records of an earlier run found in {part}"
    assert server.asked[2:] == [pmids(*numbers)[resumed:]]
    assert [found["pmid"] for found in lines(out)] == pmids(*numbers)
    assert all(found["hydrated"] for found in lines(out))
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".jsonl") == ["labels.jsonl", "real.jsonl"]


@pytest.mark.parametrize("length", [0, 1, 30])
def test_a_run_that_died_at_its_first_line_does_no_harm(server: Server, tmp_path: Path, length: int) -> None:
    from exoclass.hydration import _HEADER

    server.hold(*pmids(1))
    data, out = save(tmp_path / "labels.jsonl", row(1)), tmp_path / "real.jsonl"
    (tmp_path / "real.jsonl.part.jsonl").write_bytes(_HEADER[:length])
    assert quickly(data, out, server) == [""]


@pytest.mark.parametrize("damage", [b"{}\n", b"[1]\n", b'"x"\n', b'{"pmid": 5}\n', b"\xff\xfe\n", b"\n\n", b'{"pmi'])
def test_a_damaged_line_costs_nothing_else(
    server: Server, tmp_path: Path, damage: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exoclass.pubmed.BATCH", 1)
    server.hold(*pmids(1, 2, 3))
    data, out = save(tmp_path / "labels.jsonl", row(1), row(2), row(3)), tmp_path / "real.jsonl"
    part = tmp_path / "real.jsonl.part.jsonl"
    for _ in range(2):  # each run fetches one more, and then fails for good
        server.faults.extend([None] + [says(500)] * 3)
        with pytest.raises(PubMedError):
            quickly(data, out, server)
        part.write_bytes(part.read_bytes() + damage)
    assert quickly(data, out, server) == ["", "", ""]
    answered = [asked for asked, following in zip(server.asked, server.asked[1:], strict=False) if asked != following]
    assert [*answered, server.asked[-1]] == [pmids(1), pmids(2), pmids(3)]


def test_faults_on_the_way_change_nothing_in_the_result(
    run: Run, server: Server, env: dict[str, str], tmp_path: Path
) -> None:
    server.hold(*pmids(1, 2))
    server.faults.extend([says(429, b"", {"Retry-After": "0"}), says(503, b"", {"Retry-After": "0"})])
    data, out = save(tmp_path / "labels.jsonl", row(1), row(2)), tmp_path / "real.jsonl"
    done = run("data", "hydrate", data, "-o", out, env=env)
    assert done.stderr.splitlines() == [
        "127.0.0.1 answers 429 Too Many Requests; trying again in 0 s (1 of 5)",
        "127.0.0.1 answers 503 Service Unavailable; trying again in 0 s (2 of 5)",
        f"2 of 2 records have PubMed's text now; written to {out}",
        REMINDER,
    ]
    assert [found["hydrated"] for found in lines(out)] == [True, True]


def test_a_failure_for_good_keeps_what_was_fetched(server: Server, tmp_path: Path) -> None:
    numbers = range(1, 251)
    server.hold(*pmids(*numbers))
    server.faults.extend([None, cut, cut, cut])
    data, out = save(tmp_path / "labels.jsonl", *map(row, numbers)), tmp_path / "real.jsonl"
    with pytest.raises(PubMedError, match=r"3 times in a row\..* kept in .*\.part\.jsonl, and the same command"):
        quickly(data, out, server)
    assert not out.exists()
    assert set(quickly(data, out, server)) == {""}
    assert server.asked[4:] == [pmids(*numbers)[200:]]


@pytest.mark.parametrize("verbose", [False, True])
def test_a_refusal_is_one_line_without_the_key(
    run: Run, server: Server, env: dict[str, str], tmp_path: Path, verbose: bool
) -> None:
    server.faults.append(says(400, f'{{"error":"API key invalid","api-key":"{KEY}"}}'))
    data, out = save(tmp_path / "labels.jsonl", row(1)), tmp_path / "real.jsonl"
    done = run(*["-v"] * verbose, "data", "hydrate", data, "-o", out, env=env)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("exoclass: 127.0.0.1 refuses the API key. Mend NCBI_API_KEY")
    assert ("Traceback" in done.stderr) is verbose
    assert verbose or len(done.stderr.splitlines()) == 1
    assert KEY not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["labels.jsonl"]


def test_an_existing_file_is_replaced_only_by_force(server: Server, tmp_path: Path) -> None:
    server.hold(*pmids(1))
    data, out = save(tmp_path / "labels.jsonl", row(1)), tmp_path / "real.jsonl"
    out.write_text("precious")
    with pytest.raises(OutputError, match="exists already"):
        quickly(data, out, server)
    assert (out.read_text(), server.forms) == ("precious", [])
    quickly(data, out, server, force=True)
    assert lines(out)[0]["hydrated"]


def test_a_file_of_the_users_is_no_place_for_what_is_fetched(server: Server, tmp_path: Path) -> None:
    data, part = save(tmp_path / "labels.jsonl", row(1)), tmp_path / "real.jsonl.part.jsonl"
    part.write_text("precious")
    with pytest.raises(OutputError, match="in the way"):
        quickly(data, tmp_path / "real.jsonl", server, force=True)
    assert part.read_text() == "precious"
    part.unlink()
    part.mkdir()
    with pytest.raises(OutputError, match="cannot be used"):
        quickly(data, tmp_path / "real.jsonl", server)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"title": "T", "pmid": 1}\n{"title": ', r"labels.jsonl:2: .*See all faults"),
        ('{"pmid": 1}\n', r"labels.jsonl:1: .*neither a title nor an abstract"),
        ('{"title": "", "abstract": "", "pmid": 1}\n', r"labels.jsonl:1: neither a title nor an abstract"),
        ('{"title": "T", "pmid": {"x": [1]}}\n', r"labels.jsonl:1: .*pmid"),
        ('{"title": "T", "doi": "10.5555/x"}\n', r"no record of .*labels.jsonl has a PMID"),
    ],
)
def test_data_that_cannot_be_hydrated_ask_nothing(server: Server, tmp_path: Path, text: str, said: str) -> None:
    data = tmp_path / "labels.jsonl"
    data.write_text(text)
    with pytest.raises(CorpusError, match=said):
        quickly(data, tmp_path / "real.jsonl", server)
    assert server.forms == []
    assert [path.name for path in tmp_path.iterdir()] == ["labels.jsonl"]


@pytest.mark.parametrize(
    ("out", "url", "code", "said"),
    [
        ("labels.jsonl", None, 2, "labels.jsonl is the input itself. Give"),
        ("-", None, 2, "the result does not go to stdout. Name a file"),
        ("real.jsonl", "eutils", 2, "the address of the E-utilities is no web address. Mend or unset"),
        ("none/real.jsonl", None, 1, "real.jsonl cannot be written"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    run: Run, env: dict[str, str], tmp_path: Path, out: str, url: str | None, code: int, said: str
) -> None:
    save(tmp_path / "labels.jsonl", row(1))
    changed = env if url is None else env | {"EXOCLASS_EUTILS_URL": url}
    done = run("data", "hydrate", "labels.jsonl", "-o", out, "--force", cwd=tmp_path, env=changed)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (code, "", 1)
    assert said in done.stderr
    assert lines(tmp_path / "labels.jsonl") == [row(1)]
    assert [path.name for path in tmp_path.iterdir()] == ["labels.jsonl"]


def test_a_missing_file_is_one_line(run: Run, env: dict[str, str], tmp_path: Path) -> None:
    done = run("data", "hydrate", tmp_path / "none.jsonl", "-o", tmp_path / "real.jsonl", env=env)
    assert done.returncode == 1
    assert done.stderr == f"exoclass: {tmp_path / 'none.jsonl'}: no such file. Check the spelling and the folder.\n"
