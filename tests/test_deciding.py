"""Decisions on a real library: written as a whole, kept as they were meant, and exported as labels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from test_triage import BRAIN, FRIDAY, MARKER, MONDAY, WOUND, fill

from exoclass.classifier import Classifier
from exoclass.corpus import read_labeled
from exoclass.deciding import Wish, decide, read_wishes, remaining
from exoclass.errors import ExoclassError, InputError
from exoclass.exporting import labelled_rows, predictions
from exoclass.library import Library
from exoclass.records import Record
from exoclass.taxonomy import Taxonomy
from exoclass.wanting import Want


@pytest.fixture
def library(library: Library, clf: Classifier) -> Library:
    """Return a library of three tagged papers."""
    fill(library, clf, WOUND, BRAIN, MARKER)
    return library


def test_to_accept_keeps_the_tags_of_now(library: Library, clf: Classifier) -> None:
    [decision] = decide(library, [Wish("1", "accept", note="good")], clf.taxonomy, model=clf.id, when=MONDAY)
    assert decision.tags["scope"] == ("therapy",)
    assert "skin_wound" in decision.tags["disease"]
    assert decision.note == "good"
    shown = library.predictions("1")[-1].prediction
    unsure = {tag.id for tags in shown.tags.values() for tag in tags or () if tag.decision == "review"}
    assert set(decision.tags.get("unsure", ())) == unsure


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        (Wish("99", "reject", where="d.csv:7"), "not in the library: PMID 99 (d.csv:7). Nothing was written."),
        (Wish("2", "correct"), "a correction without tags corrects nothing"),
        (Wish("2", "correct", ("disease:hart",)), "there is no label 'hart'"),
        (Wish("2", "correct", ("mechanism:eye",)), "Write disease:eye."),
        (Wish("2", "correct", ("scope:therapy", "scope:not_ev")), "a paper has one scope"),
        (Wish("2", "accept", ("disease:eye",)), "accept takes no tags"),
    ],
)
def test_one_wrong_decision_and_none_is_written(library: Library, taxonomy: Taxonomy, wish: Wish, message: str) -> None:
    with pytest.raises(ExoclassError) as error:
        decide(library, [Wish("1", "reject"), wish], taxonomy, model=None, when=MONDAY)
    assert message in str(error.value)
    assert library.standing_decisions() == ()


def test_what_no_model_has_tagged_cannot_be_accepted(library: Library, taxonomy: Taxonomy) -> None:
    library.add([Record("New", "Exosomes.", pmid="8")], when=FRIDAY)
    with pytest.raises(ExoclassError, match="PMID 8 has no tags to accept yet"):
        decide(library, [Wish("8", "accept")], taxonomy, model=None, when=FRIDAY)


def test_a_table_of_decisions(tmp_path: Path, library: Library, taxonomy: Taxonomy) -> None:
    file = tmp_path / "d.csv"
    file.write_text(
        "PMID,Verdict,Disease,Scope,Note\n1,accept,,,\n2,Correct,nervous_system; cardiovascular,therapy,two areas\n"
        "3,reject,,,marker\n",
        encoding="utf-8-sig",
    )
    decide(library, read_wishes(file, taxonomy), taxonomy, model=None, when=MONDAY)
    found = {decision.record_id: decision for decision in library.standing_decisions()}
    assert [decision.verdict for decision in found.values()] == ["accept", "correct", "reject"]
    corrected = found[library.get("2").id]
    assert corrected.tags == {"scope": ("therapy",), "disease": ("nervous_system", "cardiovascular")}
    assert corrected.note == "two areas"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("pmid,choice\n1,accept\n", "has no verdict column"),
        ("pmid,verdict\n1,accept\nx,reject\n", "d.csv:3: 'x' is no PMID. Nothing was written."),
        ("pmid,verdict\n1,perhaps\n", "d.csv:2: 'perhaps' is no verdict. Write accept, reject or correct."),
        ("pmid,verdict\n1\n", "d.csv:2: 1 cells where the header has 2"),
        ("", "d.csv is empty"),
    ],
)
def test_a_faulty_table_names_the_line(tmp_path: Path, taxonomy: Taxonomy, content: str, message: str) -> None:
    (tmp_path / "d.csv").write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as error:
        read_wishes(tmp_path / "d.csv", taxonomy)
    assert message in str(error.value)


def test_the_newest_decision_holds(library: Library, clf: Classifier) -> None:
    decide(library, [Wish("1", "reject")], clf.taxonomy, model=None, when=MONDAY)
    decide(library, [Wish("1", "accept")], clf.taxonomy, model=None, when=FRIDAY)
    assert [decision.verdict for decision in library.standing_decisions()] == ["accept"]
    left = remaining(library, clf.id, clf.taxonomy)
    assert (left.read, left.found, left.unread) == (1, 1, 2)


def test_a_correction_to_another_scope_is_not_relevant(library: Library, clf: Classifier) -> None:
    decide(library, [Wish("1", "correct", ("scope:biomarker_diagnostic",))], clf.taxonomy, model=None, when=MONDAY)
    assert remaining(library, clf.id, clf.taxonomy).found == 0


def test_labels_for_training_come_from_decisions(
    tmp_path: Path, library: Library, clf: Classifier, taxonomy: Taxonomy
) -> None:
    wishes = [Wish("1", "accept"), Wish("2", "reject"), Wish("3", "correct", ("scope:biomarker_diagnostic",))]
    decide(library, wishes, taxonomy, model=clf.id, when=MONDAY)
    rows, silent = labelled_rows(library, taxonomy)
    assert silent == 1
    file = tmp_path / "labels.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    corpus, findings = read_labeled([file], taxonomy)
    assert findings == []
    wound, marker = corpus
    assert {"therapy", "skin_wound"} <= wound.labels
    assert wound.annotators == ("curator",)
    assert marker.annotated == {"scope"}


def test_an_export_shows_the_curators_tags_in_place_of_the_models(library: Library, clf: Classifier) -> None:
    wish = Wish("2", "correct", ("scope:therapy", "disease:eye"), "no")
    decide(library, [wish, Wish("3", "reject")], clf.taxonomy, model=clf.id, when=MONDAY)
    found = {prediction.record.pmid: prediction for prediction in predictions(library, clf)}
    assert set(found) == {"1", "2", "3"}
    assert [tag.id for tag in found["2"].tags["disease"] or () if tag.decision != "no"] == ["eye"]
    assert found["2"].flags[-1:] == ("corrected",)
    assert found["3"].flags[-1:] == ("rejected",)
    assert not set(found["1"].flags) & {"accepted", "corrected", "rejected"}
    rejected = list(predictions(library, clf, verdicts=["reject"]))
    assert [prediction.record.pmid for prediction in rejected] == ["3"]
    eye = list(predictions(library, clf, wants=[Want("disease", "eye")]))
    assert [prediction.record.pmid for prediction in eye] == ["2"]


def test_an_export_says_what_was_retracted_after_it_was_tagged(library: Library, clf: Classifier) -> None:
    library.add([replace(WOUND, flags=("retracted",))], when=FRIDAY)
    flags = {prediction.record.pmid: prediction.flags for prediction in predictions(library, clf)}
    assert flags == {"1": ("retracted",), "2": (), "3": ()}
