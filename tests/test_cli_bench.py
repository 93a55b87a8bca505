"""``exoclass bench`` in real processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import ROOT, Run

WEEK = ROOT / "data" / "examples" / "week.nbib"


def test_people_see_a_table(run: Run, tiny_model: Path, tiny_encoder: Path) -> None:
    done = run(
        "bench", WEEK, "-m", tiny_model, "-m", "tfidf", "-n", "9", "--repeats", "1",
        "--pipeline", tiny_encoder, "--pipeline-batches", "4",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "cores usable" in lines[0]
    assert "Python 3." in lines[1]
    assert lines[2].startswith("9 abstracts (7 repeated) of ")
    assert (
        lines[4].split()
        == "abstracts per second tagging with evidence whole command first result peak memory size".split()
    )
    assert [line.split(":")[0] for line in lines[5:9:2]] == ["tiny", "tfidf"]
    assert [line.split()[2] for line in lines if line.startswith("  batches of")] == ["1", "4"]
    assert sum(line.endswith("  best") for line in lines) == 1
    assert sum("times as fast as the pipeline's best" in line for line in lines) == 2


def test_json_has_every_figure(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    done = run(
        "bench", WEEK, "--model", tiny_model, "-n", "3", "--repeats", "2", "--batch-size", "2", "--json", cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["n_records"], told["distinct"], told["repeats"], told["batch_size"]) == (3, 3, 2, 2)
    assert told["pipeline"] is None
    assert {"cpu", "cores", "usable_cores", "load", "python", "packages"} <= told["machine"].keys()
    [model] = told["models"]
    for name in ("without_evidence", "with_evidence", "command"):
        assert model[name]["per_second"] > 0
        assert len(model[name]["seconds"]) == 2
    assert min(model["size_bytes"], model["peak_memory_bytes"], model["first_result_seconds"]) > 0
    assert sum(", run " in line for line in done.stderr.splitlines()) == 2


def test_the_shipped_model_is_the_default_and_nothing_is_left_behind(run: Run, tmp_path: Path) -> None:
    done = run("bench", "-", "-n", "1", "--repeats", "1", "--json", stdin=WEEK.read_text(encoding="utf-8"))
    assert done.returncode == 0, done.stderr
    assert Path(json.loads(done.stdout)["models"][0]["folder"]) == ROOT / "models" / "tfidf"


def test_records_that_are_repeated_or_left_out_are_mentioned(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"title": "Exosomes heal wounds", "pmid": "1"}\n{"broken\n', encoding="utf-8")
    done = run("bench", path, "-m", tiny_model, "-n", "2", "--repeats", "1")
    assert done.returncode == 0, done.stderr
    assert "1 records could not be read and are left out" in done.stderr
    assert "1 records are repeated to make 2" in done.stderr


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["nowhere.nbib"], 1, "nowhere.nbib"),
        (["empty.jsonl"], 1, "empty.jsonl"),
        (["broken.jsonl"], 1, "no record to measure with"),
        ([str(WEEK), "-m", "nowhere"], 1, "there is no model 'nowhere'"),
        ([str(WEEK), "--pipeline", "."], 1, "holds no usable encoder"),
        ([str(WEEK), "--pipeline-batches", "8,many"], 2, "is no list of batch sizes"),
        ([str(WEEK), "--pipeline-batches", "0"], 2, "is no list of batch sizes"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(run: Run, tmp_path: Path, args: list[str], code: int, words: str) -> None:
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "broken.jsonl").write_text('{"title": "x"\n{"title"\n', encoding="utf-8")
    done = run("bench", *args, cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"})
    last = done.stderr.splitlines()[-1]
    assert done.returncode == code
    assert words in last
    assert len([line for line in done.stderr.splitlines() if not line.endswith("tagged faster")]) == 1
    assert done.stdout == ""


def test_a_base_on_the_hub_that_cannot_be_had_is_one_line(run: Run) -> None:
    done = run("bench", WEEK, "-n", "2", "--pipeline", "nobody/nothing", env={"HF_HUB_OFFLINE": "1"})
    [line] = done.stderr.splitlines()
    assert done.returncode == 1
    assert "the hub's checkpoint nobody/nothing holds no usable encoder" in line
