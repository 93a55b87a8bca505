"""A diagnosis shows the same scores as an evaluation, and the mistakes behind them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import DATA

from exoclass.calibration import YES
from exoclass.classifier import Classifier
from exoclass.corpus import Corpus
from exoclass.diagnosis import KINDS, Diagnosis, Mistake, diagnose
from exoclass.metrics import whole_rows
from exoclass.taxonomy import Taxonomy
from exoclass.training import evaluate, seen_in_training

MOST = 1000


@pytest.fixture(scope="module")
def clf(tiny_model: Path) -> Classifier:
    return Classifier.from_pretrained(tiny_model)


@pytest.fixture(scope="module")
def fresh(labelled: Corpus, taxonomy: Taxonomy) -> Corpus:
    """Return records on which the tiny model errs, because most are new to it."""
    return Corpus(labelled.items[:10] + tuple(item for item in Corpus.load([DATA], taxonomy)[::9]))


@pytest.fixture(scope="module")
def found(clf: Classifier, fresh: Corpus) -> Diagnosis:
    return diagnose(clf, fresh, name="x", most=MOST)


def confidence(mistake: Mistake) -> float:
    return 1 - mistake.probability if mistake.kind == "missed" else mistake.probability


def test_the_scores_are_those_of_an_evaluation(clf: Classifier, fresh: Corpus, found: Diagnosis) -> None:
    assert str(found.report) == str(evaluate(clf, fresh, name="x"))
    assert (found.data, found.model, found.seen) == (fresh.fingerprint, clf.id, seen_in_training(clf, fresh))


def test_every_wrong_decision_is_counted_once(clf: Classifier, fresh: Corpus, found: Diagnosis) -> None:
    Y, mask = fresh.binarize(clf.taxonomy)
    probs = clf.probabilities(fresh.texts)
    predicted = clf.calibrator.decide(probs, forced=True) == YES
    wrong = (predicted != Y) & whole_rows(mask, clf.calibrator.axes)
    scope = np.array(clf.taxonomy.columns("scope"))
    rest = np.setdiff1d(np.arange(Y.shape[1]), scope)
    counts = [
        int((wrong & predicted)[:, scope].sum()),
        int((wrong & predicted)[:, rest].sum()),
        int((wrong & ~predicted)[:, rest].sum()),
    ]
    assert [group.count for group in found.mistakes] == counts
    assert [group.kind for group in found.mistakes] == list(KINDS)
    assert [len(group.worst) for group in found.mistakes] == counts
    table = np.array(found.report.confusion)
    assert counts[0] == table.sum() - np.trace(table)


def test_the_most_confident_come_first(found: Diagnosis) -> None:
    for group in found.mistakes:
        order = [confidence(mistake) for mistake in group.worst]
        assert order == sorted(order, reverse=True)


def test_each_mistake_is_one(found: Diagnosis) -> None:
    for mistake in (mistake for group in found.mistakes for mistake in group.worst):
        assert (mistake.label in mistake.gold) == (mistake.kind == "missed")
        assert (mistake.label in mistake.predicted) == (mistake.kind != "missed")
        assert (mistake.axis == "scope") == (mistake.kind == "confused")


def test_evidence_stands_in_the_text(found: Diagnosis) -> None:
    explained = [m for group in found.mistakes for m in group.worst if m.evidence]
    assert explained
    assert all(m.evidence and m.evidence.sentence in m.record.text for m in explained)


@pytest.mark.parametrize("most", [0, 1, 7])
def test_each_kind_gets_its_share(clf: Classifier, fresh: Corpus, found: Diagnosis, most: int) -> None:
    few = diagnose(clf, fresh, name="x", most=most)
    shown = [len(group.worst) for group in few.mistakes]
    counts = [group.count for group in few.mistakes]
    assert sum(shown) == min(most, sum(counts))
    assert all(a >= min(b, count) - 1 for a, count in zip(shown, counts, strict=True) for b in shown)
    for group, whole in zip(few.mistakes, found.mistakes, strict=True):
        assert group.worst == whole.worst[: len(group.worst)]


def test_a_threshold_is_used_for_scores_and_mistakes(clf: Classifier, fresh: Corpus) -> None:
    low = diagnose(clf, fresh, name="x", threshold=0.01, most=MOST)
    added = low.mistakes[KINDS.index("added")]
    assert low.threshold == 0.01
    assert added.count > low.mistakes[KINDS.index("missed")].count
    assert all(mistake.probability >= 0.01 for mistake in added.worst)
