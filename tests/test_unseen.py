"""What is kept of out-of-fold scores beside a model: by paper, in half precision, and never taken on trust."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from exoclass.classifier import Classifier
from exoclass.corpus import Corpus
from exoclass.errors import ModelError, TamperedModelError
from exoclass.out_of_fold import cross_scores
from exoclass.taxonomy import Taxonomy
from exoclass.trainconfig import TrainConfig
from exoclass.unseen import Unseen


def test_a_model_keeps_what_was_said_out_of_fold_of_each_of_its_papers(
    tiny_model: Path, labelled: Corpus, taxonomy: Taxonomy, tiny_config: TrainConfig
) -> None:
    kept = Classifier.from_pretrained(tiny_model).unseen
    assert kept is not None
    scores = cross_scores(labelled, taxonomy, tiny_config).scores
    assert np.array_equal(np.array(kept.find(labelled.items[::-1])), kept.scores[::-1])
    assert np.array_equal(kept.scores, scores.astype(np.float16).astype(np.float64))


def test_what_has_moved_since_is_kept(labelled: Corpus, tmp_path: Path) -> None:
    Unseen.of(labelled[:3].items, np.zeros((3, 2)), np.array([4, 0])).save(tmp_path)
    kept = Unseen.load(tmp_path, 2)
    assert kept is not None
    assert kept.moved.tolist() == [4, 0]


def test_a_paper_it_does_not_know_has_no_scores(labelled: Corpus) -> None:
    kept = Unseen.of(labelled[:3].items, np.arange(6.0).reshape(3, 2))
    *found, third, fourth = kept.find(labelled[1:5].items)
    assert np.array_equal(np.array(found), [[2.0, 3.0], [4.0, 5.0]])
    assert (third, fourth) == (None, None)


def test_a_model_without_them_is_read_and_a_changed_file_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    clf = Classifier.from_pretrained(tiny_model)
    clf.unseen = None
    clf.save_pretrained(tmp_path / "old")
    assert Classifier.from_pretrained(tmp_path / "old").unseen is None
    shutil.copytree(tiny_model, tmp_path / "changed")
    Unseen.of((), np.zeros((0, 2))).save(tmp_path / "changed")
    with pytest.raises(TamperedModelError, match=r"out_of_fold\.npz"):
        Classifier.from_pretrained(tmp_path / "changed")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off"])
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "out_of_fold.npz").write_bytes(content)
    with pytest.raises(ModelError, match=r"out_of_fold\.npz cannot be read"):
        Unseen.load(tmp_path, 2)


@pytest.mark.parametrize(
    ("scores", "labels"),
    [
        (np.zeros((1, 3)), 2),
        (np.zeros((2, 2)), 2),
        (np.full((1, 2), np.nan), 2),
        (np.zeros(2), 2),
        (np.zeros((1, 2)), 3),
    ],
)
def test_scores_that_do_not_fit_are_refused(tmp_path: Path, scores: np.ndarray, labels: int) -> None:
    Unseen(("0" * 12,), scores, np.zeros(labels, dtype=np.int64)).save(tmp_path)
    with pytest.raises(ModelError, match="does not fit the model"):
        Unseen.load(tmp_path, 2)
