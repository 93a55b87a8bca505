"""The blend beyond the contract of every backend: who reads a text, and how the scores are put together."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, tiny_transformer

from exoclass.backend import Bools
from exoclass.blend import BlendBackend, BlendConfig
from exoclass.errors import ModelError
from exoclass.trainconfig import TrainConfig

FILLER = "vesicles were given to mice and the treated groups were studied for days"
TEXTS = [f"{FILLER} {('collagen', 'melanoma')[row % 2]} {row % 7}" for row in range(40)]
Y: Bools = np.array([[row % 2 == 0, row % 2 == 1, row % 4 == 0] for row in range(40)])
NEW = [f"{FILLER} melanoma", FILLER, "collagen collagen", ""]


@pytest.fixture(scope="module")
def fitted(tiny_encoder: Path) -> BlendBackend:
    config = BlendConfig(2.0, 0.5, 1.0, TrainConfig.load(TINY).model, tiny_transformer(tiny_encoder, frozen_layers=2))
    return BlendBackend(config).fit(TEXTS, Y, np.ones_like(Y), single=[0, 1])


def with_limit(fitted: BlendBackend, max_doubt: float) -> BlendBackend:
    again = BlendBackend(replace(fitted.config, max_doubt=max_doubt))
    again.tfidf_, again.transformer_, again.single_ = fitted.tfidf_, fitted.transformer_, fitted.single_
    return again


def test_without_tolerance_for_doubt_both_read_every_text(fitted: BlendBackend) -> None:
    both = with_limit(fitted, 0.0)
    wanted = (2.0 * fitted.tfidf_.scores(NEW) + 0.5 * fitted.transformer_.scores(NEW)) / 2
    assert both.scores(NEW) == pytest.approx(wanted, abs=1e-5)


def test_a_text_of_which_tfidf_is_sure_is_read_by_it_alone(
    fitted: BlendBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = with_limit(fitted, np.inf)
    monkeypatch.setattr(alone.transformer_, "graph_", None)
    assert alone.scores(NEW) == pytest.approx(2.0 * fitted.tfidf_.scores(NEW))
    found = alone.attribute(NEW[0], [1])
    assert found.weights.sum() + found.base[0] == pytest.approx(alone.scores(NEW[:1])[0, 1], rel=1e-5)


def test_doubt_is_the_number_of_tags_expected_to_be_wrong(fitted: BlendBackend) -> None:
    scores = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 9.0], [9.0, -9.0, -9.0], [3.0, 3.0 + np.log(3), -np.log(3)]])
    assert fitted._doubt(scores) == pytest.approx([1.0, 0.5, 0.0, 0.5], abs=1e-3)  # columns 0 and 1 are one choice


def test_what_one_member_reads_does_not_depend_on_the_other_texts(fitted: BlendBackend) -> None:
    backend = with_limit(fitted, float(np.median(fitted._doubt(2.0 * fitted.tfidf_.scores(NEW)))))
    together = backend.scores(NEW)
    assert together == pytest.approx(np.concatenate([backend.scores([text]) for text in NEW]), abs=1e-5)
    for row, text in enumerate(NEW):
        found = backend.attribute(text, [0, 2])
        assert found.weights.sum(axis=1) + found.base == pytest.approx(together[row, [0, 2]], abs=1e-4)


@pytest.mark.parametrize("single", [[7], "x"])
def test_settings_for_other_labels_are_refused(fitted: BlendBackend, tmp_path: Path, single: object) -> None:
    fitted.save(tmp_path)
    told = json.loads((tmp_path / "blend.json").read_text(encoding="utf-8"))
    (tmp_path / "blend.json").write_text(json.dumps(told | {"single": single}), encoding="utf-8")
    with pytest.raises(ModelError):
        BlendBackend.load(tmp_path)
