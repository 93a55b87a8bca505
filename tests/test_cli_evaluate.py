"""``exoclass evaluate`` in real processes: scores for people and for programs, and honest about what was seen."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import DATA, Run

from exoclass.corpus import Corpus
from exoclass.splits import Split, split_of
from exoclass.taxonomy import Taxonomy

ROW = {
    "title": "Exosomes of stem cells speed wound healing",
    "abstract": "Exosomes closed the wounds of mice faster.",
    "scope": "therapy",
    "disease": ["skin_wound"],
    "mechanism": ["regeneration_repair"],
}


@pytest.fixture(scope="module")
def sample(labelled: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with the records that the tiny model was trained on."""
    wanted = {int(item.record.source.rpartition(":")[2]) for item in labelled}
    lines = DATA.read_text(encoding="utf-8").splitlines(keepends=True)
    path = tmp_path_factory.mktemp("data") / "sample.jsonl"
    path.write_text("".join(line for number, line in enumerate(lines, start=1) if number in wanted), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def scores(run: Run, sample: Path, tiny_model: Path) -> dict[str, Any]:
    done = run("evaluate", sample, "-m", tiny_model, "--json")
    assert done.returncode == 0, done.stderr
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


def test_json_has_a_row_per_label_and_per_axis(scores: dict[str, Any], taxonomy: Taxonomy) -> None:
    assert [label["id"] for label in scores["labels"]] == list(taxonomy.ids)
    assert [axis["id"] for axis in scores["axes"]] == ["scope", "disease", "mechanism"]


@pytest.mark.parametrize("name", ["precision", "recall", "average_precision", "calibration_error", "review_share"])
def test_each_figure_of_a_label_is_a_share(scores: dict[str, Any], name: str) -> None:
    figures = [label[name] for label in scores["labels"] if label[name] is not None]
    assert figures
    assert all(0 <= figure <= 1 for figure in figures)


def test_each_f1_lies_in_its_interval(scores: dict[str, Any]) -> None:
    intervals = [label["f1"] for label in scores["labels"]] + [axis["macro_f1"] for axis in scores["axes"]]
    known = [interval for interval in intervals if interval["low"] is not None]
    assert known
    assert all(0 <= interval["low"] <= interval["high"] <= 1 for interval in known)


def test_the_confusion_of_scope_counts_every_record(scores: dict[str, Any], taxonomy: Taxonomy) -> None:
    assert scores["scope_labels"] == [taxonomy.ids[column] for column in taxonomy.columns("scope")]
    assert sum(map(sum, scores["confusion"])) == next(a["annotated"] for a in scores["axes"] if a["id"] == "scope")


def test_support_is_what_the_file_holds(scores: dict[str, Any], sample: Path) -> None:
    # a doubt about any scope masks the choice among all of them
    rows = [json.loads(line) for line in sample.read_text(encoding="utf-8").splitlines()]
    sure = [row for row in rows if not set(scores["scope_labels"]) & set(row["unsure"])]
    [therapy] = [label for label in scores["labels"] if label["id"] == "therapy"]
    assert therapy["support"] == sum(row["scope"] == "therapy" for row in sure)
    assert scores["n_records"] == len(rows)


def test_a_figure_that_is_not_defined_is_null_and_never_nan(run: Run, tiny_model: Path) -> None:
    done = run("evaluate", "-", "-m", tiny_model, "--json", stdin=json.dumps(ROW) + "\n")
    [liver] = [
        label for label in json.loads(done.stdout, parse_constant=pytest.fail)["labels"] if label["id"] == "liver"
    ]
    assert liver["recall"] is None


def test_records_seen_in_training_are_counted_and_warned_of(
    run: Run, sample: Path, tiny_model: Path, scores: dict[str, Any]
) -> None:
    assert scores["seen_in_training"] == scores["n_records"]
    done = run("evaluate", sample, "-m", tiny_model)
    assert done.stderr == (
        f"exoclass: warning: the model was trained on {scores['n_records']} of these {scores['n_records']} records\n"
    )


def test_new_records_are_not_warned_of(run: Run, tiny_model: Path) -> None:
    done = run("evaluate", "-", "-m", tiny_model, stdin=json.dumps(ROW) + "\n")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_console_shows_the_same_numbers_as_json(
    run: Run, sample: Path, tiny_model: Path, scores: dict[str, Any]
) -> None:
    text = run("evaluate", sample, "-m", tiny_model).stdout
    for label in scores["labels"]:
        [row] = re.findall(rf"^\| {label['id']} .*$", text.partition("gold")[0], flags=re.MULTILINE)
        cells = [cell.strip() for cell in row.split("|")]
        assert cells[3] == f"{label['support']}/{label['annotated']}"
        precision = math.nan if cells[4] == "–" else float(cells[4])
        wanted = math.nan if label["precision"] is None else label["precision"]
        assert precision == pytest.approx(wanted, abs=0.00051, nan_ok=True)


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_is_the_part_that_the_papers_belong_to(
    run: Run, tiny_model: Path, sample: Path, taxonomy: Taxonomy, split: Split
) -> None:
    done = run("evaluate", sample, "-m", tiny_model, "--split", split, "--json")
    corpus = Corpus.load([sample], taxonomy)
    assert 0 < json.loads(done.stdout)["n_records"] == len(corpus.select(split)) < len(corpus)


def test_a_threshold_trades_precision_for_recall(run: Run, sample: Path, tiny_model: Path) -> None:
    def recall(cut: str) -> float:
        done = run("evaluate", sample, "-m", tiny_model, "--threshold", cut, "--json")
        return sum(label["recall"] or 0 for label in json.loads(done.stdout)["labels"] if label["axis"] == "disease")

    assert recall("0.02") > recall("0.9")


def test_csv_can_be_evaluated(run: Run, tiny_model: Path) -> None:
    done = run("evaluate", "-", "-m", tiny_model, "--json", stdin="title,abstract,scope\nExosomes,Heal.,therapy\n")
    assert json.loads(done.stdout)["n_records"] == 1


@pytest.mark.parametrize(
    ("content", "args", "code", "says"),
    [
        ("", [], 1, "is empty"),
        ('{"title": "A"}\n', [], 1, "no axis is labelled"),
        ('{"title": "A", "scope": "terapy"}\n', [], 1, "Did you mean therapy"),
        ("nonsense", [], 1, "no scope or disease column"),
        ('{"title": "A", "scope": "therapy"}\n', ["-m", "nowhere"], 1, "there is no model 'nowhere'"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_one_line(
    run: Run, tiny_model: Path, content: str, args: list[str], code: int, says: str
) -> None:
    done = run("evaluate", "-", *(args or ["-m", str(tiny_model)]), stdin=content)
    [line] = done.stderr.splitlines()
    assert done.returncode == code
    assert says in line
    assert done.stdout == ""


def test_an_empty_split_is_an_error_with_a_remedy(run: Run, tiny_model: Path) -> None:
    number = next(n for n in range(99) if split_of(f"g{n}") == "train")
    done = run("evaluate", "-", "-m", tiny_model, "--split", "dev", stdin=json.dumps(ROW | {"group": f"g{number}"}))
    [line] = done.stderr.splitlines()
    assert done.returncode == 1
    assert "the dev split of these data is empty. Use --split all." in line


@pytest.mark.parametrize("args", [["--split", "half"], ["--threshold", "2"]])
def test_a_value_out_of_range_is_a_usage_error(run: Run, tiny_model: Path, args: list[str]) -> None:
    done = run("evaluate", "-", "-m", tiny_model, *args, stdin=json.dumps(ROW))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
