"""The TF-IDF backend against the same pipeline written by hand in scikit-learn, and what it keeps on disk."""

from __future__ import annotations

import json
import re
import unicodedata
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.feature_extraction.text import (
    CountVectorizer,
    TfidfTransformer,
    TfidfVectorizer,
)
from sklearn.linear_model import LogisticRegression

from exoclass.backend import Run
from exoclass.errors import CorpusError, ModelError
from exoclass.tfidf import TfidfBackend, TfidfConfig
from exoclass.trainconfig import TrainConfig

TEXTS = [
    "Exosomes heal skin\nWounds of mice closed in 12 days. TGF-β fell; CO₂ was 5 %.",
    "Skin wounds\nExosomes of MSCs closed wounds of skin in mice.",
    "Tumour vesicles\nMelanoma exosomes carry miR-21 to ﬁbroblasts; the tumour grew.",
    "Melanoma and glioma\nTumour exosomes spread; mice died within 12 days.",
    "Plasma microRNA\nmiR-21 of plasma exosomes foretells melanoma (AUC 0.9).",
    "RNA exosome complex\nThe exosome degrades RNA; TGF-β plays no part.",
    "Diabetic mice\nMSC exosomes and skin repair: wounds closed.",
    "Heart failure\nVesicles of MSCs, 5 µg each, helped the heart of mice.",
]
Y = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0, 0], [0, 0], [1, 0], [0, 0]], dtype=bool)
MASK = np.ones_like(Y)


@pytest.fixture(scope="module")
def config() -> TfidfConfig:
    limits = {"max_word_features": 100_000, "max_char_features": 100_000}
    config: TfidfConfig = TrainConfig.load(TINY).model
    return replace(config, **limits, min_df=1, max_df=0.9)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def fitted(config: TfidfConfig) -> TfidfBackend:
    return TfidfBackend(config).fit(TEXTS, Y, MASK)


def by_hand(text: str) -> str:
    """Return the words of a text as the backend compares them, written anew."""
    words = [unicodedata.normalize("NFKC", word).casefold() for word in re.findall(r"[^\W_]+", text)]
    return " ".join(word.replace(" ", "") for word in words)


def dense(backend: TfidfBackend, texts: list[str]) -> NDArray[np.float64]:
    X = np.zeros((len(texts), len(backend.lexicon_)))
    for row, text in enumerate(texts):
        features, values = backend._vector(text)
        X[row, features] = values
    return X


def reference(config: TfidfConfig, texts: list[str], *, title: bool = True) -> tuple[NDArray[np.float64], list[str]]:
    """Return the features that plain scikit-learn computes for `texts` after fitting on TEXTS, and their names."""
    parts: list[NDArray[np.float64]] = []
    names: list[str] = []
    options: list[tuple[dict[str, Any], float]] = [
        ({"analyzer": "word", "tokenizer": str.split, "token_pattern": None, "ngram_range": config.word_ngrams}, 1.0),
        ({"analyzer": "char_wb", "ngram_range": config.char_ngrams}, config.char_weight),
    ]
    for option, weight in options:
        count = CountVectorizer(
            preprocessor=by_hand, lowercase=False, min_df=config.min_df, max_df=config.max_df, **option
        ).fit(TEXTS)
        scale = TfidfTransformer(sublinear_tf=True).fit(count.transform(TEXTS))
        counts = count.transform(texts)
        if title:  # what begins in the title is everything but what is in the abstract alone
            abstracts = count.transform([text.partition("\n")[2] for text in texts])
            counts = counts * config.title_weight - abstracts * (config.title_weight - 1)
            counts.eliminate_zeros()
        parts.append(scale.transform(counts).toarray() * weight)
        names += list(count.get_feature_names_out())
    return np.hstack(parts), names


def test_the_features_are_those_of_a_plain_tfidf_vectorizer(config: TfidfConfig) -> None:
    backend = TfidfBackend(replace(config, title_weight=1, char_weight=1.0)).fit(TEXTS, Y, MASK)
    words = TfidfVectorizer(
        preprocessor=by_hand,
        tokenizer=str.split,
        token_pattern=None,
        lowercase=False,
        ngram_range=config.word_ngrams,
        min_df=config.min_df,
        max_df=config.max_df,
        sublinear_tf=True,
    )
    X = words.fit_transform(TEXTS).toarray()
    assert backend.lexicon_.word_vocabulary == tuple(words.get_feature_names_out())
    assert dense(backend, TEXTS)[:, : X.shape[1]] == pytest.approx(X, abs=1e-6)


def test_the_vocabulary_is_that_of_scikit_learn(fitted: TfidfBackend, config: TfidfConfig) -> None:
    _, names = reference(config, TEXTS)
    assert [*fitted.lexicon_.word_vocabulary, *fitted.lexicon_.char_vocabulary] == names


def test_the_features_of_the_training_texts_are_those_of_scikit_learn(
    fitted: TfidfBackend, config: TfidfConfig
) -> None:
    X, _ = reference(config, TEXTS)
    assert (X != 0).sum() > 500
    assert dense(fitted, TEXTS) == pytest.approx(X, abs=1e-6)


PIECES = st.one_of(
    st.sampled_from([*" ".join(TEXTS).split(), "\n", "Ω", "ß", "İ", "ﬁ", "½", "²", "e\u0301", "ͺ", "ﷺ", "miR_21"]),
    st.text(max_size=6),
)


@settings(max_examples=60)
@given(st.lists(st.lists(PIECES, max_size=30).map(" ".join), min_size=1, max_size=6))
def test_the_features_of_any_text_are_those_of_scikit_learn(
    fitted: TfidfBackend, config: TfidfConfig, texts: list[str]
) -> None:
    X, _ = reference(config, texts)
    assert dense(fitted, texts) == pytest.approx(X, abs=1e-6)


def regressed(X: NDArray[np.float64], config: TfidfConfig, scales: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the scores of one plain logistic regression per label on features that are scaled for it."""
    scores = [
        LogisticRegression(C=config.C, solver="liblinear", dual=True, max_iter=5000, class_weight=weights)
        .fit(X * scale, Y[:, column])
        .decision_function(X * scale)
        for column, (weights, scale) in enumerate(zip(({0: 1.0, 1: 5 / 3}, {0: 1.0, 1: 3.0}), scales, strict=True))
    ]
    return np.transpose(scores)


def test_the_scores_of_a_single_choice_are_those_of_logistic_regressions(config: TfidfConfig) -> None:
    X, _ = reference(config, TEXTS)
    scores = TfidfBackend(config).fit(TEXTS, Y, MASK, single=[0, 1]).scores(TEXTS)
    assert scores == pytest.approx(regressed(X, config, [np.ones(X.shape[1])] * 2), abs=0.02)


def test_typical_words_are_favoured_as_nbsvm_does(fitted: TfidfBackend, config: TfidfConfig) -> None:
    X, _ = reference(config, TEXTS)
    scales = []
    for column in (0, 1):
        chance = [
            (1 + (X[Y[:, column] == held] > 0).sum(axis=0)) / (2 + (Y[:, column] == held).sum()) for held in (1, 0)
        ]
        typical = np.maximum(np.log(chance[0] / chance[1]), 0)
        scales.append(1 - config.ratio_strength + config.ratio_strength * typical / np.sqrt((typical**2).mean()))
    assert fitted.scores(TEXTS) == pytest.approx(regressed(X, config, scales), abs=0.02)


def test_words_and_characters_have_their_lengths(fitted: TfidfBackend, config: TfidfConfig) -> None:
    n_words = len(fitted.lexicon_.word_vocabulary)
    X = dense(fitted, TEXTS)
    assert np.linalg.norm(X[:, :n_words], axis=1) == pytest.approx(1.0)
    assert np.linalg.norm(X[:, n_words:], axis=1) == pytest.approx(config.char_weight)


def test_a_rare_label_has_its_positives_weighed_up_to_the_limit(config: TfidfConfig) -> None:
    one = np.zeros_like(Y)
    one[0] = True
    scores = [
        TfidfBackend(replace(config, max_positive_weight=limit)).fit(TEXTS, one, MASK).scores(TEXTS[:1])[0, 0]
        for limit in (1.0, 5.0, 50.0, 100.0)
    ]
    assert scores[0] < scores[1] < scores[2]
    assert scores[2] == scores[3]  # there are but seven negatives to outweigh


def test_the_most_widespread_terms_are_kept_when_there_are_too_many(fitted: TfidfBackend, config: TfidfConfig) -> None:
    backend = TfidfBackend(replace(config, max_word_features=3)).fit(TEXTS, Y, MASK)
    X, names = reference(config, TEXTS, title=False)
    spread = dict(zip(names, (X != 0).sum(axis=0), strict=True))
    words = sorted(fitted.lexicon_.word_vocabulary, key=lambda term: (-spread[term], term))
    assert backend.lexicon_.word_vocabulary == tuple(sorted(words[:3]))


def test_terms_in_fewer_texts_than_min_df_are_dropped(config: TfidfConfig) -> None:
    backend = TfidfBackend(replace(config, min_df=3)).fit(TEXTS, Y, MASK)
    vocabulary = backend.lexicon_.word_vocabulary
    assert "exosomes" in vocabulary
    assert "heart" not in vocabulary
    assert "glioma" not in vocabulary


def test_texts_that_share_no_term_are_refused_in_words(config: TfidfConfig) -> None:
    texts = ["", " ", "?", ""] * 2
    with pytest.raises(CorpusError, match="share"):
        TfidfBackend(config).fit(texts, Y, MASK)


def test_a_label_without_positives_has_no_weights(config: TfidfConfig) -> None:
    none = Y.copy()
    none[:, 1] = False
    backend = TfidfBackend(config).fit(TEXTS, none, MASK)
    assert not backend.weights_[:, 1].any()
    assert np.unique(backend.scores(TEXTS)[:, 1]).tolist() == [-8.0]


def test_contributions_are_exact(fitted: TfidfBackend) -> None:
    text = TEXTS[1]
    found = fitted.attribute(text, [0])
    by_place = {text[start:end]: weight for (start, end), weight in zip(found.spans, found.weights[0], strict=True)}
    features, values = fitted._vector(text)
    words = list(fitted.lexicon_.word_vocabulary)
    column = words.index("closed wounds")
    value = values[features.tolist().index(column)]
    assert by_place["closed wounds"] == pytest.approx(value * fitted.weights_[column, 0], rel=1e-6)


@pytest.fixture
def saved(fitted: TfidfBackend, tmp_path: Path) -> Path:
    fitted.save(tmp_path)
    return tmp_path


def test_what_is_saved_is_no_pickle(saved: Path) -> None:
    assert sorted(path.name for path in saved.iterdir()) == ["tfidf.json", "tfidf.npz", "vocabulary.json"]
    for name in ("tfidf.json", "vocabulary.json"):
        json.loads((saved / name).read_text(encoding="utf-8"))
    with np.load(saved / "tfidf.npz", allow_pickle=False) as arrays:
        assert sorted(arrays.files) == ["idf", "intercepts", "weights"]
        assert {arrays[name].dtype.kind for name in arrays.files} == {"f"}


def test_the_same_model_is_saved_as_the_same_bytes(config: TfidfConfig, saved: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    TfidfBackend(config).fit(TEXTS, Y, MASK).save(other)
    assert [path.name for path in other.iterdir() if path.read_bytes() != (saved / path.name).read_bytes()] == []


def test_labels_that_processes_share_out_are_fitted_the_same(config: TfidfConfig, saved: Path, tmp_path: Path) -> None:
    TfidfBackend(config).fit(TEXTS, Y, MASK, run=Run(workers=2)).save(tmp_path)
    assert (tmp_path / "tfidf.npz").read_bytes() == (saved / "tfidf.npz").read_bytes()


def test_the_settings_are_kept(saved: Path, config: TfidfConfig) -> None:
    assert TfidfBackend.load(saved).config == config


def arrays_of(folder: Path) -> dict[str, NDArray[np.float64]]:
    with np.load(folder / "tfidf.npz", allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


@pytest.mark.parametrize("name", ["tfidf.json", "tfidf.npz", "vocabulary.json"])
def test_a_missing_file_is_refused(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(ModelError, match=rf"no usable TF-IDF model.*{name}"):
        TfidfBackend.load(saved)


@pytest.mark.parametrize("name", ["tfidf.json", "tfidf.npz", "vocabulary.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe\x00", b"PK\x03\x04 and no more", b"[" * 50_000])
def test_a_file_of_something_else_is_refused(saved: Path, name: str, content: bytes) -> None:
    (saved / name).write_bytes(content)
    with pytest.raises(ModelError, match="Train or download it again"):
        TfidfBackend.load(saved)


@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_a_truncated_file_of_arrays_is_refused(saved: Path, share: float) -> None:
    content = (saved / "tfidf.npz").read_bytes()
    (saved / "tfidf.npz").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelError):
        TfidfBackend.load(saved)


@pytest.mark.parametrize("name", ["idf", "weights", "intercepts"])
def test_pickled_arrays_are_refused(saved: Path, name: str) -> None:
    arrays = arrays_of(saved)
    hidden = np.empty(len(arrays[name]), dtype=object)
    np.savez(saved / "tfidf.npz", **(arrays | {name: hidden}))  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="pickle"):
        TfidfBackend.load(saved)


def test_a_lone_pickle_is_refused(saved: Path) -> None:
    np.save(saved / "lone.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (saved / "lone.npy").rename(saved / "tfidf.npz")
    with pytest.raises(ModelError):
        TfidfBackend.load(saved)


def test_a_lone_array_is_refused(saved: Path) -> None:
    np.save(saved / "lone.npy", np.zeros(3))
    (saved / "lone.npy").rename(saved / "tfidf.npz")
    with pytest.raises(ModelError):
        TfidfBackend.load(saved)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("idf", lambda array: array[:-1]),
        ("weights", lambda array: array[:-1]),
        ("weights", lambda array: array[:, :-1]),
        ("weights", lambda array: array[:, 0]),
        ("weights", lambda array: array[..., None]),
        ("weights", lambda array: np.array(1.0)),
        ("intercepts", lambda array: array[:-1]),
        ("intercepts", lambda array: np.array(1.0)),
        ("idf", lambda array: array[:, None]),
        ("idf", lambda array: np.full(array.shape, "x")),
        ("weights", lambda array: np.full(array.shape, np.nan)),
        ("intercepts", lambda array: np.full(array.shape, np.inf)),
    ],
)
def test_arrays_that_do_not_fit_are_refused(saved: Path, name: str, change: object) -> None:
    arrays = arrays_of(saved)
    assert callable(change)
    np.savez(saved / "tfidf.npz", **(arrays | {name: change(arrays[name])}))
    with pytest.raises(ModelError):
        TfidfBackend.load(saved)


def test_a_missing_array_is_refused(saved: Path) -> None:
    arrays = arrays_of(saved)
    del arrays["idf"]
    np.savez(saved / "tfidf.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="idf"):
        TfidfBackend.load(saved)


@pytest.mark.parametrize(
    "change", [{"words": ["exosome"]}, {"chars": None}, {"words": [1, 2]}, {"words": "exosome"}, {"chars": [["a"]]}]
)
def test_a_vocabulary_that_does_not_fit_is_refused(saved: Path, change: dict[str, object]) -> None:
    path = saved / "vocabulary.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change), encoding="utf-8")
    with pytest.raises(ModelError):
        TfidfBackend.load(saved)


@pytest.mark.parametrize("change", [{"char_ngrams": [3]}, {"seed": "x"}, {"more": 1}])
def test_settings_that_do_not_fit_are_refused(saved: Path, change: dict[str, object]) -> None:
    path = saved / "tfidf.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change), encoding="utf-8")
    with pytest.raises(ModelError, match=r"tfidf\.json"):
        TfidfBackend.load(saved)


def test_the_arrays_are_stored_and_not_packed_away(saved: Path) -> None:
    with zipfile.ZipFile(saved / "tfidf.npz") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
