"""What to label next: doubt, rarity and variety, on the shipped model and real records; the table it makes."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from conftest import DATA, ROOT, Run

from exoclass.classifier import Classifier
from exoclass.corpus import Corpus
from exoclass.merging import read_new
from exoclass.records import Record
from exoclass.suggesting import STRATEGIES, choose, doubt, suggest
from exoclass.taxonomy import Taxonomy

WEEK = ROOT / "data" / "examples" / "week.nbib"


@pytest.fixture(scope="module")
def records(taxonomy: Taxonomy) -> list[Record]:
    return [item.record for item in Corpus.load([DATA], taxonomy).select("test")][:80]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_strategy_chooses_as_many_as_asked_for_and_none_twice(
    clf: Classifier, records: list[Record], strategy: str
) -> None:
    found = suggest(records, clf, 10, strategy=strategy)  # type: ignore[arg-type]
    keys = [one.prediction.record.key for one in found]
    assert len(keys) == len(set(keys)) == 10
    assert keys == [one.prediction.record.key for one in suggest(records, clf, 10, strategy=strategy)]  # type: ignore[arg-type]
    assert len(suggest(records[:3], clf, 10, strategy=strategy)) == 3  # type: ignore[arg-type]


def test_uncertainty_prefers_what_is_in_doubt(clf: Classifier, records: list[Record]) -> None:
    def mean_doubt(strategy: str) -> float:
        found = suggest(records, clf, 10, strategy=strategy)  # type: ignore[arg-type]
        probs = clf.probabilities([one.prediction.record.text for one in found])
        return float(doubt(clf, probs).sum(axis=1).mean())

    assert mean_doubt("uncertainty") > mean_doubt("random") + 0.5


def test_rare_labels_count_more(clf: Classifier) -> None:
    common, rare = np.zeros((2, len(clf.taxonomy.ids)))
    common[clf.taxonomy.column("neoplasms")] = rare[clf.taxonomy.column("eye")] = 1.0
    from exoclass.suggesting import _weights

    assert (rare * _weights(clf)).sum() > 2 * (common * _weights(clf)).sum()
    assert _weights(clf)[clf.taxonomy.column("other_disease")] == 0  # never learnt, so never in doubt


def test_mixed_does_not_choose_the_same_paper_twice_over() -> None:
    texts = ["exosomes heal skin wounds of mice"] * 5 + ["plasma vesicles mark lung cancer"]
    doubts = np.array([[1.0]] * 5 + [[0.6]])
    rng = np.random.default_rng(0)
    assert set(choose(texts, doubts, 2, strategy="uncertainty", rng=rng)) <= set(range(5))
    assert choose(texts, doubts, 2, strategy="mixed", rng=rng)[1] == 5


def test_the_reason_names_the_labels_in_doubt(clf: Classifier, records: list[Record]) -> None:
    [first] = suggest(records, clf, 1)
    assert first.reason.startswith("in doubt: ")
    assert " examples)" in first.reason
    assert suggest(records, clf, 1, strategy="random")[0].reason == "drawn at random"


def test_the_table_can_be_filled_in_and_learnt_from(run: Run, taxonomy: Taxonomy, tmp_path: Path) -> None:
    done = run("suggest", WEEK, "-n", "3", "-o", "to-label.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "3 of 6 records chosen (mixed); left out: 1 without an abstract\n"
    rows = list(csv.DictReader((tmp_path / "to-label.csv").read_text(encoding="utf-8").splitlines()))
    assert all(row["scope"] == row["disease"] == row["mechanism"] == "" for row in rows)
    assert all(row["model_scope"] and row["reason"] for row in rows)
    rows[0]["scope"], rows[0]["disease"] = "therapy", "eye"
    with (tmp_path / "filled.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    corpus, findings = read_new([tmp_path / "filled.csv"], taxonomy)
    assert [item.labels for item in corpus] == [{"therapy", "eye"}]
    assert [finding.kind for finding in findings] == ["not_labelled"] * 2


def test_the_library_offers_what_is_undecided(run: Run, tmp_path: Path) -> None:
    assert run("triage", WEEK, "--library", "x.db", cwd=tmp_path).returncode == 0
    assert run("decide", "37957914", "--reject", "--library", "x.db", cwd=tmp_path).returncode == 0
    done = run("suggest", "--library", "x.db", "-n", "99", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    pmids = {row["pmid"] for row in csv.DictReader(done.stdout.splitlines())}
    assert len(pmids) == 5  # of seven, one is decided and one has no abstract
    assert "37957914" not in pmids


def test_nothing_to_choose_from_is_said(run: Run, tmp_path: Path) -> None:
    done = run("suggest", "--library", "none.db", cwd=tmp_path)
    assert done.returncode == 1
    assert "there is no library at none.db" in done.stderr


def test_what_is_left_out_is_counted(run: Run, tmp_path: Path) -> None:
    rows = [
        '{"pmid": "1", "title": "Exosomes heal", "abstract": "Exosomes of stem cells heal wounds of mice."}',
        '{"pmid": "1", "title": "Exosomes heal", "abstract": "Exosomes of stem cells heal wounds of mice."}',
        '{"pmid": "2", "title": "Taken back", "abstract": "Exosomes do all.", "flags": ["retracted"]}',
        '{"pmid": "3", "title": "No abstract"}',
        "{broken",
    ]
    (tmp_path / "few.jsonl").write_text("\n".join(rows), encoding="utf-8")
    done = run("suggest", "few.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == (
        "1 of 1 records chosen (mixed); left out: 2 unreadable or repeated, 1 retracted, 1 without an abstract\n"
    )


def test_files_and_a_library_together_are_refused(run: Run, tmp_path: Path) -> None:
    done = run("suggest", WEEK, "--library", "x.db", cwd=tmp_path)
    assert (done.returncode, "FILES and --library both" in done.stderr) == (2, True)
