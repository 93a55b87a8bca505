"""The linear backend: TF-IDF of words and of characters within words, one logistic regression per label.

scikit-learn learns the vocabulary, the idf weights and the coefficients. Applying them takes numpy alone (see
`exoclass.ngrams`), so that prediction need not import scikit-learn. `tests/test_tfidf.py` holds the result against
the same pipeline written by hand in scikit-learn.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from exoclass.backend import NEVER, QUIET, Attribution, Bools, Floats, Ints, Run
from exoclass.config import parse_config
from exoclass.errors import ConfigError, CorpusError, ModelError
from exoclass.ngrams import Lexicon
from exoclass.processes import Step, shared
from exoclass.termcounts import CharCounts, Row, WordCounts

# What reading files that are not what they should be can raise.
_UNREADABLE = (
    *(OSError, EOFError, zipfile.BadZipFile, zlib.error, RecursionError),
    *(ValueError, LookupError, TypeError, AttributeError, ConfigError),
)


if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


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
    title_weight: int
    C: float
    ratio_strength: float
    max_positive_weight: float
    seed: int


class TfidfBackend:
    """TF-IDF features and one logistic regression per label.

    Parameters
    ----------
    config
        Hyper-parameters, stored as given.

    Attributes
    ----------
    lexicon_
        The vocabulary.
    idf_
        Shape (n_features,).
    weights_, intercepts_
        Shapes (n_features, n_labels) and (n_labels,).
    """

    name: ClassVar[str] = "tfidf"
    Config: ClassVar[type[TfidfConfig]] = TfidfConfig
    packages: ClassVar[tuple[str, ...]] = ("numpy", "scipy", "scikit-learn")

    def __init__(self, config: TfidfConfig) -> None:
        self.config = config

    def fit(self, texts: Sequence[str], Y: Bools, mask: Bools, *, single: Sequence[int] = (), run: Run = QUIET) -> Self:
        """Learn vocabulary, idf and coefficients; see `exoclass.backend.Backend.fit`."""
        from scipy.sparse import csr_matrix

        config, parent = self.config, run.parent
        counted = {} if run.shared is None else run.shared
        counts = [
            counted.setdefault(kind.__name__, kind(sizes, config.title_weight))
            for kind, sizes in ((WordCounts, config.word_ngrams), (CharCounts, config.char_ngrams))
        ]
        if parent is None:
            limits = (config.max_word_features, config.max_char_features)
            learnt = [
                _vocabulary(one.terms, one.rows(texts), limit, config)
                for one, limit in zip(counts, limits, strict=True)
            ]
            (words, chars), idfs = zip(*learnt, strict=True)
            self.lexicon_ = Lexicon(words, chars, config.char_ngrams, config.title_weight)
            self.idf_ = np.concatenate(idfs)
        else:
            self.lexicon_, self.idf_ = parent.lexicon_, parent.idf_
            words, chars = self.lexicon_.word_vocabulary, self.lexicon_.char_vocabulary
        blocks = [one.features(texts, terms) for one, terms in zip(counts, (words, chars), strict=True)]
        pairs = [(row, (features + len(words), often)) for row, (features, often) in zip(*blocks, strict=True)]
        values = [self._values(pair) for pair in pairs]
        X = csr_matrix(
            (
                np.concatenate(values),
                np.concatenate([features for pair in pairs for features, _ in pair]),
                np.cumsum([0, *map(len, values)]),
            ),
            shape=(len(texts), len(self.idf_)),
        )
        columns = [column for column in range(Y.shape[1]) if run.kept is None or not run.kept[column]]
        steps = []
        parts: dict[bytes, tuple[csr_matrix, Ints]] = {}  # most labels of an axis share their annotated rows
        for column in columns:
            rows_of = mask[:, column]
            if (key := rows_of.tobytes()) not in parts:
                part = X[rows_of]
                parts[key] = (part, _frequency(part))
            strength = 0.0 if column in single else config.ratio_strength
            steps.append(Step("", partial(self._fit_label, *parts[key], Y[rows_of, column], strength)))
        if parent is None:
            self.weights_ = np.zeros((len(self.idf_), Y.shape[1]), dtype=np.float32)
            self.intercepts_ = np.full(Y.shape[1], NEVER)
        else:
            self.weights_, self.intercepts_ = parent.weights_.copy(), parent.intercepts_.copy()
        for column, (weights, intercept) in zip(columns, shared(steps, workers=run.workers), strict=True):
            # Half precision halves the model on disk; rounded before calibration, what is saved is what was measured.
            self.weights_[:, column] = weights.astype(np.float16)
            self.intercepts_[column] = intercept
        return self

    def reusable(self) -> dict[str, Any]:
        """Return nothing: even the vocabulary is learnt from texts. A fit can go on from here all the same."""
        return {}

    def with_columns(self, columns: Sequence[int | None], *, single: Sequence[int] = ()) -> Self:
        """Return a model that has these columns of this one; see `exoclass.backend.Backend.with_columns`."""
        other = type(self)(self.config)
        other.lexicon_, other.idf_ = self.lexicon_, self.idf_
        zero = np.zeros_like(self.weights_[:, 0])
        other.weights_ = np.stack([zero if c is None else self.weights_[:, c] for c in columns], axis=1)
        other.intercepts_ = np.array([NEVER if c is None else self.intercepts_[c] for c in columns])
        return other

    def scores(self, texts: Sequence[str]) -> Floats:
        """Return raw scores, shape (n, n_labels)."""
        result = np.empty((len(texts), len(self.intercepts_)))
        room = np.empty((0, len(self.intercepts_)), dtype=np.float32)
        for row, text in enumerate(texts):
            features, values = self._vector(text)
            if len(features) > len(room):  # asking the system for memory takes longer than the sum
                room = np.empty((2 * len(features), len(self.intercepts_)), dtype=np.float32)
            weights = self.weights_.take(features, axis=0, out=room[: len(features)], mode="clip")
            result[row] = values.astype(np.float32) @ weights + self.intercepts_
        return result

    def attribute(self, text: str, columns: Sequence[int]) -> Attribution:
        """Return the exact linear contribution of every word and word n-gram to the scores of `columns`.

        The contribution of a feature is shared by its occurrences (the title's count more); that of a character n-gram
        goes to the word it stands in. So contributions and intercept add up to the score.
        """
        found = self.lexicon_.occurrences(text)
        order = np.argsort(found.features, kind="stable")
        occurring, owners, often = found.features[order], found.owners[order], found.weights[order]
        new = np.diff(occurring, prepend=-1) > 0
        features, position = occurring[new], np.cumsum(new) - 1
        counts = np.asarray(np.bincount(position, often), dtype=np.float64)
        split = np.searchsorted(features, len(self.lexicon_.word_vocabulary))
        values = self._values([(features[:split], counts[:split]), (features[split:], counts[split:])])
        share = (values / counts)[position] * often
        weights = np.empty((len(columns), len(found.spans)))
        for row, column in enumerate(columns):
            part = share * self.weights_[occurring, column]
            weights[row] = np.bincount(owners, part, minlength=len(found.spans))
        return Attribution(found.spans, found.terms, weights, self.intercepts_[list(columns)])

    def save(self, folder: Path) -> None:
        """Write ``tfidf.npz`` (arrays) and ``vocabulary.json`` (terms in feature order)."""
        terms = {"words": self.lexicon_.word_vocabulary, "chars": self.lexicon_.char_vocabulary}
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
            with (folder / "tfidf.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                idf, intercepts = arrays["idf"].astype(np.float64), arrays["intercepts"].astype(np.float64)
                weights = arrays["weights"].astype(np.float32)
            backend = cls(parse_config(config, TfidfConfig, str(folder / "tfidf.json")))
            backend.lexicon_ = Lexicon(
                terms["words"], terms["chars"], backend.config.char_ngrams, backend.config.title_weight
            )
        except _UNREADABLE as error:
            raise ModelError(
                f"{folder} holds no usable TF-IDF model: {error}", "Train or download it again."
            ) from error
        n_features = (len(backend.lexicon_),)
        if idf.shape != n_features or intercepts.ndim != 1 or weights.shape != n_features + intercepts.shape:
            raise ModelError(f"{folder}: vocabulary and weights do not fit each other", "Train or download it again.")
        if not all(np.isfinite(array).all() for array in (idf, weights, intercepts)):
            raise ModelError(f"{folder}: a weight is no number", "Train or download it again.")
        backend.idf_, backend.weights_, backend.intercepts_ = idf, weights, intercepts
        return backend

    def _fit_label(self, X: csr_matrix, frequency: Ints, y: Bools, strength: float) -> tuple[Floats, float]:
        from scipy.sparse import csr_matrix
        from sklearn.linear_model import LogisticRegression

        positives = int(y.sum())
        if positives in {0, len(y)}:
            return np.zeros(len(self.idf_)), NEVER if positives == 0 else -NEVER
        weight = min(self.config.max_positive_weight, (len(y) - positives) / positives)
        scale = _ratio_scale(_frequency(X[y]), frequency, positives, len(y), strength)
        scaled = csr_matrix((X.data * scale.take(X.indices), X.indices, X.indptr), shape=X.shape)
        # liblinear: its result does not depend on the BLAS of the machine, so a model can be reproduced bit for bit.
        # The dual problem has one unknown per record instead of one per feature: same optimum, six times faster. A
        # hundredth of its gradient, in 11 rounds instead of 18, moves no log-odds by 0.005.
        model = LogisticRegression(
            C=self.config.C,
            solver="liblinear",
            dual=True,
            tol=1e-2,
            max_iter=5000,
            class_weight={False: 1.0, True: weight},
            random_state=self.config.seed,
        ).fit(scaled, y)
        return model.coef_[0] * scale, float(model.intercept_[0])

    def _vector(self, text: str) -> tuple[Ints, Floats]:
        """Return the features of a text in rising order and their values."""
        blocks = self.lexicon_.counts(text)
        return np.concatenate([features for features, _ in blocks]), self._values(blocks)

    def _values(self, blocks: Sequence[tuple[Ints, Floats]]) -> Floats:
        """Return the values of word and character features from their counts; each block is scaled to its length."""
        parts = []
        for (features, counts), weight in zip(blocks, (1.0, self.config.char_weight), strict=True):
            values = (1.0 + np.log(counts)) * self.idf_[features]
            length = float(np.sqrt(values @ values))
            parts.append(values * (weight / length if length else 0.0))
        return np.concatenate(parts)


def _frequency(X: csr_matrix) -> Ints:
    """Return in how many rows each feature is."""
    return np.bincount(X.indices, minlength=X.shape[1])


def _ratio_scale(inside: Ints, frequency: Ints, n_positives: int, n: int, strength: float) -> Floats:
    """Return a factor per feature that lets words typical of a label learn faster (Wang & Manning 2012, NBSVM).

    The factor grows with the log-ratio of how often the feature is present in positives and in negatives; words more
    typical of negatives keep the factor ``1 - strength``. With few positives this prior is worth more than the data.

    Parameters
    ----------
    inside, frequency
        In how many positives, and in how many of all `n` texts, each feature is.
    """
    ratio = np.log((inside + 1.0) / (n_positives + 2.0)) - np.log((frequency - inside + 1.0) / (n - n_positives + 2.0))
    typical = np.maximum(ratio, 0.0)
    spread = float(np.sqrt(np.mean(typical**2))) or 1.0
    scale: Floats = 1 - strength + strength * typical / spread
    return scale


def _vocabulary(terms: Sequence[str], rows: Sequence[Row], limit: int, config: TfidfConfig) -> tuple[list[str], Floats]:
    """Return at most `limit` terms in alphabetical order, and their idf, smoothed as scikit-learn does."""
    frequency = np.bincount(np.concatenate([numbers for numbers, _ in rows]), minlength=len(terms))
    chosen = np.flatnonzero((frequency >= config.min_df) & (frequency <= config.max_df * len(rows)))
    if not len(chosen):
        raise CorpusError(
            f"the {len(rows)} texts share no terms to learn from",
            "Give it more records, or a lower min_df or higher max_df.",
        )
    often = frequency.tolist()
    most = sorted(chosen.tolist(), key=lambda number: (-often[number], terms[number]))[:limit]
    kept = sorted(most, key=terms.__getitem__)
    idf = (np.log((1 + len(rows)) / (1 + frequency[kept])) + 1).astype(np.float32).astype(np.float64)
    return [terms[number] for number in kept], idf
