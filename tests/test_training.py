"""From labelled records to a model: reproducible, honest about what it has seen, clear about what is missing."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, TINY, clean_environment, make_record

from exoclass.backend import Run
from exoclass.classifier import METADATA, Classifier
from exoclass.corpus import Corpus, LabeledRecord
from exoclass.errors import CorpusError
from exoclass.metrics import EvaluationReport
from exoclass.out_of_fold import cross_scores
from exoclass.report import to_json, to_markdown
from exoclass.taxonomy import Taxonomy
from exoclass.trainconfig import TrainConfig, new_backend
from exoclass.training import MIN_RECORDS, evaluate, seen_in_training, train
from exoclass.unseen import paper_digest


def quietly(
    corpus: Corpus, taxonomy: Taxonomy, config: TrainConfig, test: Corpus | None = None
) -> tuple[Classifier, list[EvaluationReport]]:
    """Train without the warning about labels that this small corpus has no example of."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="labels without a positive example")
        return train(corpus, taxonomy, config, test=test)


@pytest.fixture(scope="module")
def parts(labelled: Corpus) -> tuple[Corpus, Corpus]:
    """Return a corpus to learn from and one to test on, both with every scope."""
    return Corpus(labelled.items[::2]), Corpus(labelled.items[1::2])


@pytest.fixture(scope="module")
def trained(
    parts: tuple[Corpus, Corpus], taxonomy: Taxonomy, tiny_config: TrainConfig
) -> tuple[Classifier, list[EvaluationReport]]:
    return quietly(parts[0], taxonomy, tiny_config, parts[1])


PROGRAM = """
import sys, warnings
from pathlib import Path
from exoclass.corpus import Corpus
from exoclass.taxonomy import Taxonomy
from exoclass.trainconfig import TrainConfig
from exoclass.training import train
warnings.simplefilter("ignore")
data, config, folder = sys.argv[1:]
taxonomy = Taxonomy.load()
corpus = Corpus.load([data], taxonomy)
clf, _ = train(corpus.select("train", "dev"), taxonomy, TrainConfig.load(config), test=corpus.select("test"))
clf.save_pretrained(folder)
"""


@pytest.fixture(scope="module")
def small_data(labelled: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a labelled file with the records of `labelled`, cut from the shipped one."""
    wanted = {int(item.record.source.rpartition(":")[2]) for item in labelled}
    lines = (ROOT / "data" / "exosome_therapy.jsonl").read_text(encoding="utf-8").splitlines()
    path = tmp_path_factory.mktemp("data") / "labels.jsonl"
    path.write_text("\n".join(line for number, line in enumerate(lines, 1) if number in wanted), encoding="utf-8")
    return path


def test_training_is_reproducible_bit_for_bit(small_data: Path, tmp_path: Path) -> None:
    folders = []
    for seed in ("1", "2718"):
        folder = tmp_path / seed / "model"
        subprocess.run(
            [sys.executable, "-c", PROGRAM, str(small_data), str(TINY), str(folder)],
            env=clean_environment() | {"PYTHONHASHSEED": seed},
            check=True,
        )
        folders.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert sorted(folders[0]) == sorted(folders[1])
    assert [name for name in folders[0] if folders[0][name] != folders[1][name]] == []


@pytest.mark.parametrize("n", [1, MIN_RECORDS - 1])
def test_too_few_records_are_refused(labelled: Corpus, taxonomy: Taxonomy, tiny_config: TrainConfig, n: int) -> None:
    with pytest.raises(CorpusError, match=rf"^{n} labelled records are too few to train on.*at least {MIN_RECORDS}"):
        train(labelled[:n], taxonomy, tiny_config)


def repeated(n: int, group: str = "", text: str = "") -> Corpus:
    """Return n records about the same thing, in one group or each in its own."""
    empty: frozenset[str] = frozenset()
    return Corpus(
        tuple(
            LabeledRecord(
                make_record(f"{text} {number}") if not text else make_record(text, text),
                frozenset({"therapy"}),
                empty,
                frozenset({"scope"}),
                group or f"g{number}",
            )
            for number in range(n)
        )
    )


def test_records_of_one_paper_only_are_refused(taxonomy: Taxonomy, tiny_config: TrainConfig) -> None:
    with pytest.raises(CorpusError, match="paper"):
        train(repeated(30, group="one"), taxonomy, tiny_config)


@pytest.mark.parametrize("folds", [1, 0, -3])
def test_fewer_than_two_folds_are_refused(
    labelled: Corpus, taxonomy: Taxonomy, tiny_config: TrainConfig, folds: int
) -> None:
    config = replace(tiny_config, validation=replace(tiny_config.validation, folds=folds))
    with pytest.raises(CorpusError, match="set folds to 2 or more"):
        train(labelled, taxonomy, config)


def test_texts_with_nothing_in_common_are_refused(taxonomy: Taxonomy, tiny_config: TrainConfig) -> None:
    config = replace(tiny_config, model=replace(tiny_config.model, max_df=0.5))
    with pytest.raises(CorpusError, match="share"):
        train(repeated(30, text="Every text is the same."), taxonomy, config)


def test_labels_without_positives_are_named_in_a_warning(
    labelled: Corpus, taxonomy: Taxonomy, tiny_config: TrainConfig
) -> None:
    without = Corpus(tuple(item for item in labelled if not item.labels & {"eye", "skin_wound"}))
    with pytest.warns(UserWarning, match=r"labels without a positive example are never predicted: .*\beye\b"):
        train(without, taxonomy, tiny_config)


def test_a_label_without_positives_is_never_predicted(
    labelled: Corpus, taxonomy: Taxonomy, tiny_config: TrainConfig
) -> None:
    without = Corpus(tuple(item for item in labelled if "neoplasms" not in item.labels))
    clf, _ = quietly(without, taxonomy, tiny_config)
    for prediction in clf.predict([item.record for item in labelled], explain=False):
        assert {tag.id: tag.decision for tag in prediction.tags["disease"] or ()}["neoplasms"] == "no"


def test_an_unsure_label_is_no_positive(labelled: Corpus, taxonomy: Taxonomy, tiny_config: TrainConfig) -> None:
    unsure = frozenset({"therapy"})
    clf, _ = quietly(Corpus(tuple(replace(item, unsure=unsure) for item in labelled)), taxonomy, tiny_config)
    assert clf.metadata.corpus["positives"]["therapy"] == 0
    assert clf.metadata.corpus["positives"]["not_ev"] == sum("not_ev" in item.labels for item in labelled) > 0


def test_the_test_split_is_not_learnt_from(
    parts: tuple[Corpus, Corpus],
    trained: tuple[Classifier, list[EvaluationReport]],
    taxonomy: Taxonomy,
    tiny_config: TrainConfig,
) -> None:
    turned = Corpus(tuple(replace(item, labels=frozenset({"not_ev"})) for item in parts[1]))
    with_test, without = trained[0], quietly(parts[0], taxonomy, tiny_config)[0]
    with_other = quietly(parts[0], taxonomy, tiny_config, turned)[0]
    texts = parts[1].texts
    for other in (without, with_other):
        assert np.array_equal(with_test.probabilities(texts), other.probabilities(texts))
        assert with_test.calibrator.to_dict() == other.calibrator.to_dict()
        assert with_test.metadata.trained_on == other.metadata.trained_on
        told = [clf.metadata.corpus | {"held_out_positives": None} for clf in (with_test, other)]
        assert told[0] == told[1]


def test_cross_validation_comes_first_then_the_test_split(
    parts: tuple[Corpus, Corpus], trained: tuple[Classifier, list[EvaluationReport]]
) -> None:
    first, second = trained[1]
    assert (first.name, first.n_records) == ("2-fold cross-validation grouped by paper", len(parts[0]))
    assert (second.name, second.n_records) == ("held-out test split", len(parts[1]))


def test_an_empty_test_split_is_not_reported(
    parts: tuple[Corpus, Corpus], taxonomy: Taxonomy, tiny_config: TrainConfig
) -> None:
    assert len(quietly(parts[0], taxonomy, tiny_config, Corpus(()))[1]) == 1


def test_evaluating_the_saved_model_gives_the_figures_of_its_card(
    parts: tuple[Corpus, Corpus], trained: tuple[Classifier, list[EvaluationReport]], tmp_path: Path
) -> None:
    clf, reports = trained
    Classifier(clf.backend, clf.taxonomy, clf.calibrator, clf.metadata).save_pretrained(tmp_path / "m")
    again = evaluate(Classifier.from_pretrained(tmp_path / "m"), parts[1], name="held-out test split")
    assert to_json(again) == to_json(reports[1])
    assert to_markdown(again) in (tmp_path / "m" / "README.md").read_text(encoding="utf-8")


def test_evaluating_with_a_threshold_changes_many_label_axes_only(
    parts: tuple[Corpus, Corpus], trained: tuple[Classifier, list[EvaluationReport]]
) -> None:
    learned, given = (evaluate(trained[0], parts[1], name="x", threshold=cut) for cut in (None, 0.01))
    assert given.axis("scope").micro_f1 == learned.axis("scope").micro_f1
    assert given.axis("disease").micro_f1 != learned.axis("disease").micro_f1
    assert given.axis("disease").review_share == 0.0


def test_evaluating_nothing_gives_no_figures(trained: tuple[Classifier, list[EvaluationReport]]) -> None:
    report = evaluate(trained[0], Corpus(()), name="nothing")
    assert report.n_records == 0
    assert {label.support for label in report.labels} == {0}


def test_out_of_fold_scores_are_of_models_that_have_not_seen_the_paper(
    labelled: Corpus, taxonomy: Taxonomy, tiny_config: TrainConfig
) -> None:
    part = labelled[:40]
    found = cross_scores(part, taxonomy, tiny_config)
    Y, mask = part.binarize(taxonomy)
    single = taxonomy.columns("scope")
    assert set(found.folds.tolist()) == {0, 1}
    for fold in (0, 1):
        inside, outside = np.flatnonzero(found.folds != fold), np.flatnonzero(found.folds == fold)
        backend = new_backend(tiny_config).fit([part.texts[i] for i in inside], Y[inside], mask[inside], single=single)
        assert np.array_equal(found.scores[outside], backend.scores([part.texts[i] for i in outside]))


def test_records_of_one_paper_are_in_one_fold(labelled: Corpus, taxonomy: Taxonomy, tiny_config: TrainConfig) -> None:
    pairs = Corpus(tuple(replace(item, group=f"g{number // 2}") for number, item in enumerate(labelled[:40])))
    folds = cross_scores(pairs, taxonomy, tiny_config).folds
    assert (folds[::2] == folds[1::2]).all()


def test_the_order_of_records_changes_little(labelled: Corpus, taxonomy: Taxonomy, tiny_config: TrainConfig) -> None:
    shuffled = list(labelled.items)
    random.Random(3).shuffle(shuffled)
    first, second = (quietly(part, taxonomy, tiny_config)[0] for part in (labelled, Corpus(tuple(shuffled))))
    assert second.metadata.corpus == first.metadata.corpus
    assert second.probabilities(labelled.texts) == pytest.approx(first.probabilities(labelled.texts), abs=0.02)


def test_papers_seen_in_training_are_counted(
    parts: tuple[Corpus, Corpus], trained: tuple[Classifier, list[EvaluationReport]]
) -> None:
    clf = trained[0]
    assert seen_in_training(clf, parts[0]) == len(parts[0])
    assert seen_in_training(clf, parts[1]) == 0
    assert seen_in_training(clf, Corpus(parts[0].items[:3] + parts[1].items[:5])) == 3


def test_papers_seen_in_training_are_known_after_loading(tiny_model: Path, labelled: Corpus) -> None:
    assert seen_in_training(Classifier.from_pretrained(tiny_model), labelled) == len(labelled)


def test_a_model_does_not_tell_which_papers_it_was_trained_on(tiny_model: Path, labelled: Corpus) -> None:
    saved = json.loads((tiny_model / METADATA).read_text(encoding="utf-8"))
    assert sorted({paper_digest(item.group) for item in labelled}) == saved["trained_on"]
    assert [group for group in saved["trained_on"] if len(group) != 12] == []


def test_the_metadata_say_what_was_learnt_from(tiny_model: Path, labelled: Corpus, taxonomy: Taxonomy) -> None:
    saved = json.loads((tiny_model / METADATA).read_text(encoding="utf-8"))
    assert saved["corpus"]["sha256"] == labelled.fingerprint
    assert saved["corpus"]["records"] == len(labelled)
    assert list(saved["corpus"]["positives"]) == list(taxonomy.ids)
    assert saved["corpus"]["positives"]["therapy"] == sum("therapy" in item.labels for item in labelled)
    assert set(saved["packages"]) == {"numpy", "scipy", "scikit-learn"}
    assert saved["config"]["validation"] == {"folds": 2, "seed": 13}


def test_every_step_is_told(labelled: Corpus, taxonomy: Taxonomy, tiny_config: TrainConfig) -> None:
    told: list[str] = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="labels without a positive example")
        train(labelled[:40], taxonomy, tiny_config, test=labelled[40:60], run=Run(told.append))
    assert told == [
        "cross-validation, fold 1 of 2",
        "cross-validation, fold 2 of 2",
        "fitting the final model on 40 records",
        "scoring 20 held-out records",
    ]
