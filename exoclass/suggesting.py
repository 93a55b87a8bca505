"""Which abstracts to label next: those the model doubts most, rare labels first, and no two alike.

The library small-text has three strategies for several labels, but installs dill, which we keep out, wants its own
kind of data set and classifier, and knows neither calibrated probabilities nor labels that were not annotated. What is
needed beside it is a score and a greedy choice, so it is not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from exoclass.backend import Floats
from exoclass.classifier import Classifier
from exoclass.records import Prediction, Record
from exoclass.triage import relevant_scopes

Strategy = Literal["mixed", "uncertainty", "rare", "random"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)

_DOUBTFUL = 3
"""How many labels are named as the reason of a choice."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A record to label.

    Parameters
    ----------
    prediction
        What the model says of it, with evidence.
    reason
        Why it was chosen, for people.
    """

    prediction: Prediction
    reason: str


def suggest(
    records: Sequence[Record], clf: Classifier, n: int, *, strategy: Strategy = "mixed", seed: int = 13
) -> list[Suggestion]:
    """Choose up to `n` records to label.

    Parameters
    ----------
    strategy
        ``uncertainty``: the greatest sum of the entropies of all labels (Settles 2009). ``rare``: the same, a label
        counting the more the fewer examples the model has learnt from. ``mixed``: as ``rare``, but what resembles a
        record chosen before counts less. ``random``: the yardstick.
    seed
        Of the random choice, and of the order among equals.
    """
    if not records or n < 1:
        return []
    texts = [record.text for record in records]
    probs = clf.probabilities(texts)
    rng = np.random.default_rng(seed)
    weights = _weights(clf) if strategy in {"mixed", "rare"} else np.ones(probs.shape[1])
    doubts = doubt(clf, probs) * weights
    chosen = choose(texts, doubts, n, strategy=strategy, rng=rng)
    predictions = clf.predict([records[row] for row in chosen])
    return [
        Suggestion(prediction, _reason(clf, probs[row], doubts[row], strategy))
        for row, prediction in zip(chosen, predictions, strict=True)
    ]


def choose(texts: Sequence[str], doubts: Floats, n: int, *, strategy: Strategy, rng: np.random.Generator) -> list[int]:
    """Return the rows to label, the best first.

    Parameters
    ----------
    doubts
        Shape (n_texts, n_labels): how much each label of each text is in doubt.
    """
    n = min(n, len(texts))
    if strategy == "random":
        return [int(row) for row in rng.permutation(len(texts))[:n]]
    score = doubts.sum(axis=1) + rng.random(len(texts)) * 1e-9
    if strategy != "mixed":
        return [int(row) for row in np.argsort(-score)[:n]]
    return _spread(texts, score, n)


def doubt(clf: Classifier, probs: Floats) -> Floats:
    """Return the binary entropy of each label in bits, shape (n, n_labels), where its axis is likely to apply."""
    p = np.clip(probs, 1e-6, 1 - 1e-6)
    entropy = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    therapy = probs[:, [clf.taxonomy.column(name) for name in relevant_scopes(clf.taxonomy)]].sum(axis=1)
    entropy[:, clf.taxonomy.columns("mechanism")] *= therapy[:, None]
    return np.asarray(entropy)


def _weights(clf: Classifier) -> Floats:
    """Return how much each label counts, mean 1: one over the root of its number of examples."""
    positives = clf.metadata.corpus.get("positives", {})
    raw = np.array([1 / np.sqrt(max(1, positives.get(name, 0))) for name in clf.taxonomy.ids])
    # A label that was never learnt has no doubt to tell of.
    raw[[positives.get(name, 0) == 0 for name in clf.taxonomy.ids]] = 0.0
    mean = float(raw.mean())
    return np.asarray(raw / mean) if mean else np.ones_like(raw)


def _spread(texts: Sequence[str], score: Floats, n: int) -> list[int]:
    """Choose greedily by score times unlikeness to what was chosen (maximal marginal relevance, Carbonell 1998)."""
    from sklearn.feature_extraction.text import HashingVectorizer

    X = HashingVectorizer(n_features=2**16, alternate_sign=False, stop_words="english").transform(texts)
    alike = np.zeros(len(texts))
    left = score.copy()
    chosen: list[int] = []
    for _ in range(n):
        row = int(np.argmax(left * (1 - alike)))
        chosen.append(row)
        left[row] = -np.inf
        alike = np.minimum(np.maximum(alike, np.asarray((X @ X[row].T).todense()).ravel()), 0.999)
    return chosen


def _reason(clf: Classifier, probs: Floats, doubts: Floats, strategy: Strategy) -> str:
    if strategy == "random":
        return "drawn at random"
    positives = clf.metadata.corpus.get("positives", {})
    first = [int(column) for column in np.argsort(-doubts)[:_DOUBTFUL] if doubts[column] > 0]
    named = [f"{clf.taxonomy.ids[c]} {probs[c]:.2f} ({positives.get(clf.taxonomy.ids[c], 0)} examples)" for c in first]
    return f"in doubt: {', '.join(named)}" if named else "nothing is in doubt"
