"""Records in, predictions out; and what a model folder has to be to be trusted."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import make_record

from exoclass.classifier import METADATA, Classifier, find_model
from exoclass.corpus import Corpus
from exoclass.errors import (
    ExoclassError,
    IncompatibleModelError,
    ModelError,
    OutputError,
    TamperedModelError,
    UsageError,
)
from exoclass.manifest import MANIFEST, new_folder, verify
from exoclass.records import Prediction, Record
from exoclass.taxonomy import Taxonomy, parse_taxonomy


@pytest.fixture(scope="module")
def clf(tiny_model: Path) -> Classifier:
    return Classifier.from_pretrained(tiny_model)


@pytest.fixture(scope="module")
def records(labelled: Corpus) -> list[Record]:
    """Return records of every scope, and some odd ones."""
    odd = [
        Record("", ""),
        Record("A title alone", "", flags=("no_abstract",)),
        Record("", "An abstract alone."),
        Record("细胞外囊泡", "促进伤口愈合。", flags=("non_english",)),
    ]
    return [item.record for item in labelled] + odd


@pytest.fixture(scope="module")
def predictions(clf: Classifier, records: list[Record]) -> list[Prediction]:
    return list(clf.predict(records))


def altered(model: Path, folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Return a copy of a model whose metadata were changed, with a manifest that fits."""
    target = folder / "altered"
    with new_folder(target) as draft:
        for path in model.iterdir():
            if path.name != MANIFEST:
                shutil.copy(path, draft)
        content = json.loads((draft / METADATA).read_text(encoding="utf-8"))
        changed = change(content)
        (draft / METADATA).write_text(json.dumps(content if changed is None else changed), encoding="utf-8")
    return target


def test_there_is_one_prediction_per_record_in_order(predictions: list[Prediction], records: list[Record]) -> None:
    assert [prediction.record.title for prediction in predictions] == [record.title for record in records]


def test_every_label_has_a_probability(predictions: list[Prediction], taxonomy: Taxonomy) -> None:
    for prediction in predictions:
        tags = [*prediction.all_scopes, *(prediction.tags["disease"] or ())]
        assert {tag.id for tag in tags} == {label.id for label in taxonomy.labels if label.axis != "mechanism"}
        assert all(0 <= tag.probability <= 1 for tag in tags)


def test_labels_stand_by_falling_probability(predictions: list[Prediction]) -> None:
    for prediction in predictions:
        for tags in (prediction.all_scopes, prediction.tags["disease"] or (), prediction.tags["mechanism"] or ()):
            probs = [tag.probability for tag in tags]
            assert probs == sorted(probs, reverse=True)


def test_the_scope_is_the_likeliest_one(predictions: list[Prediction]) -> None:
    for prediction in predictions:
        assert prediction.scope == prediction.all_scopes[0]
        assert [tag.decision for tag in prediction.all_scopes[1:]] == ["no"] * 6


def test_mechanism_is_null_unless_vesicles_are_given(predictions: list[Prediction]) -> None:
    given = [prediction.scope.id in {"therapy", "delivery_platform"} for prediction in predictions]
    assert [prediction.tags["mechanism"] is not None for prediction in predictions] == given
    assert any(given)
    assert not all(given)


def test_disease_is_told_whatever_the_scope(predictions: list[Prediction]) -> None:
    assert all(prediction.tags["disease"] for prediction in predictions)


def test_the_probabilities_are_those_of_the_calibrator(
    clf: Classifier, predictions: list[Prediction], records: list[Record], taxonomy: Taxonomy
) -> None:
    probs = clf.probabilities([record.text for record in records])
    for row, prediction in zip(probs, predictions, strict=True):
        for tag in prediction.tags["disease"] or ():
            assert tag.probability == round(float(row[taxonomy.column(tag.id)]), 4)


def test_the_model_has_learnt_something(predictions: list[Prediction], labelled: Corpus) -> None:
    right = [prediction.scope.id in item.labels for prediction, item in zip(predictions, labelled, strict=False)]
    assert sum(right) > 0.9 * len(right)


def surely_tagged(clf: Classifier, records: list[Record]) -> Record:
    """Return a record whose scope and disease the model is sure of."""
    for prediction in clf.predict(records, explain=False):
        sure = any(tag.decision == "yes" for tag in prediction.tags["disease"] or ())
        if sure and prediction.scope.decision == "yes":
            return prediction.record
    raise AssertionError("the model is never sure")


@pytest.mark.parametrize("options", [{}, {"threshold": 0.01}])
@pytest.mark.parametrize("flag", ["no_abstract", "non_english"])
def test_a_record_of_another_kind_is_review_at_most(
    clf: Classifier, records: list[Record], flag: str, options: dict[str, float]
) -> None:
    sure = surely_tagged(clf, records)
    [prediction] = clf.predict([replace(sure, flags=(flag,))], **options)  # type: ignore[arg-type]
    assert prediction.scope.decision == "review"
    decisions = {tag.decision for tags in prediction.tags.values() for tag in tags or ()}
    assert decisions == {"review", "no"}


def test_a_record_without_abstract_is_review_at_most_and_flagged_even_if_made_by_hand(
    clf: Classifier, records: list[Record]
) -> None:
    text = surely_tagged(clf, records).text.replace("\n", " ")
    [prediction] = clf.predict([Record(title=text, abstract="")])
    assert prediction.flags == ("no_abstract",)
    assert prediction.scope.decision == "review"


def test_flags_of_the_record_are_told_once(clf: Classifier) -> None:
    [prediction] = clf.predict([make_record(abstract="", flags=("retracted", "no_abstract"))])
    assert prediction.flags == ("retracted", "no_abstract")


def test_the_kind_of_record_does_not_change_its_probabilities(clf: Classifier) -> None:
    plain, flagged = clf.predict([make_record(), make_record(flags=("non_english",))])
    assert [tag.probability for tag in plain.all_scopes] == [tag.probability for tag in flagged.all_scopes]


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_the_batch_size_does_not_change_results(
    clf: Classifier, records: list[Record], predictions: list[Prediction], batch_size: int
) -> None:
    assert list(clf.predict(records, batch_size=batch_size)) == predictions


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_of_nothing_is_refused_and_loses_no_record(clf: Classifier, batch_size: int) -> None:
    with pytest.raises(UsageError, match="batch"):
        list(clf.predict([make_record()], batch_size=batch_size))


def test_no_records_give_no_predictions(clf: Classifier) -> None:
    assert list(clf.predict([])) == []


def test_at_most_one_batch_is_read_ahead(clf: Classifier, records: list[Record]) -> None:
    read = 0

    def counted() -> Iterator[Record]:
        nonlocal read
        for record in records:
            read += 1
            yield record

    stream = clf.predict(counted(), batch_size=3)
    assert read == 0
    for number in range(1, 10):
        next(stream)
        assert number <= read <= -(-number // 3) * 3


def test_an_endless_stream_is_tagged_as_it_comes(clf: Classifier) -> None:
    def endless() -> Iterator[Record]:
        while True:
            yield make_record()

    stream = clf.predict(endless())
    assert next(stream) == next(stream)


def test_yes_and_review_tags_have_evidence_and_others_none(predictions: list[Prediction]) -> None:
    found = 0
    for prediction in predictions:
        for tags in prediction.tags.values():
            for tag in tags or ():
                if tag.decision == "no":
                    assert tag.evidence is None
                elif tag.evidence:
                    found += 1
                    assert tag.evidence.sentence in prediction.record.text
                    text = " ".join(prediction.record.text.casefold().split())
                    assert all(term in text for term in tag.evidence.terms)
    assert found > 50


def test_evidence_is_left_out_when_it_is_not_wanted(
    clf: Classifier, records: list[Record], predictions: list[Prediction]
) -> None:
    for bare, full in zip(clf.predict(records, explain=False), predictions, strict=True):
        tags = [tag for axis in bare.tags.values() for tag in axis or ()]
        assert [tag.evidence for tag in tags] == [None] * len(tags)
        assert tags == [replace(tag, evidence=None) for axis in full.tags.values() for tag in axis or ()]


@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.9])
def test_a_threshold_that_is_given_decides_disease_and_mechanism(
    clf: Classifier, labelled: Corpus, threshold: float
) -> None:
    for prediction in clf.predict([item.record for item in labelled], threshold=threshold, explain=False):
        for tags in prediction.tags.values():
            for tag in tags or ():
                assert tag.decision != "review"
                if tag.decision == "yes":
                    assert tag.probability >= threshold - 1e-4
                elif not any(other.decision == "yes" for other in tags or ()):
                    assert tag.probability <= threshold + 1e-4


def test_the_id_is_the_name_and_the_content(clf: Classifier, tiny_model: Path, predictions: list[Prediction]) -> None:
    assert clf.id == f"tiny:{verify(tiny_model)[:12]}"
    assert {prediction.model for prediction in predictions} == {clf.id}


def test_a_model_that_was_never_saved_has_no_digest(clf: Classifier) -> None:
    unsaved = Classifier(clf.backend, clf.taxonomy, clf.calibrator, clf.metadata)
    assert unsaved.id == "unsaved"


def test_predictions_name_their_taxonomy(predictions: list[Prediction], taxonomy: Taxonomy) -> None:
    assert {prediction.taxonomy for prediction in predictions} == {taxonomy.fingerprint[:12]}


def test_a_saved_model_predicts_the_same(
    clf: Classifier, records: list[Record], predictions: list[Prediction], tmp_path: Path
) -> None:
    clf_again = Classifier(clf.backend, clf.taxonomy, clf.calibrator, clf.metadata, unseen=clf.unseen)
    clf_again.save_pretrained(tmp_path / "tiny")
    assert clf_again.id == clf.id
    assert list(Classifier.from_pretrained(tmp_path / "tiny").predict(records)) == predictions


def test_a_loaded_model_saves_the_same_files(clf: Classifier, tiny_model: Path, tmp_path: Path) -> None:
    again = Classifier(clf.backend, clf.taxonomy, clf.calibrator, clf.metadata, unseen=clf.unseen)
    again.save_pretrained(tmp_path / "tiny")
    for path in tiny_model.iterdir():
        assert (tmp_path / "tiny" / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_model_is_not_saved_over_another(clf: Classifier, tiny_model: Path) -> None:
    before = verify(tiny_model)
    with pytest.raises(OutputError, match="exists already"):
        Classifier(clf.backend, clf.taxonomy, clf.calibrator, clf.metadata).save_pretrained(tiny_model)
    assert verify(tiny_model) == before


def test_the_shipped_model_is_the_default() -> None:
    clf = Classifier.from_pretrained()
    assert clf.name == "tfidf"
    assert Classifier.from_pretrained("tfidf").id == clf.id == Classifier.from_pretrained(find_model("tfidf")).id


def test_the_shipped_model_fits_the_shipped_taxonomy(taxonomy: Taxonomy) -> None:
    assert Classifier.from_pretrained(taxonomy=taxonomy).taxonomy == taxonomy


def test_the_shipped_model_tags_a_wound_paper() -> None:
    [prediction] = Classifier.from_pretrained().predict([make_record()])
    assert (prediction.scope.id, prediction.scope.decision) == ("therapy", "yes")
    assert "skin_wound" in [tag.id for tag in prediction.tags["disease"] or () if tag.decision == "yes"]


@pytest.mark.parametrize("name", ["nosuch", "no/such/folder", "../tfidf", "tfidf.zip"])
def test_an_unknown_model_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match=r"there is no model.*shipped 'tfidf'"):
        Classifier.from_pretrained(name)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no exoclass model"):
        Classifier.from_pretrained(tmp_path)


@pytest.mark.parametrize("name", ["README.md", METADATA, "tfidf.json", "tfidf.npz", "vocabulary.json", MANIFEST])
def test_a_tampered_model_is_refused(tiny_model: Path, tmp_path: Path, name: str) -> None:
    copy = shutil.copytree(tiny_model, tmp_path / "copy")
    content = (copy / name).read_bytes()
    place = content.rindex(b"a") if name == MANIFEST else len(content) // 2
    (copy / name).write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    with pytest.raises(ModelError) as caught:
        Classifier.from_pretrained(copy)
    assert isinstance(caught.value, TamperedModelError) or name == MANIFEST
    assert caught.value.remedy


def test_a_newer_schema_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    newer = altered(tiny_model, tmp_path, lambda content: content.update(schema=2))
    with pytest.raises(IncompatibleModelError, match=r"made by a newer exoclass \(schema 2\)\. Update exoclass"):
        Classifier.from_pretrained(newer)


@pytest.fixture
def foreign(taxonomy: Taxonomy) -> Taxonomy:
    """Return the shipped taxonomy with two labels swapped."""
    content = taxonomy.to_dict()
    content["labels"][-1], content["labels"][-2] = content["labels"][-2], content["labels"][-1]
    return parse_taxonomy(content, "mine.toml")


def test_a_foreign_taxonomy_is_refused(tiny_model: Path, foreign: Taxonomy) -> None:
    with pytest.raises(IncompatibleModelError, match=r"made for another taxonomy .*exoclass train"):
        Classifier.from_pretrained(tiny_model, taxonomy=foreign)


def test_a_model_whose_taxonomy_was_swapped_is_refused(tiny_model: Path, tmp_path: Path, foreign: Taxonomy) -> None:
    swapped = altered(tiny_model, tmp_path, lambda content: content.update(taxonomy=foreign.to_dict()))
    with pytest.raises(IncompatibleModelError, match="another taxonomy"):
        Classifier.from_pretrained(swapped)


def test_another_wording_of_the_taxonomy_is_taken_over(tiny_model: Path, taxonomy: Taxonomy) -> None:
    content = taxonomy.to_dict()
    content["labels"][0]["name"] = "Another name"
    reworded = parse_taxonomy(content, "mine.toml")
    assert Classifier.from_pretrained(tiny_model, taxonomy=reworded).taxonomy.labels[0].name == "Another name"


FAULTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "a list": lambda _: [1],
    "a number": lambda _: 7,
    "without schema": lambda content: content.pop("schema") and None,
    "schema in words": lambda content: content.update(schema="one"),
    "without taxonomy": lambda content: content.pop("taxonomy") and None,
    "taxonomy a list": lambda content: content.update(taxonomy=[]),
    "taxonomy faulty": lambda content: content["taxonomy"].update(labels=[]),
    "without fingerprint": lambda content: content.pop("fingerprint") and None,
    "without calibration": lambda content: content.pop("calibration") and None,
    "calibration too short": lambda content: content["calibration"].update(slopes=[1.0]),
    "calibration a list": lambda content: content.update(calibration=[]),
    "calibration settings unknown": lambda content: content["calibration_config"].update(more=1),
    "calibration settings a number": lambda content: content.update(calibration_config=3),
    "trained on a number": lambda content: content.update(trained_on=3),
    "without command": lambda content: content.pop("command", "x") and None,
    "unknown backend": lambda content: content.update(backend="magic"),
    "backend a list": lambda content: content.update(backend=[]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_metadata_that_cannot_be_used_are_refused(tiny_model: Path, tmp_path: Path, fault: str) -> None:
    broken = altered(tiny_model, tmp_path, FAULTS[fault])
    with pytest.raises(ModelError) as caught:
        Classifier.from_pretrained(broken)
    assert caught.value.remedy


@pytest.mark.parametrize("fault", ["newer", "foreign", "tampered", "missing", "faulty"])
def test_every_refusal_is_one_line_with_a_remedy(
    tiny_model: Path, tmp_path: Path, foreign: Taxonomy, fault: str
) -> None:
    wanted: Taxonomy | None = None
    model = tiny_model
    if fault == "newer":
        model = altered(tiny_model, tmp_path, lambda content: content.update(schema=99))
    elif fault == "foreign":
        wanted = foreign
    elif fault == "tampered":
        model = shutil.copytree(tiny_model, tmp_path / "copy")
        (model / "vocabulary.json").write_bytes(b"{}")
    elif fault == "missing":
        model = tmp_path / "none"
    else:
        model = altered(tiny_model, tmp_path, lambda content: content["taxonomy"].update(schema=5))
    with pytest.raises(ExoclassError) as caught:
        Classifier.from_pretrained(model, taxonomy=wanted)
    line = str(caught.value)
    assert "\n" not in line
    assert line.endswith(caught.value.remedy)
    assert len(caught.value.remedy) > 10


@pytest.mark.parametrize("name", ["tfidf", "transformer", "blend"])
def test_each_shipped_model_knows_a_wound_and_says_why(name: str) -> None:
    [found] = Classifier.from_pretrained(name).predict([make_record()])
    assert found.scope.id == "therapy"
    [skin] = [tag for tag in found.tags["disease"] or () if tag.id == "skin_wound"]
    assert skin.decision == "yes"
    assert skin.evidence is not None
    assert re.search("wound|skin", skin.evidence.sentence)
