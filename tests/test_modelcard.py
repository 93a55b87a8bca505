"""The card beside a model tells what it is, how it was made, and what it is not for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from exoclass.classifier import METADATA
from exoclass.modelcard import model_card
from exoclass.taxonomy import Taxonomy


@pytest.fixture
def metadata(taxonomy: Taxonomy) -> dict[str, Any]:
    return {
        "backend": "tfidf",
        "config": {"C": 4.0, "nested": {"seed": 13}},
        "corpus": {
            "sha256": "0123456789abcdef" * 4,
            "records": 321,
            "groups": 300,
            "positives": {label_id: 7 for label_id in taxonomy.ids if label_id != "eye"} | {"eye": 0},
        },
        "packages": {"numpy": "2.9.9", "scipy": "1.8.8"},
        "evaluation": {"markdown": ["FIRST TABLE", "SECOND TABLE"]},
        "command": "exoclass train mine.jsonl -o mine",
        "trained_on": ["abc"],
    }


@pytest.mark.parametrize(
    "told",
    [
        "# mine",
        "`tfidf`",
        "exoclass predict new.nbib --model mine",
        "exoclass train mine.jsonl -o mine",
        "numpy 2.9.9, scipy 1.8.8",
        "321 records of 300 papers (sha256 `0123456789ab`)",
        "therapy 7",
        "eye 0",
        "FIRST TABLE\n\nSECOND TABLE",
        "Never predicted, for want of examples: eye.",
        "Clinical decisions",
    ],
)
def test_the_card_tells(metadata: dict[str, Any], taxonomy: Taxonomy, told: str) -> None:
    assert told in model_card("mine", taxonomy, metadata)


def test_the_card_names_its_taxonomy(metadata: dict[str, Any], taxonomy: Taxonomy) -> None:
    card = model_card("mine", taxonomy, metadata)
    assert f"{len(taxonomy.labels)} labels, taxonomy {taxonomy.version} (`{taxonomy.fingerprint[:12]}`)" in card


def test_the_card_counts_every_label(metadata: dict[str, Any], taxonomy: Taxonomy) -> None:
    card = model_card("mine", taxonomy, metadata)
    assert [label_id for label_id in taxonomy.ids if not re.search(rf"\b{label_id} \d", card)] == []


def test_the_card_holds_the_whole_configuration(metadata: dict[str, Any], taxonomy: Taxonomy) -> None:
    [block] = re.findall(r"```json\n(.*?)```", model_card("mine", taxonomy, metadata), flags=re.DOTALL)
    assert json.loads(block) == metadata["config"]


def test_nothing_is_said_of_missing_labels_when_all_have_examples(metadata: dict[str, Any], taxonomy: Taxonomy) -> None:
    metadata["corpus"]["positives"]["eye"] = 1
    assert "want of examples" not in model_card("mine", taxonomy, metadata)


def test_rare_labels_roll_up_to_their_group(metadata: dict[str, Any], taxonomy: Taxonomy) -> None:
    metadata["corpus"]["positives"] = dict.fromkeys(taxonomy.ids, 25) | {"eye": 20}
    metadata["corpus"]["held_out_positives"] = dict.fromkeys(taxonomy.ids, 5)
    [line] = [line for line in model_card("mine", taxonomy, metadata).splitlines() if "roll up" in line]
    assert line.endswith("not to be read by themselves: eye (25) to “Organ systems”.")
    metadata["corpus"]["positives"]["eye"] = 25
    assert "roll up" not in model_card("mine", taxonomy, metadata)


def test_what_is_not_known_is_said_to_be_so(metadata: dict[str, Any], taxonomy: Taxonomy) -> None:
    card = model_card("mine", taxonomy, metadata | {"command": "", "evaluation": {}})
    assert "(not recorded)" in card
    assert "(not evaluated)" in card


def test_braces_in_a_value_are_kept(metadata: dict[str, Any], taxonomy: Taxonomy) -> None:
    assert "exoclass train {x}" in model_card("mine", taxonomy, metadata | {"command": "exoclass train {x}"})


def test_a_saved_model_has_a_card_of_its_own_metadata(tiny_model: Path, taxonomy: Taxonomy) -> None:
    saved = json.loads((tiny_model / METADATA).read_text(encoding="utf-8"))
    card = (tiny_model / "README.md").read_text(encoding="utf-8")
    assert card == model_card("tiny", taxonomy, saved)
    assert "cross-validation grouped by paper" in card
