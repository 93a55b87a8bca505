"""Agreement of annotators, against figures worked out by hand or published."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Run

from exoclass.agreement import agreement, alpha, kappa, masi, nominal, read_passes
from exoclass.errors import CorpusError, TaxonomyError
from exoclass.taxonomy import Taxonomy


def line(key: str, annotator: str, scope: str = "therapy", **changes: Any) -> str:  # noqa: ANN401 - JSON values
    row = {"id": key, "annotator": annotator, "scope": scope, "disease": ["liver"], "mechanism": ["angiogenesis"]}
    return json.dumps(row | {"unsure": []} | changes)


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_kappa_of_a_textbook_table() -> None:
    pairs = [(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15
    assert kappa(pairs) == pytest.approx(0.4)


@pytest.mark.parametrize("pairs", [[], [(True, True)] * 3, [(False, False)] * 3])
def test_kappa_is_not_defined_where_chance_leaves_nothing(pairs: list[tuple[bool, bool]]) -> None:
    assert math.isnan(kappa(pairs))


def test_alpha_of_nominal_data_as_krippendorff_works_it_out() -> None:
    # Krippendorff 2011, "Computing Krippendorff's alpha-reliability", binary data of two observers: alpha = 0.095
    first, second = "0100000000", "1110010010"
    pairs = [(frozenset(a), frozenset(b)) for a, b in zip(first, second, strict=True)]
    assert alpha(pairs, nominal) == pytest.approx(0.095, abs=5e-4)


@pytest.mark.parametrize(
    ("a", "b", "distance"), [("ab", "ab", 0.0), ("ab", "a", 2 / 3), ("ab", "bc", 8 / 9), ("a", "b", 1.0), ("", "", 0.0)]
)
def test_masi_distance(a: str, b: str, distance: float) -> None:
    assert masi(frozenset(a), frozenset(b)) == pytest.approx(distance)
    assert masi(frozenset(b), frozenset(a)) == pytest.approx(distance)


def test_axes_that_one_annotator_left_out_and_unsure_labels_do_not_count(tmp_path: Path, taxonomy: Taxonomy) -> None:
    path = write(
        tmp_path / "passes.jsonl",
        line("r1", "a"),
        line("r1", "b", unsure=["liver"], disease=["eye"]),
        line("r2", "a"),
        line("r2", "b", "basic_methods", mechanism=None),
        line("r3", "b"),
    )
    [found] = agreement(read_passes([path], taxonomy), taxonomy)
    assert (found.annotators, found.records) == (("a", "b"), 2)
    assert [(axis.id, axis.records) for axis in found.axes] == [("scope", 2), ("disease", 2), ("mechanism", 1)]
    by_label = {label.id: label for label in found.labels}
    assert (by_label["liver"].judged, by_label["liver"].unsure) == (1, 1)
    assert by_label["angiogenesis"].judged == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("not json", "passes.jsonl:1"),
        ('{"id": "r1"}', "passes.jsonl:1"),
        (line("r1", "a") + "\n" + line("r1", "a"), "twice"),
    ],
)
def test_a_faulty_line_is_named(tmp_path: Path, taxonomy: Taxonomy, content: str, words: str) -> None:
    with pytest.raises(CorpusError, match=words):
        read_passes([write(tmp_path / "passes.jsonl", content)], taxonomy)


def test_an_unknown_label_is_named(tmp_path: Path, taxonomy: Taxonomy) -> None:
    with pytest.raises(TaxonomyError, match="hearts"):
        read_passes([write(tmp_path / "passes.jsonl", line("r1", "a", disease=["hearts"]))], taxonomy)


def test_one_annotator_agrees_with_nobody(tmp_path: Path, taxonomy: Taxonomy) -> None:
    passes = read_passes([write(tmp_path / "passes.jsonl", line("r1", "a"), line("r2", "b"))], taxonomy)
    with pytest.raises(CorpusError, match="no two annotators"):
        agreement(passes, taxonomy)


def test_the_shipped_passes_can_be_recomputed(run: Run) -> None:
    done = run("check", str(ROOT / "data" / "passes.jsonl"), "--agreement", "--json")
    assert done.returncode == 0, done.stderr
    [found] = json.loads(done.stdout)
    assert found["annotators"] == ["a1", "a2"]
    assert len(found["labels"]) == 47
    assert all(0 < axis["alpha"] <= 1 for axis in found["axes"])
