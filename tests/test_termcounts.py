"""Counts of terms, against what the lexicon of a finished model counts in the same texts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from exoclass.ngrams import Lexicon
from exoclass.termcounts import CharCounts, TermCounts, WordCounts

TEXTS = [
    "Wound healing\nExosomes speed wound healing; wounds of mice close. TNF-α falls.",
    "Exosomes and exosomes\nof mice",
    "a title alone",
    "",
    "\n",
]


@pytest.mark.parametrize("title_weight", [1, 2, 3])
@pytest.mark.parametrize(
    ("make", "place"),
    [(lambda weight: WordCounts((1, 2), weight), 0), (lambda weight: CharCounts((3, 5), weight), 1)],
    ids=["words", "characters"],
)
def test_texts_hold_what_a_lexicon_of_all_terms_counts(
    make: Callable[[int], TermCounts], place: int, title_weight: int
) -> None:
    counts = make(title_weight)
    rows = counts.rows(TEXTS)
    vocabulary = sorted(counts.terms)
    assert len(vocabulary) == len(set(vocabulary))
    both = ([], vocabulary) if place else (vocabulary, [])
    lexicon = Lexicon(*both, (3, 5), title_weight)
    for text, (numbers, often) in zip(TEXTS, rows, strict=True):
        features, wanted = lexicon.counts(text)[place]
        found = {counts.terms[number]: count for number, count in zip(numbers, often, strict=True)}
        assert found == {vocabulary[feature]: count for feature, count in zip(features, wanted, strict=True)}


def test_a_text_counted_before_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = WordCounts((1, 2), 2)
    first = counts.rows(TEXTS)
    monkeypatch.setattr(counts, "_read", None)
    again = counts.rows([TEXTS[1], TEXTS[0]])
    assert np.array_equal(again[1][0], first[0][0])


def test_texts_counted_later_leave_the_numbers_as_they_are() -> None:
    early, late = WordCounts((1, 1), 1), WordCounts((1, 1), 1)
    early.rows(TEXTS[:1])
    early.rows(TEXTS)
    late.rows(TEXTS)
    assert early.terms == late.terms
