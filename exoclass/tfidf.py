"""The linear backend: TF-IDF of words and of characters within words, one logistic regression per label.

scikit-learn learns the vocabulary, the idf weights and the coefficients. Applying them takes numpy alone: the character
n-grams of a word depend on that word only, so they are looked up once per distinct word, which is several times
faster than cutting every text anew, and prediction need not import scikit-learn. `tests/test_tfidf.py` holds the
result against the same pipeline written by hand in scikit-learn.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from exoclass.backend import Attribution, Bools, Floats, Ints
from exoclass.config import parse_config
from exoclass.errors import ConfigError, ModelError

_TOKEN = re.compile(r"[^\W_]+")
_CACHE_WORDS = 200_000  # distinct words kept with their n-grams; beyond it the cache starts anew (about 200 MB)
_NEVER = -8.0  # raw score of a label without a single positive example


@dataclass(frozen=True, slots=True)
class TfidfConfig:
    """Hyper-parameters; each is explained beside its value in ``configs/tfidf.toml``."""

    word_ngrams: tuple[int, int]
    char_ngrams: tuple[int, int]
    min_df: int
    max_df: float
    max_word_features: int
    max_char_features: int
    char_weight: float
    C: float
    max_positive_weight: float
    seed: int


def tokens(text: str) -> list[tuple[str, int, int]]:
    """Return the words of a text in normal form, with their start and end in characters.

    >>> tokens("TNF-α, CO₂")
    [('tnf', 0, 3), ('α', 4, 5), ('co2', 7, 10)]
    """
    return [
        (unicodedata.normalize("NFKC", match.group()).casefold(), match.start(), match.end())
        for match in _TOKEN.finditer(text)
    ]


def word_terms(words: Sequence[str], ngrams: tuple[int, int]) -> Iterator[tuple[int, int, str]]:
    """Yield (position of the first word, number of words, term) for all word n-grams."""
    for size in range(ngrams[0], ngrams[1] + 1):
        for start in range(len(words) - size + 1):
            yield start, size, " ".join(words[start : start + size])


def char_terms(word: str, ngrams: tuple[int, int]) -> Iterator[str]:
    """Yield the character n-grams of one word padded with blanks, as scikit-learn's ``char_wb`` does."""
    padded = f" {word} "
    for size in range(ngrams[0], ngrams[1] + 1):
        if size >= len(padded):
            yield padded
            return  # scikit-learn counts a short word once
        for start in range(len(padded) - size + 1):
            yield padded[start : start + size]


class TfidfBackend:
    """TF-IDF features and one logistic regression per label.

    Parameters
    ----------
    config
        Hyper-parameters, stored as given.

    Attributes
    ----------
    words_, chars_
        Term to feature number; characters are numbered after words.
    idf_
        Shape (n_features,).
    weights_, intercepts_
        Shapes (n_features, n_labels) and (n_labels,).
    """

    name: ClassVar[str] = "tfidf"

    def __init__(self, config: TfidfConfig) -> None:
        self.config = config

    def fit(self, texts: Sequence[str], Y: Bools, mask: Bools) -> Self:
        """Learn vocabulary, idf and coefficients; see `exoclass.backend.Backend.fit`."""
        from scipy.sparse import csr_matrix

        config = self.config
        split = [[word for word, _, _ in tokens(text)] for text in texts]
        words, word_idf = _vocabulary(
            split,
            lambda row: [term for *_, term in word_terms(row, config.word_ngrams)],
            config,
            config.max_word_features,
        )
        chars, char_idf = _vocabulary(
            split,
            lambda row: [term for word in row for term in char_terms(word, config.char_ngrams)],
            config,
            config.max_char_features,
        )
        self._learn(words, {term: len(words) + number for term, number in chars.items()}, np.r_[word_idf, char_idf])
        rows = [self._vector(text) for text in texts]
        X = csr_matrix(
            (
                np.concatenate([values for _, values in rows]),
                np.concatenate([features for features, _ in rows]),
                np.cumsum([0, *(len(features) for features, _ in rows)]),
            ),
            shape=(len(texts), len(self.idf_)),
        )
        fitted = [self._fit_label(X[mask[:, column]], Y[mask[:, column], column]) for column in range(Y.shape[1])]
        # Half precision halves the model on disk; rounding before calibration keeps what is saved what was measured.
        self.weights_ = np.stack([weights for weights, _ in fitted], axis=1).astype(np.float16).astype(np.float32)
        self.intercepts_ = np.array([intercept for _, intercept in fitted])
        return self

    def scores(self, texts: Sequence[str]) -> Floats:
        """Return raw scores, shape (n, n_labels)."""
        result = np.empty((len(texts), len(self.intercepts_)))
        for row, text in enumerate(texts):
            features, values = self._vector(text)
            result[row] = values.astype(np.float32) @ self.weights_[features] + self.intercepts_
        return result

    def attribute(self, text: str, columns: Sequence[int]) -> Attribution:
        """Return the exact linear contribution of every word and word pair to the scores of `columns`.

        The contribution of a feature is shared evenly by its occurrences; that of a character n-gram goes to the word
        it stands in. So contributions and intercept add up to the score.
        """
        found = tokens(text)
        spans, owners, features = self._occurrences(found)
        vector, values = self._vector(text)
        value = np.zeros(len(self.idf_))
        value[vector] = values
        count = np.bincount(features, minlength=len(self.idf_))
        share = value[features] / count[features]
        weights = np.zeros((len(columns), len(spans)))
        for row, column in enumerate(columns):
            weights[row] = np.bincount(owners, share * self.weights_[features, column], minlength=len(spans))
        return Attribution(spans, weights, self.intercepts_[list(columns)])

    def save(self, folder: Path) -> None:
        """Write ``tfidf.npz`` (arrays) and ``vocabulary.json`` (terms in feature order)."""
        terms = {"words": list(self.words_), "chars": list(self.chars_)}
        (folder / "vocabulary.json").write_text(json.dumps(terms, ensure_ascii=False), encoding="utf-8")
        np.savez(
            folder / "tfidf.npz",
            idf=self.idf_.astype(np.float32),
            weights=self.weights_.astype(np.float16),
            intercepts=self.intercepts_,
        )
        (folder / "tfidf.json").write_text(json.dumps(asdict(self.config), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        ModelError
            If a file is missing or does not fit the others.
        """
        try:
            config = json.loads((folder / "tfidf.json").read_text(encoding="utf-8"))
            terms = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
            arrays = np.load(folder / "tfidf.npz", allow_pickle=False)
            idf, weights, intercepts = arrays["idf"], arrays["weights"], arrays["intercepts"]
            words = {term: number for number, term in enumerate(terms["words"])}
            chars = {term: len(words) + number for number, term in enumerate(terms["chars"])}
            backend = cls(parse_config(config, TfidfConfig, str(folder / "tfidf.json")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
            raise ModelError(
                f"{folder} holds no usable TF-IDF model: {error}", "Train or download it again."
            ) from error
        if not len(words) + len(chars) == len(idf) == len(weights) or weights.shape[1:] != intercepts.shape:
            raise ModelError(f"{folder}: vocabulary and weights do not fit each other", "Train or download it again.")
        backend._learn(words, chars, idf.astype(np.float64))
        backend.weights_, backend.intercepts_ = weights.astype(np.float32), intercepts.astype(np.float64)
        return backend

    def _learn(self, words: dict[str, int], chars: dict[str, int], idf: Floats) -> None:
        self.words_, self.chars_, self.idf_ = words, chars, idf
        self._cache: dict[str, Ints] = {}

    def _fit_label(self, X: object, y: Bools) -> tuple[NDArray[np.float64], float]:
        from sklearn.linear_model import LogisticRegression

        positives = int(y.sum())
        if positives in {0, len(y)}:
            return np.zeros(len(self.idf_)), _NEVER if positives == 0 else -_NEVER
        weight = min(self.config.max_positive_weight, (len(y) - positives) / positives)
        # liblinear: its result does not depend on the BLAS of the machine, so a model can be reproduced bit for bit.
        # The dual problem has one unknown per record instead of one per feature: same optimum, six times faster.
        model = LogisticRegression(
            C=self.config.C,
            solver="liblinear",
            dual=True,
            max_iter=5000,
            class_weight={False: 1.0, True: weight},
            random_state=self.config.seed,
        ).fit(X, y)
        return model.coef_[0], float(model.intercept_[0])

    def _characters(self, word: str) -> Ints:
        known = self._cache.get(word)
        if known is None:
            if len(self._cache) >= _CACHE_WORDS:
                self._cache.clear()
            numbers = (self.chars_.get(term) for term in char_terms(word, self.config.char_ngrams))
            known = np.array([number for number in numbers if number is not None], dtype=np.int64)
            self._cache[word] = known
        return known

    def _vector(self, text: str) -> tuple[Ints, Floats]:
        """Return the features of a text in rising order and their values; words and characters have length one each."""
        words = [word for word, _, _ in tokens(text)]
        found = [self.words_.get(term) for *_, term in word_terms(words, self.config.word_ngrams)]
        known = np.array([number for number in found if number is not None], dtype=np.int64)
        parts = []
        for block, weight in (
            (known, 1.0),
            (np.concatenate([*map(self._characters, words), known[:0]]), self.config.char_weight),
        ):
            features, counts = np.unique(block, return_counts=True)
            values = (1.0 + np.log(counts)) * self.idf_[features]
            length = float(np.sqrt(values @ values))
            parts.append((features, values * (weight / length if length else 0.0)))
        return np.concatenate([parts[0][0], parts[1][0]]), np.concatenate([parts[0][1], parts[1][1]])

    def _occurrences(self, found: list[tuple[str, int, int]]) -> tuple[Ints, Ints, Ints]:
        """Return the spans of a text, and for every occurrence of a feature the span that owns it and its number."""
        words = [word for word, _, _ in found]
        spans = [(start, end) for _, start, end in found]
        owners: list[int] = []
        features: list[int] = []
        for first, size, term in word_terms(words, self.config.word_ngrams):
            number = self.words_.get(term)
            if number is None:
                continue
            if size > 1:
                spans.append((found[first][1], found[first + size - 1][2]))
            owners.append(len(spans) - 1 if size > 1 else first)
            features.append(number)
        for position, word in enumerate(words):
            numbers = self._characters(word)
            owners.extend([position] * len(numbers))
            features.extend(numbers.tolist())
        shaped = np.array(spans, dtype=np.int64).reshape(-1, 2)
        return shaped, np.array(owners, dtype=np.int64), np.array(features, dtype=np.int64)


def _vocabulary(
    split: list[list[str]], analyzer: Callable[[list[str]], list[str]], config: TfidfConfig, limit: int
) -> tuple[dict[str, int], Floats]:
    """Return the terms kept, numbered in alphabetical order, and their idf.

    The limit is applied here and not by scikit-learn, whose choice among equally frequent terms depends on the
    sorting routine of the machine.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(analyzer=analyzer, min_df=config.min_df, max_df=config.max_df).fit(split)
    idf = dict(zip(vectorizer.get_feature_names_out(), vectorizer.idf_.astype(np.float32).tolist(), strict=True))
    kept = sorted(sorted(idf, key=lambda term: (idf[term], term))[:limit])
    return {term: number for number, term in enumerate(kept)}, np.array([idf[term] for term in kept])
