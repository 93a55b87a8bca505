"""``exoclass predict`` in real processes: good exports, bad ones, pipes that break, files that must not be lost."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import ABSTRACT, ROOT, Run, clean_environment

from exoclass.readers import drop_duplicates, read
from exoclass.records import Deletion, Record

EXPORTS = ROOT / "tests" / "fixtures" / "exports"
VALIDATOR = jsonschema.Draft202012Validator(json.loads((ROOT / "configs" / "prediction.schema.json").read_text()))
PREDICT = [sys.executable, "-m", "exoclass", "predict"]


def nbib(number: int, abstract: str = ABSTRACT) -> str:
    return f"PMID- {90000000 + number}\nTI  - Exosomes and wounds, part {number}\nAB  - {abstract}\nDP  - 2021\n\n"


def ris(number: int, *, end: str = "ER  - \n\n") -> str:
    return f"TY  - JOUR\nTI  - Vesicles, part {number}\nAB  - {ABSTRACT}\nDO  - 10.5555/ev.{number}\n{end}"


def article(number: int) -> str:
    return (
        f"<PubmedArticle><MedlineCitation><PMID>{90000000 + number}</PMID><Article><ArticleTitle>Vesicles {number}"
        f"</ArticleTitle><Abstract><AbstractText>{ABSTRACT.replace('<', '&lt;')}</AbstractText></Abstract></Article>"
        "</MedlineCitation></PubmedArticle>\n"
    )


ONE = nbib(1)
FRENCH = (
    "Les vésicules extracellulaires libérées par des cellules souches ont été injectées chez des souris diabétiques "
    "autour de plaies cutanées, et la fermeture des plaies fut plus rapide que chez les souris témoins non traitées."
)
LAUGHS = (
    '<?xml version="1.0"?>\n<!DOCTYPE PubmedArticleSet [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>\n<PubmedArticleSet><PubmedArticle>&c;</PubmedArticle></PubmedArticleSet>'
)


@dataclass
class Piped:
    """What a process wrote, as bytes in and text out."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.splitlines()]


def pipe(content: bytes, *args: str | Path, cwd: Path, env: dict[str, str] | None = None) -> Piped:
    done = subprocess.run(
        [*PREDICT, *map(str, args)], input=content, capture_output=True, cwd=cwd, env=clean_environment() | (env or {})
    )
    return Piped(done.returncode, done.stdout.decode(), done.stderr.decode())


def one_line(stderr: str) -> str:
    """Return the only line on stderr."""
    assert "Traceback" not in stderr
    [line] = stderr.splitlines()
    return line


# --------------------------------------------------------------------------------------------------------- good runs


def test_every_vendors_export_is_tagged_whole(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    paths = sorted(EXPORTS.iterdir())
    done = run("predict", *paths, "-m", tiny_model, cwd=tmp_path)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    items = list(drop_duplicates(read(paths)))
    records = [item for item in items if isinstance(item, Record)]
    assert done.returncode == 0
    assert [(line["title"], line["pmid"], line["doi"], line["source"]) for line in lines] == [
        (record.title, record.pmid, record.doi, record.source) for record in records
    ]
    gone = sum(isinstance(item, Deletion) for item in items)
    counts = f"{len(items) - gone} records read, {len(records)} tagged, {len(items) - gone - len(records)} rejected"
    assert one_line(done.stderr).startswith(counts)
    for line in lines:
        VALIDATOR.validate(line)


def test_the_shipped_model_is_the_default(run: Run, tmp_path: Path) -> None:
    (tmp_path / "new.nbib").write_text(ONE)
    done = run("predict", "new.nbib", cwd=tmp_path)
    line = json.loads(done.stdout)
    assert done.returncode == 0
    assert line["model"].startswith("tfidf:")
    assert line["scope"]["id"] == "therapy"
    assert "skin_wound" in [tag["id"] for tag in line["disease"]]


@pytest.mark.parametrize("args", [[], ["-"]], ids=["nothing", "dash"])
def test_standard_input_is_read_by_default(tiny_model: Path, tmp_path: Path, args: list[str]) -> None:
    done = pipe(ONE.encode(), *args, "-m", tiny_model, cwd=tmp_path)
    assert done.returncode == 0
    assert [line["source"] for line in done.lines] == ["-:1"]


@pytest.mark.parametrize("content", [ONE, ris(1), article(1), '{"title": "Exosomes"}\n', "title\tabstract\nA\tB\n"])
def test_a_pipe_may_carry_any_format_and_gzip(tiny_model: Path, tmp_path: Path, content: str) -> None:
    plain = pipe(content.encode(), "-m", tiny_model, cwd=tmp_path)
    packed = pipe(gzip.compress(content.encode()), "-m", tiny_model, cwd=tmp_path)
    assert plain.returncode == packed.returncode == 0
    assert plain.lines == packed.lines
    assert len(plain.lines) == 1


def test_several_files_are_tagged_in_order(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "b.nbib").write_text(nbib(1) + nbib(2))
    (tmp_path / "a.ris").write_text(ris(3))
    (tmp_path / "c.xml.gz").write_bytes(gzip.compress(f"<PubmedArticleSet>{article(4)}</PubmedArticleSet>".encode()))
    done = run("predict", "b.nbib", "a.ris", "c.xml.gz", "-m", tiny_model, cwd=tmp_path)
    sources = [json.loads(line)["source"] for line in done.stdout.splitlines()]
    assert [source.partition(":")[0] for source in sources] == ["b.nbib", "b.nbib", "a.ris", "c.xml.gz"]
    assert one_line(done.stderr) == "4 records read, 4 tagged, 0 rejected"


def test_stdin_may_stand_among_files(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "a.nbib").write_text(nbib(1))
    done = pipe(nbib(2).encode(), "a.nbib", "-", "-m", tiny_model, cwd=tmp_path)
    assert [line["source"] for line in done.lines] == ["a.nbib:1", "-:1"]


def test_a_file_name_with_blanks_quotes_and_letters_beyond_ascii(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    name = "März 'neu'.nbib"
    (tmp_path / name).write_text(ONE)
    done = run("predict", name, "-m", tiny_model, cwd=tmp_path)
    assert json.loads(done.stdout)["source"] == f"{name}:1"


def test_a_file_name_that_is_no_text(tiny_model: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.nbib")
    (tmp_path / name).write_text(ONE)
    done = pipe(b"", name, "-m", tiny_model, "-o", "out.jsonl", cwd=tmp_path)
    assert done.returncode == 0
    assert json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8"))["source"].startswith("caf")


def test_output_is_utf8_whatever_the_terminal(tiny_model: Path, tmp_path: Path) -> None:
    content = ONE.replace("wounds", "β-cells").encode()
    done = pipe(content, "-m", tiny_model, cwd=tmp_path, env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert "β-cells" in done.lines[0]["title"]


def test_no_file_and_a_terminal_is_a_usage_error(tmp_path: Path) -> None:
    main, terminal = pty.openpty()
    try:
        done = subprocess.run(
            PREDICT, stdin=terminal, capture_output=True, encoding="utf-8", cwd=tmp_path, env=clean_environment()
        )
    finally:
        os.close(main)
        os.close(terminal)
    assert done.returncode == 2
    assert "nothing to read" in one_line(done.stderr)


# ---------------------------------------------------------------------------------------------------------- bad input


def padded(text: str, size: int) -> str:
    return (text * (size // len(text) + 1))[:size]


@dataclass(frozen=True)
class Bad:
    """An input that yields nothing: what is said of it."""

    content: bytes
    says: str


@dataclass(frozen=True)
class Mixed:
    """An input that is good in parts: how many records are tagged and rejected, and why."""

    content: bytes
    tagged: int
    rejected: int
    reason: str = ""
    flag: str = ""


XML = f'<?xml version="1.0"?>\n<PubmedArticleSet>\n{article(1)}{article(2)}</PubmedArticleSet>\n'

BAD = {
    "empty": Bad(b"", "is empty"),
    "blank": Bad(b" \n\n\t\n", "is empty"),
    "empty gzip": Bad(gzip.compress(b""), "is empty"),
    "binary": Bad(bytes(range(256)) * 40, "binary data"),
    "pdf": Bad(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", "a PDF"),
    "prose": Bad(b"Dear colleague, here are the records we spoke about. Yours.\n", "none of the formats"),
    "gzip cut in its header": Bad(gzip.compress(ONE.encode())[:8], "ends early"),
    "gzip with nothing but damage": Bad(gzip.compress(ONE.encode())[:10] + b"\xff" * 50, "damaged"),
    "billion laughs": Bad(LAUGHS.encode(), "declares entities"),
    "xml of another kind": Bad(b'<?xml version="1.0"?><kml><Placemark/></kml>', "XML of another kind"),
    "half an article": Bad(XML[:400].encode(), "none of 1 records could be read"),
    "one abstract of 5 MB": Bad(nbib(1, padded("exosome therapy ", 5_000_000)).encode(), "none of 1 records"),
    "a line of 11 MB": Bad(b'{"title": "' + b"x" * 11_000_000, "longer than 10,000,000 characters"),
    "json that is no record": Bad(b'{"price": 3}\n{"price": 4}\n', "none of 2 records could be read"),
}

MIXED = {
    "ris without the last ER": Mixed((ris(1) + ris(2, end="")).encode(), 2, 0),
    "two ris records glued": Mixed((ris(1, end="") + ris(2) + ris(3)).encode(), 3, 0),
    "two nbib records glued": Mixed((nbib(1).rstrip() + "\n" + nbib(2)).encode(), 2, 0),
    "half an xml": Mixed(XML[:-300].encode(), 1, 1, "the file ends within the article"),
    "xml without its end": Mixed(XML.replace("</PubmedArticleSet>", "").encode(), 2, 1, "the file ends before"),
    "one article is broken": Mixed(XML.replace("</Abstract>", "</Abs>", 1).encode(), 1, 1, "not well-formed XML"),
    "truncated gzip": Mixed(gzip.compress((nbib(1) + nbib(2) + nbib(3)).encode())[:-8], 3, 1, "gzip file ends early"),
    "one abstract of 5 MB": Mixed(
        (nbib(1, padded("exosome therapy ", 5_000_000)) + nbib(2)).encode(), 1, 1, "more than the 100,000"
    ),
    "no abstract": Mixed((nbib(1) + "PMID- 5\nTI  - Exosomes\n\n").encode(), 2, 0, flag="no_abstract"),
    "not in English": Mixed((nbib(1) + nbib(2, FRENCH)).encode(), 2, 0, flag="non_english"),
    "duplicate PMIDs": Mixed((nbib(1) + nbib(2) + nbib(1)).encode(), 2, 1, "duplicate of PMID 90000001"),
    "neither title nor abstract": Mixed((nbib(1) + "PMID- 5\nDP  - 2020\n\n").encode(), 1, 1, "neither a title nor"),
    "a damaged json line": Mixed(b'{"title": "A"}\n{"title": "B"\n{"title": "C"}\n', 2, 1, "not a record"),
    "two encodings": Mixed("title,abstract\nÉtude,a\n".encode() + "Sjögren,b\n".encode("latin-1"), 2, 0),
    "nul bytes in the middle": Mixed((nbib(1) * 300 + "\0\0\0\n\n" + nbib(2)).encode(), 2, 300),
}


def ways(cases: Iterable[str], *also_by_pipe: str) -> list[tuple[str, str]]:
    return [(name, "path") for name in cases] + [(name, "stdin") for name in also_by_pipe]


@pytest.mark.parametrize(("name", "way"), ways(BAD, "empty", "binary", "billion laughs", "one abstract of 5 MB"))
def test_input_that_yields_nothing(tiny_model: Path, tmp_path: Path, name: str, way: str) -> None:
    (tmp_path / "in").write_bytes(BAD[name].content)
    arg = "in" if way == "path" else "-"
    done = pipe(BAD[name].content if way == "stdin" else b"", arg, "-m", tiny_model, "-o", "out.jsonl", cwd=tmp_path)
    line = one_line(done.stderr)
    assert done.returncode == 1
    assert line.startswith("exoclass: ")
    assert BAD[name].says in line
    assert len(line) < 400
    assert done.stdout == ""
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("name", "way"), ways(MIXED, "ris without the last ER", "half an xml", "truncated gzip", "duplicate PMIDs")
)
def test_input_that_is_good_in_parts_loses_nothing(tiny_model: Path, tmp_path: Path, name: str, way: str) -> None:
    case = MIXED[name]
    (tmp_path / "in").write_bytes(case.content)
    arg = "in" if way == "path" else "-"
    done = pipe(case.content if way == "stdin" else b"", arg, "-m", tiny_model, cwd=tmp_path)
    line = one_line(done.stderr)
    assert done.returncode == 0
    counts = f"{case.tagged + case.rejected} records read, {case.tagged} tagged, {case.rejected} rejected"
    assert line.startswith(counts)
    assert len(done.lines) == case.tagged
    assert sum(case.flag in found["flags"] for found in done.lines) == (1 if case.flag else 0)
    if case.flag:
        assert line.endswith(f"; 1 {case.flag}")
    kept = tmp_path / "exoclass-rejects.jsonl"
    rejects = [json.loads(text) for text in kept.read_text().splitlines()] if kept.exists() else []
    assert len(rejects) == case.rejected
    for reject in rejects:
        assert reject["file"] == arg
        assert reject["position"].startswith("line ")
        assert case.reason in reject["reason"]


def test_a_directory_is_refused_with_what_to_do(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    done = run("predict", tmp_path, "-m", tiny_model, cwd=tmp_path)
    assert done.returncode == 1
    assert "is a directory. Name the files in it" in one_line(done.stderr)


def test_a_missing_file_is_refused(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    done = run("predict", "nowhere.nbib", "-m", tiny_model, cwd=tmp_path)
    assert done.returncode == 1
    assert "nowhere.nbib: no such file" in one_line(done.stderr)


def test_a_name_of_no_possible_file_is_refused(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    done = run("predict", "x" * 5000, "-m", tiny_model, cwd=tmp_path)
    assert done.returncode == 1
    assert "cannot be opened" in one_line(done.stderr)


def test_a_bad_file_among_good_ones_fails_the_run_and_leaves_no_output(
    run: Run, tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "good.nbib").write_text(ONE)
    done = run("predict", "good.nbib", "nowhere.nbib", "-m", tiny_model, "-o", "out.jsonl", cwd=tmp_path)
    assert done.returncode == 1
    assert "nowhere.nbib" in one_line(done.stderr)
    assert {path.name for path in tmp_path.iterdir()} == {"good.nbib"}


def test_a_record_without_abstract_is_never_more_than_not_sure(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    done = run("predict", "-m", tiny_model, stdin="PMID- 5\nTI  - Exosomes heal skin wounds\n", cwd=tmp_path)
    line = json.loads(done.stdout)
    shown = [line["scope"], *line["disease"], *(line["mechanism"] or [])]
    assert {tag["decision"] for tag in shown} == {"review"}


def test_a_closed_standard_input_is_an_error_of_one_line(tmp_path: Path) -> None:
    command = '"$0" -m exoclass predict - <&-'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable], capture_output=True, encoding="utf-8", cwd=tmp_path,
        env=clean_environment(),
    )  # fmt: skip
    assert done.returncode == 1
    assert "standard input is closed" in one_line(done.stderr)


# ------------------------------------------------------------------------------------------------------ bad arguments


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--axis", "scope"], "there is no axis 'scope'"),
        (["--axis", "organ"], "Choose from disease, mechanism"),
        (["--label", "skin_wounds"], "Did you mean skin_wound"),
        (["--label", "zzz"], "exoclass labels"),
        (["--rejects", "out.csv", "-o", "out.csv"], "both name out.csv"),
    ],
)
def test_an_unknown_axis_or_label_is_a_usage_error(
    run: Run, tiny_model: Path, tmp_path: Path, args: list[str], says: str
) -> None:
    done = run("predict", "-m", tiny_model, *args, stdin=ONE, cwd=tmp_path)
    assert done.returncode == 2
    assert says in one_line(done.stderr)
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["-f", "xml"], "'xml'"),
        (["--threshold", "1.5"], "--threshold"),
        (["--threshold", "high"], "--threshold"),
        (["--batch-size", "0"], "--batch-size"),
        (["--colour"], "--colour"),
    ],
)
def test_a_value_out_of_range_is_a_usage_error(
    run: Run, tiny_model: Path, tmp_path: Path, args: list[str], says: str
) -> None:
    done = run("predict", "-m", tiny_model, *args, stdin=ONE, cwd=tmp_path)
    assert done.returncode == 2
    assert says in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_an_unknown_model_is_an_error(run: Run, tmp_path: Path) -> None:
    done = run("predict", "-m", "nowhere", stdin=ONE, cwd=tmp_path)
    assert done.returncode == 1
    assert "there is no model 'nowhere'" in one_line(done.stderr)


def test_a_folder_that_is_no_model_is_an_error(run: Run, tmp_path: Path) -> None:
    done = run("predict", "-m", tmp_path, stdin=ONE, cwd=tmp_path)
    assert done.returncode == 1
    assert "manifest.json" in one_line(done.stderr)


@pytest.mark.parametrize("name", ["exoclass.json", "tfidf.npz", "manifest.json"])
def test_a_tampered_model_is_an_error(run: Run, tiny_model: Path, tmp_path: Path, name: str) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    content = bytearray((model / name).read_bytes())
    content[len(content) // 2] ^= 1
    (model / name).write_bytes(content)
    done = run("predict", "-m", model, stdin=ONE, cwd=tmp_path)
    assert done.returncode == 1
    assert "model" in one_line(done.stderr)


# ------------------------------------------------------------------------------------------------------- what is shown


def abstract(number: int) -> str:
    return f"{ABSTRACT} Liver, bone and brain were spared in {number} of them."


def shown(run: Run, tiny_model: Path, tmp_path: Path, *args: str) -> list[dict[str, Any]]:
    (tmp_path / "in.nbib").write_text("".join(nbib(number, abstract(number)) for number in range(1, 6)))
    done = run("predict", "in.nbib", "-m", tiny_model, *args, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    for line in lines:
        VALIDATOR.validate(line)
    return lines


def test_all_scores_shows_every_label(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    from exoclass.taxonomy import Taxonomy

    taxonomy = Taxonomy.load()
    for line in shown(run, tiny_model, tmp_path, "--all-scores"):
        assert len(line["scopes"]) == len(taxonomy.columns("scope"))
        assert len(line["disease"]) == len(taxonomy.columns("disease"))


@pytest.mark.parametrize(("axis", "other"), [("disease", "mechanism"), ("mechanism", "disease")])
def test_axis_shows_that_axis_only(run: Run, tiny_model: Path, tmp_path: Path, axis: str, other: str) -> None:
    for line in shown(run, tiny_model, tmp_path, "--axis", axis):
        assert axis in line
        assert other not in line


def test_axis_may_be_repeated(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    for line in shown(run, tiny_model, tmp_path, "--axis", "mechanism", "--axis", "disease"):
        assert {"disease", "mechanism"} <= line.keys()


def test_label_shows_those_labels_only(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    for line in shown(run, tiny_model, tmp_path, "--label", "liver", "--label", "eye", "--all-scores"):
        assert {tag["id"] for tag in line["disease"]} == {"liver", "eye"}


def test_a_threshold_leaves_nothing_for_review(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    for line in shown(run, tiny_model, tmp_path, "--threshold", "0.05"):
        assert {tag["decision"] for tag in line["disease"]} == {"yes"}


def test_a_higher_threshold_shows_fewer_labels(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    def count(cut: str) -> int:
        return sum(len(line["disease"]) for line in shown(run, tiny_model, tmp_path, "--threshold", cut))

    assert count("0.02") > count("0.9")


def test_evidence_is_a_sentence_of_the_record(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    count = 0
    for number, line in enumerate(shown(run, tiny_model, tmp_path, "--threshold", "0.02"), start=1):
        for reason in filter(None, (tag["evidence"] for tag in line["disease"])):
            count += 1
            assert any(reason["sentence"] in text for text in (line["title"], abstract(number)))
            assert all(term in f"{line['title']} {abstract(number)}".casefold() for term in reason["terms"])
    assert count > 5


def test_evidence_can_be_left_out(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    lines = shown(run, tiny_model, tmp_path, "--threshold", "0.02", "--no-evidence")
    assert {tag["evidence"] for line in lines for tag in line["disease"]} == {None}


def test_the_batch_size_changes_nothing(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    small = shown(run, tiny_model, tmp_path, "--batch-size", "1")
    assert small == shown(run, tiny_model, tmp_path, "--batch-size", "4") == shown(run, tiny_model, tmp_path)


# ------------------------------------------------------------------------------------------------------ where it goes


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("out.jsonl", '{"pmid": '),
        ("out.unknown", '{"pmid": '),
        ("out.csv", "pmid,doi,title"),
        ("out.tsv", "pmid\tdoi\ttitle"),
        ("OUT.TAB", "pmid\tdoi\ttitle"),
        ("out.ris", "TY  - JOUR\n"),
        ("out.txt", "1. Exosomes and wounds"),
    ],
)
def test_the_suffix_of_the_output_decides_the_format(
    run: Run, tiny_model: Path, tmp_path: Path, name: str, start: str
) -> None:
    done = run("predict", "-m", tiny_model, "-o", name, stdin=ONE, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout == ""
    assert (tmp_path / name).read_text().startswith(start)
    assert one_line(done.stderr) == "1 records read, 1 tagged, 0 rejected"


@pytest.mark.parametrize(
    ("format", "start"), [("jsonl", "{"), ("csv", "pmid,"), ("tsv", "pmid\t"), ("ris", "TY  -"), ("table", "1. Exo")]
)
def test_the_format_can_be_named(run: Run, tiny_model: Path, tmp_path: Path, format: str, start: str) -> None:
    done = run("predict", "-m", tiny_model, "-f", format, stdin=ONE, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith(start)


def test_a_named_format_wins_over_the_suffix(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    run("predict", "-m", tiny_model, "-f", "jsonl", "-o", "out.csv", stdin=ONE, cwd=tmp_path)
    assert json.loads((tmp_path / "out.csv").read_text())["pmid"] == "90000001"


def test_a_dash_as_output_is_standard_output(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    done = run("predict", "-m", tiny_model, "-o", "-", stdin=ONE, cwd=tmp_path)
    assert json.loads(done.stdout)["pmid"] == "90000001"
    assert not list(tmp_path.iterdir())


def test_a_table_on_standard_output_is_valid_csv(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    done = run("predict", "-m", tiny_model, "-f", "csv", stdin=nbib(1) + nbib(2), cwd=tmp_path)
    assert [row["pmid"] for row in csv.DictReader(io.StringIO(done.stdout))] == ["90000001", "90000002"]


def test_tagged_ris_can_be_tagged_again(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    run("predict", "-m", tiny_model, "-o", "one.ris", stdin=nbib(1) + nbib(2), cwd=tmp_path)
    done = run("predict", "one.ris", "-m", tiny_model, "-o", "two.ris", cwd=tmp_path)
    assert one_line(done.stderr) == "2 records read, 2 tagged, 0 rejected"
    assert (tmp_path / "two.ris").read_text() == (tmp_path / "one.ris").read_text()


def test_existing_output_is_never_overwritten(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("precious")
    done = run("predict", "-m", tiny_model, "-o", "out.csv", stdin=ONE, cwd=tmp_path)
    assert done.returncode == 1
    assert "out.csv exists already" in one_line(done.stderr)
    assert "--force" in done.stderr
    assert (tmp_path / "out.csv").read_text() == "precious"


def test_force_overwrites_output(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("old")
    done = run("predict", "-m", tiny_model, "-o", "out.csv", "--force", stdin=ONE, cwd=tmp_path)
    assert done.returncode == 0
    assert (tmp_path / "out.csv").read_text().startswith("pmid,")


def test_force_keeps_the_old_output_when_the_run_fails(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("old")
    done = run("predict", "-m", tiny_model, "-o", "out.csv", "--force", stdin="no records here", cwd=tmp_path)
    assert done.returncode == 1
    assert (tmp_path / "out.csv").read_text() == "old"


def test_an_input_can_be_replaced_by_its_own_output(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "x.ris").write_text(ris(1) + ris(2))
    done = run("predict", "x.ris", "-m", tiny_model, "-o", "x.ris", "--force", cwd=tmp_path)
    assert done.returncode == 0
    assert (tmp_path / "x.ris").read_text().count("exoclass:") >= 2


@pytest.mark.parametrize("output", [".", "/dev/stdin"])
def test_only_files_are_replaced(run: Run, tiny_model: Path, tmp_path: Path, output: str) -> None:
    done = run("predict", "-m", tiny_model, "-o", output, "--force", stdin=ONE, cwd=tmp_path)
    assert done.returncode == 1
    assert "no regular file" in one_line(done.stderr)


def test_a_full_disk_is_said_in_one_line(tiny_model: Path, tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*PREDICT, "-m", tiny_model],
            input=ONE,
            stdout=full,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            cwd=tmp_path,
            env=clean_environment(),
        )
    assert done.returncode == 1
    line = one_line(done.stderr)
    assert "No space left on device" in line
    assert "internal error" not in line


# ------------------------------------------------------------------------------------------------------------ rejects

FAULTY = ONE + "PMID- 5\nDP  - 2020\n\n"


def test_rejects_go_beside_the_output(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    done = run("predict", "-m", tiny_model, "-o", "out.csv", stdin=FAULTY, cwd=tmp_path)
    assert one_line(done.stderr) == "2 records read, 1 tagged, 1 rejected (see out.csv.rejects.jsonl)"
    [reject] = (tmp_path / "out.csv.rejects.jsonl").read_text().splitlines()
    assert json.loads(reject)["excerpt"] == "5"


def test_rejects_of_an_earlier_run_are_kept(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    for _ in range(3):
        assert run("predict", "-m", tiny_model, stdin=FAULTY, cwd=tmp_path).returncode == 0
    names = ["exoclass-rejects.jsonl", "exoclass-rejects.2.jsonl", "exoclass-rejects.3.jsonl"]
    assert {path.name for path in tmp_path.iterdir()} == set(names)
    assert all(len((tmp_path / name).read_text().splitlines()) == 1 for name in names)


def test_rejects_go_where_they_are_told(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    run("predict", "-m", tiny_model, "--rejects", "bad.jsonl", stdin=FAULTY, cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.jsonl"]


def test_a_named_rejects_file_is_never_overwritten(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text("precious")
    done = run("predict", "-m", tiny_model, "--rejects", "bad.jsonl", stdin=FAULTY, cwd=tmp_path)
    assert done.returncode == 1
    assert "bad.jsonl exists already" in one_line(done.stderr)
    assert (tmp_path / "bad.jsonl").read_text() == "precious"


def test_strict_stops_and_leaves_no_output(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    done = run("predict", "-m", tiny_model, "--strict", "-o", "out.csv", stdin=FAULTY, cwd=tmp_path)
    assert done.returncode == 1
    assert "-, line 6: neither a title nor an abstract" in one_line(done.stderr)
    assert not (tmp_path / "out.csv").exists()


def test_strict_passes_good_input(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    assert run("predict", "-m", tiny_model, "--strict", stdin=ONE, cwd=tmp_path).returncode == 0


# -------------------------------------------------------------------------------------------- broken pipes and signals


def start(tiny_model: Path, tmp_path: Path, *args: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*PREDICT, "-m", tiny_model, *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=clean_environment(),
    )


def test_a_reader_that_stops_early_ends_the_run_quietly(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "many.nbib"
    path.write_text("".join(nbib(n) for n in range(400)))  # far more output than a pipe holds
    with start(tiny_model, tmp_path, str(path), "--all-scores", "--no-evidence") as process:
        assert process.stdout
        assert process.stderr
        first = process.stdout.readline()
        process.stdout.close()
        complaint = process.stderr.read().decode()
        assert json.loads(first)["pmid"] == "90000000"
        assert process.wait() == 0
        assert complaint == ""


def test_ctrl_c_while_waiting_for_input_exits_with_130_and_leaves_no_output(tiny_model: Path, tmp_path: Path) -> None:
    with start(tiny_model, tmp_path, "-", "-o", "out.jsonl") as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        # A pipe holds 64 kB, so once all this is taken the process has been reading, and now waits for more.
        process.stdin.write(ONE.encode() * 2000)
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        complaint = process.stderr.read().decode()
        assert process.wait() == 130
        assert "Traceback" not in complaint
        assert len(complaint.splitlines()) <= 1
    assert not [path for path in tmp_path.iterdir() if "rejects" not in path.name]
