"""Suspected label errors: planted ones are found by real training, with the evidence against them."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import DATA, TINY, Run

from exoclass.corpus import Corpus, to_row
from exoclass.suspects import find_suspects
from exoclass.taxonomy import Taxonomy
from exoclass.trainconfig import TrainConfig

DISEASES = ("neoplasms", "cardiovascular", "nervous_system")


@pytest.fixture(scope="module")
def clear(taxonomy: Taxonomy) -> Corpus:
    """Return records of one of three diseases each, with nothing but that label annotated."""
    chosen = []
    for item in Corpus.load([DATA], taxonomy).select("train"):
        own = [name for name in DISEASES if name in item.labels]
        if len(own) == 1 and len([n for n in item.labels if taxonomy.label(n).axis == "disease"]) == 1:
            chosen.append(replace(item, labels=frozenset(own), unsure=frozenset(), annotated=frozenset({"disease"})))
    return Corpus(tuple(chosen[:240]))


@pytest.mark.filterwarnings("ignore:labels without a positive example")
def test_planted_errors_are_found_first(clear: Corpus, taxonomy: Taxonomy) -> None:
    rng = random.Random(5)
    planted = set(rng.sample(range(len(clear)), 12))
    wrong = [
        replace(item, labels=frozenset({rng.choice([name for name in DISEASES if name not in item.labels])}))
        if row in planted
        else item
        for row, item in enumerate(clear)
    ]
    found = find_suspects(Corpus(tuple(wrong)), taxonomy, TrainConfig.load(TINY), top=12)
    keys = {clear[row].record.key for row in planted}
    assert sum(suspect.key in keys for suspect in found) >= 8  # by chance it would be less than one
    assert len({suspect.key for suspect in found}) == 12
    assert {suspect.given for suspect in found} == {True, False}  # both what was given and what was left out is doubted
    for suspect in found:
        assert suspect.axis == "disease"
        assert (suspect.probability < 0.5) == suspect.given
        if not suspect.given:
            assert suspect.evidence is not None
            assert suspect.evidence.sentence


def test_the_command_lists_them(run: Run, labelled: Corpus, taxonomy: Taxonomy, tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    file.write_text("".join(json.dumps(to_row(item, taxonomy)) + "\n" for item in labelled), encoding="utf-8")
    done = run("check", "labels.jsonl", "--suspects", "--top", "3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line[:3] for line in done.stdout.splitlines() if line[:1].isdigit()] == ["1. ", "2. ", "3. "]
    assert "1. labels.jsonl:" in done.stdout
    told = json.loads(run("check", "labels.jsonl", "--suspects", "--top", "3", "--json", cwd=tmp_path).stdout)
    assert [set(one) >= {"position", "label", "given", "probability", "evidence"} for one in told] == [True] * 3
