"""The contract every backend keeps; a new backend is added to MAKE and has to pass the same tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, tiny_transformer

from exoclass.backend import Backend, Bools, Run
from exoclass.blend import BlendBackend, BlendConfig
from exoclass.classifier import _BACKENDS, load_backend
from exoclass.errors import ModelError
from exoclass.trainconfig import TrainConfig, new_backend
from exoclass.transformer import TransformerBackend

MAKE: dict[str, Callable[[Path], Backend]] = {
    "tfidf": lambda _: new_backend(TrainConfig.load(TINY)),
    "transformer": lambda encoder: TransformerBackend(tiny_transformer(encoder, encoder_epochs=30, head_dropout=0.0)),
    "blend": lambda encoder: BlendBackend(
        BlendConfig(1.0, 1.0, 2.0, TrainConfig.load(TINY).model, tiny_transformer(encoder, epochs=9, encoder_epochs=0))
    ),
}

GOES_ON: dict[str, Callable[[Path], Backend]] = {
    "tfidf": MAKE["tfidf"],
    "transformer": lambda encoder: TransformerBackend(
        tiny_transformer(encoder, epochs=9, encoder_epochs=0, precision="int8")
    ),
    "blend": lambda encoder: BlendBackend(
        BlendConfig(1.0, 1.0, 0.0, TrainConfig.load(TINY).model, tiny_transformer(encoder, epochs=9, encoder_epochs=0))
    ),
}
"""Backends that a fit can go on from."""

WORDS = {
    0: "wound closure skin collagen scar epidermis keratinocytes healed",
    1: "tumour melanoma metastasis glioma invasion xenograft chemotherapy resisted",
    2: "microRNA miR-21 cargo delivered silenced transferred TNF-α mRNA",
}
FILLER = "exosomes vesicles mice cells treated injected groups days measured saline control study"
ODD = [
    "",
    "\n",
    " .,;: ",
    "qqqq wwww zzzz",
    "细胞外囊泡 促进 愈合",
    "𝔼xosomes \u200bof e\u0301 ﬁbroblasts ½ ﷺ İstanbul ͺ",
    "A title alone",
    "Wound closure\n" + "Collagen and skin. " * 50,
]


@dataclass(frozen=True)
class Material:
    texts: list[str]
    Y: Bools
    mask: Bools


@pytest.fixture(scope="module")
def material() -> Material:
    """Return 60 texts with three labels of which about a sixth was not annotated."""
    generator = np.random.default_rng(5)
    Y = generator.random((60, 3)) < 0.4
    texts = []
    for row in Y:
        words = [*generator.choice(FILLER.split(), 12)]
        for column in np.flatnonzero(row):
            words += [*generator.choice(WORDS[int(column)].split(), 4)]
        generator.shuffle(words)
        texts.append(f"{' '.join(words[:4])}\n{' '.join(words[4:10])}. {' '.join(words[10:])}.")
    return Material(texts, Y, generator.random(Y.shape) > 0.16)


@pytest.fixture(scope="module", params=sorted(MAKE))
def make(request: pytest.FixtureRequest, tiny_encoder: Path) -> Callable[[], Backend]:
    return partial(MAKE[request.param], tiny_encoder)


@pytest.fixture(scope="module")
def fitted(make: Callable[[], Backend], material: Material) -> Backend:
    return make().fit(material.texts, material.Y, material.mask)


@pytest.fixture(scope="module")
def loaded(fitted: Backend, tmp_path_factory: pytest.TempPathFactory) -> Backend:
    folder = tmp_path_factory.mktemp("backend")
    fitted.save(folder)
    return type(fitted).load(folder)


def test_every_known_backend_is_held_to_the_contract() -> None:
    assert set(MAKE) == set(_BACKENDS)


def test_an_unknown_backend_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r"there is no backend 'magic'. Known backends: tfidf"):
        load_backend("magic")


def test_it_is_a_backend_by_its_name(fitted: Backend) -> None:
    assert isinstance(fitted, Backend)
    assert load_backend(fitted.name) is type(fitted)


def test_fit_returns_the_backend_itself(make: Callable[[], Backend], material: Material) -> None:
    backend = make()
    assert backend.fit(material.texts, material.Y, material.mask) is backend


@pytest.mark.parametrize("name", sorted(MAKE))
def test_a_label_that_is_kept_stays_as_in_the_parent_to_the_last_bit(
    name: str, tiny_encoder: Path, material: Material, tmp_path: Path
) -> None:
    def saved(backend: Backend, folder: str) -> Backend:
        (tmp_path / folder).mkdir()
        backend.save(tmp_path / folder)
        return type(backend).load(tmp_path / folder)

    first = GOES_ON[name](tiny_encoder).fit(material.texts[:50], material.Y[:50], material.mask[:50])
    parent = saved(first, "parent")
    run = Run(parent=parent, kept=np.array([False, True, False]), shared=parent.reusable())
    child = saved(GOES_ON[name](tiny_encoder).fit(material.texts, material.Y, material.mask, run=run), "child")
    before, after = (backend.scores(material.texts + ODD) for backend in (parent, child))
    assert np.array_equal(before[:, 1], after[:, 1])
    assert (before[:, [0, 2]] != after[:, [0, 2]]).any(axis=0).all()


def test_no_fit_goes_on_from_an_encoder_that_has_learnt_or_where_labels_decide_who_reads(
    tiny_encoder: Path, material: Material
) -> None:
    for name in ("transformer", "blend"):
        assert MAKE[name](tiny_encoder).fit(material.texts, material.Y, material.mask).reusable() is None


@pytest.mark.parametrize("n", [0, 1, 7])
def test_there_is_one_finite_score_per_text_and_label(fitted: Backend, material: Material, n: int) -> None:
    scores = fitted.scores(material.texts[:n])
    assert scores.shape == (n, 3)
    assert scores.dtype == np.float64
    assert np.isfinite(scores).all()


def test_it_learns_what_tells_the_labels_apart(fitted: Backend) -> None:
    scores = fitted.scores([f"{words} {words}" for words in WORDS.values()])
    assert (scores.argmax(axis=0) == np.arange(3)).all()
    assert (np.diag(scores) > 0).all()


def test_masked_cells_are_never_learnt_from(make: Callable[[], Backend], fitted: Backend, material: Material) -> None:
    turned = np.where(material.mask, material.Y, ~material.Y)
    assert (turned != material.Y).any()
    again = make().fit(material.texts, turned, material.mask)
    assert np.array_equal(again.scores(material.texts), fitted.scores(material.texts))


def test_cells_that_are_not_masked_are_learnt_from(
    make: Callable[[], Backend], fitted: Backend, material: Material
) -> None:
    turned = material.Y.copy()
    turned[:30] = np.where(material.mask[:30], ~turned[:30], turned[:30])
    again = make().fit(material.texts, turned, material.mask)
    assert not np.allclose(again.scores(material.texts), fitted.scores(material.texts), atol=0.1)


def test_fitting_twice_gives_the_same_scores(make: Callable[[], Backend], fitted: Backend, material: Material) -> None:
    again = make().fit(material.texts, material.Y, material.mask)
    assert np.array_equal(again.scores(material.texts + ODD), fitted.scores(material.texts + ODD))


def test_a_score_does_not_hang_on_the_other_texts(fitted: Backend, material: Material) -> None:
    texts = [*ODD, *material.texts[:10]]
    alone = np.concatenate([fitted.scores([text]) for text in reversed(texts)])[::-1]
    assert alone == pytest.approx(fitted.scores(texts), abs=1e-5)  # padding may change the order of a sum


@pytest.mark.parametrize("text", ODD)
def test_any_text_has_finite_scores(fitted: Backend, text: str) -> None:
    assert np.isfinite(fitted.scores([text])).all()


def test_a_label_without_positives_scores_below_every_other(make: Callable[[], Backend], material: Material) -> None:
    Y = material.Y.copy()
    Y[:, 2] = False
    scores = make().fit(material.texts, Y, material.mask).scores(material.texts)
    assert scores[:, 2].max() < -5


def test_a_label_with_nothing_annotated_scores_low(make: Callable[[], Backend], material: Material) -> None:
    mask = material.mask.copy()
    mask[:, 2] = False
    scores = make().fit(material.texts, material.Y, mask).scores(material.texts)
    assert scores[:, 2].max() < -5


def test_a_label_without_negatives_scores_high(make: Callable[[], Backend], material: Material) -> None:
    Y = material.Y.copy()
    Y[:, 2] = True
    scores = make().fit(material.texts, Y, material.mask).scores(material.texts)
    assert scores[:, 2].min() > 5


def test_a_loaded_backend_gives_bit_identical_scores(fitted: Backend, loaded: Backend, material: Material) -> None:
    texts = material.texts + ODD
    assert np.array_equal(loaded.scores(texts), fitted.scores(texts))


def test_a_loaded_backend_saves_the_same_bytes(fitted: Backend, loaded: Backend, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for backend, folder in ((fitted, first), (loaded, second)):
        folder.mkdir()
        backend.save(folder)
    names = sorted(path.name for path in first.iterdir())
    assert names == sorted(path.name for path in second.iterdir())
    assert [name for name in names if (first / name).read_bytes() != (second / name).read_bytes()] == []


def test_an_empty_folder_is_no_backend(fitted: Backend, tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        type(fitted).load(tmp_path)


@pytest.mark.parametrize("columns", [[0, 1, 2], [2], [2, 0], []])
def test_an_attribution_has_the_shapes_it_promises(fitted: Backend, material: Material, columns: list[int]) -> None:
    found = fitted.attribute(material.texts[0], columns)
    n_spans = len(found.spans)
    assert n_spans > 0
    assert found.spans.shape == (n_spans, 2)
    assert found.terms.shape == (n_spans,)
    assert found.weights.shape == (len(columns), n_spans)
    assert found.base.shape == (len(columns),)


def test_an_attribution_is_complete(fitted: Backend, material: Material) -> None:
    columns = [2, 0]
    for text in [*material.texts[:20], *ODD]:
        found = fitted.attribute(text, columns)
        total = found.weights.sum(axis=1) + found.base
        assert total == pytest.approx(fitted.scores([text])[0, columns], abs=1e-4)


def test_the_base_is_the_score_of_an_empty_text(fitted: Backend, material: Material) -> None:
    found = fitted.attribute(material.texts[0], [0, 1, 2])
    assert found.base == pytest.approx(fitted.scores([""])[0], abs=1e-6)


def test_spans_lie_inside_the_text_and_hold_something(fitted: Backend, material: Material) -> None:
    for text in [*material.texts[:20], *ODD]:
        for start, end in fitted.attribute(text, [0]).spans:
            assert 0 <= start < end <= len(text)
            assert text[start:end].strip() == text[start:end]


def test_spans_of_one_term_hold_the_same_words(fitted: Backend) -> None:
    text = "Collagen cargo, collagen cargo; skin: COLLAGEN"
    found = fitted.attribute(text, [0])
    by_term: dict[int, set[str]] = {}
    for term, (start, end) in zip(found.terms, found.spans, strict=True):
        by_term.setdefault(int(term), set()).add(text[start:end].casefold())
    assert all(len(words) == 1 for words in by_term.values())
    assert len(by_term) < len(found.terms)


@pytest.mark.parametrize("text", ["", "\n", " "])
def test_a_text_without_words_has_an_empty_attribution(fitted: Backend, text: str) -> None:
    found = fitted.attribute(text, [0, 1])
    assert found.spans.shape == (0, 2)
    assert found.weights.shape == (2, 0)
