"""``exoclass check`` in real processes: what is wrong with a labelled file, where, and whether it matters."""

from __future__ import annotations

import gzip
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import DATA, ROOT, Run

from exoclass.taxonomy import Taxonomy

ROW: dict[str, Any] = {
    "pmid": "90000001",
    "title": "Exosomes speed wound healing",
    "abstract": "Exosomes closed the wounds of mice faster.",
    "scope": "therapy",
    "disease": ["skin_wound"],
    "mechanism": ["regeneration_repair"],
}


def rows(*changes: dict[str, Any]) -> str:
    return "".join(json.dumps(ROW | change) + "\n" for change in changes)


def check(run: Run, tmp_path: Path, content: str, *args: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "labels.jsonl").write_text(content, encoding="utf-8")
    return run("check", "labels.jsonl", *args, cwd=tmp_path)


def findings(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stdout.splitlines() if line.startswith("labels.jsonl:")]


def test_clean_data_have_no_findings(run: Run, tmp_path: Path) -> None:
    done = check(run, tmp_path, rows({}, {"pmid": "90000002"}))
    assert done.returncode == 0
    assert findings(done) == []
    assert done.stderr == "2 records fit for training, 0 faults, 0 warnings\n"


@pytest.mark.parametrize("name", ["data/exosome_therapy.jsonl", "data/examples/labels.csv"])
def test_the_shipped_labels_are_fit_for_training(run: Run, name: str) -> None:
    done = run("check", ROOT / name)
    assert done.returncode == 0
    assert ", 0 faults, " in done.stderr


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        (rows({}, {"scope": "terapy"}), "labels.jsonl:2: fault, unknown_label: there is no label 'terapy'"),
        (rows({}, {"disease": ["therapy"]}), "labels.jsonl:2: fault, unknown_label: therapy is a label of scope"),
        (rows({}, {"unsure": ["nothing"]}), "labels.jsonl:2: fault, unknown_label: there is no label 'nothing'"),
        (rows({}, {"disease": ["liver"]}), "labels.jsonl:2: fault, conflict: pmid:90000001 was labelled before at"),
        (rows({}) + '{"pmid": \n', "labels.jsonl:2: fault, unreadable: not a JSON object"),
        (rows({}) + '["a"]\n', "labels.jsonl:2: fault, unreadable: not a JSON object"),
        (rows({}, {"disease": 5}), "labels.jsonl:2: fault, unreadable: labels should be text"),
        (rows({}) + '{"title": "A"}\n', "labels.jsonl:2: fault, not_labelled: no axis is labelled"),
        (rows({}) + '{"scope": "therapy"}\n', "labels.jsonl:2: fault, unreadable: it has neither a title nor"),
    ],
)
def test_a_fault_is_shown_with_its_place_and_fails(run: Run, tmp_path: Path, content: str, finding: str) -> None:
    done = check(run, tmp_path, content)
    [found] = findings(done)
    assert found.startswith(finding)
    assert done.returncode == 1
    assert done.stderr == "1 records fit for training, 1 faults, 0 warnings\n"


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({}, "duplicate: pmid:90000001 was labelled before at labels.jsonl:1, with the same labels"),
        ({"pmid": "2", "abstract": ""}, "empty_abstract: there is no abstract"),
        ({"pmid": "2", "scope": "not_ev", "mechanism": None}, "axis_rule: disease does not apply to scope not_ev"),
        ({"pmid": "2", "scope": "basic_methods", "disease": ["liver"]}, "axis_rule: mechanism does not apply to scope"),
        (
            {"pmid": "2", "scope": ["therapy", "not_ev"], "disease": None, "mechanism": None},
            "axis_rule: scope takes one",
        ),
        ({"pmid": "2", "disease": []}, "axis_rule: disease is annotated but no label holds"),
        ({"pmid": "2", "disease": ["no_specific_disease", "liver"]}, "axis_rule: no_specific_disease stands alone"),
        ({"pmid": "2", "unsure": ["skin_wound"]}, "axis_rule: skin_wound is both given and unsure"),
        (
            {"pmid": "2", "disease": "liver; eye; skin_wound; respiratory; nervous_system; oral_dental; renal_urinary"},
            "axis_rule: disease takes at most 6 labels, not 7",
        ),
    ],
)
def test_a_warning_is_shown_and_does_not_fail(run: Run, tmp_path: Path, change: dict[str, Any], finding: str) -> None:
    done = check(run, tmp_path, rows({}, change))
    [found] = findings(done)
    assert found.startswith(f"labels.jsonl:2: warning, {finding}")
    assert done.returncode == 0
    assert done.stderr.endswith("0 faults, 1 warnings\n")


def test_every_label_is_counted(run: Run, tmp_path: Path, taxonomy: Taxonomy) -> None:
    done = check(run, tmp_path, rows({}, {"pmid": "2", "unsure": ["angiogenesis"]}))
    counted = {parts[1]: (int(parts[2]), int(parts[4])) for line in done.stdout.splitlines() if (parts := line.split())}
    assert counted.keys() == set(taxonomy.ids)
    assert counted["therapy"] == (2, 0)
    assert counted["angiogenesis"] == (0, 1)


def test_labels_with_few_examples_are_marked(run: Run, tmp_path: Path) -> None:
    done = check(run, tmp_path, rows(*({"pmid": str(number)} for number in range(1, 31))))
    marked = [line.split()[1] for line in done.stdout.splitlines() if "fewer than 30" in line]
    assert "therapy" not in marked
    assert "liver" in marked


def test_json_holds_the_findings_and_counts(run: Run, tmp_path: Path) -> None:
    done = check(run, tmp_path, rows({}, {"pmid": "2", "abstract": ""}, {"pmid": "3", "scope": "terapy"}), "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert found["records"] == 2
    assert [(item["kind"], item["fault"], item["position"]) for item in found["findings"]] == [
        ("empty_abstract", False, "labels.jsonl:2"),
        ("unknown_label", True, "labels.jsonl:3"),
    ]
    assert {"axis": "disease", "id": "skin_wound", "yes": 2, "unsure": 0} in found["labels"]


def test_conflicts_are_found_across_files(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(rows({}))
    (tmp_path / "b.csv").write_text("pmid,title,abstract,scope\n90000001,Exosomes,Heal.,not_ev\n")
    done = run("check", "a.jsonl", "b.csv", cwd=tmp_path)
    assert done.returncode == 1
    assert "b.csv:2: fault, conflict: pmid:90000001 was labelled before at a.jsonl:1" in done.stdout


def test_a_taxonomy_of_ones_own_is_used(run: Run, tmp_path: Path) -> None:
    text = (ROOT / "configs" / "taxonomy.toml").read_text(encoding="utf-8")
    (tmp_path / "own.toml").write_text(text.replace('id = "skin_wound"', 'id = "skin"'), encoding="utf-8")
    done = check(run, tmp_path, rows({"disease": ["skin"]}), "--taxonomy", "own.toml")
    assert done.returncode == 0


def test_a_pipe_and_gzip_can_be_checked(run: Run, tmp_path: Path) -> None:
    (tmp_path / "labels.gz").write_bytes(gzip.compress(rows({}).encode()))
    assert run("check", "labels.gz", cwd=tmp_path).returncode == 0
    assert run("check", "-", stdin=rows({})).returncode == 0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"title,abstract\nA,B\n", "no scope or disease column"),
        (bytes(range(256)), "no scope or disease column"),
        (gzip.compress(rows({}).encode())[:-8], "the gzip file ends early"),
    ],
    ids=["empty", "unlabelled", "binary", "truncated gzip"],
)
def test_a_file_that_is_no_labelled_set_is_refused_in_one_line(
    run: Run, tmp_path: Path, content: bytes, says: str
) -> None:
    (tmp_path / "x").write_bytes(content)
    done = run("check", "x", cwd=tmp_path)
    [line] = done.stderr.splitlines()
    assert done.returncode == 1
    assert says in line
    assert done.stdout == ""


@pytest.mark.parametrize(("path", "says"), [("nowhere.jsonl", "no such file"), (".", "is a directory")])
def test_a_path_that_is_no_file_is_refused(run: Run, tmp_path: Path, path: str, says: str) -> None:
    done = run("check", path, cwd=tmp_path)
    [line] = done.stderr.splitlines()
    assert done.returncode == 1
    assert says in line


PASSES = [
    {
        "id": "r1",
        "annotator": "a1",
        "scope": "therapy",
        "disease": ["liver"],
        "mechanism": ["angiogenesis"],
        "unsure": [],
    },
    {
        "id": "r1",
        "annotator": "a2",
        "scope": "therapy",
        "disease": ["liver"],
        "mechanism": ["angiogenesis"],
        "unsure": [],
    },
    {"id": "r2", "annotator": "a1", "scope": "not_ev", "disease": None, "mechanism": None, "unsure": []},
    {
        "id": "r2",
        "annotator": "a2",
        "scope": "therapy",
        "disease": ["eye"],
        "mechanism": ["angiogenesis"],
        "unsure": [],
    },
]


def passes(number: int = 4) -> str:
    return "".join(json.dumps(row) + "\n" for row in PASSES[:number])


def test_agreement_compares_two_annotators(run: Run, tmp_path: Path) -> None:
    done = check(run, tmp_path, passes(), "--agreement", "--json")
    assert done.returncode == 0, done.stderr
    [pair] = json.loads(done.stdout)
    assert pair["annotators"] == ["a1", "a2"]
    assert {axis["id"]: (axis["records"], axis["identical"]) for axis in pair["axes"]} == {
        "scope": (2, 0.5),
        "disease": (1, 1.0),
        "mechanism": (1, 1.0),
    }


def test_agreement_can_be_read_by_people(run: Run, tmp_path: Path) -> None:
    done = check(run, tmp_path, passes(), "--agreement")
    assert done.returncode == 0
    assert "| scope" in done.stdout


def test_agreement_needs_two_annotators(run: Run, tmp_path: Path) -> None:
    done = check(run, tmp_path, passes(1), "--agreement")
    [line] = done.stderr.splitlines()
    assert done.returncode == 1
    assert "no two annotators judged the same record" in line


def test_the_shipped_labels_are_read_from_any_folder(run: Run, tmp_path: Path) -> None:
    assert run("check", DATA, "--json", cwd=tmp_path).returncode == 0
