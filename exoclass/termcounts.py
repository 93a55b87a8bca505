"""How often texts hold each n-gram: what the TF-IDF backend learns its vocabulary and its vectors from.

Terms are counted here and not by `TfidfVectorizer`, which takes several times as long and whose choice among equally
frequent terms depends on the sorting routine of the machine. Counts do not depend on a vocabulary, so that the folds
of a cross-validation share them; `tests/test_termcounts.py` holds them against `exoclass.ngrams`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import numpy as np

from exoclass.backend import Floats, Ints
from exoclass.ngrams import char_terms, tokens, word_terms

Row = tuple[Ints, Floats]
"""Numbers of the terms of one text, rising, and how often each counts."""


class TermCounts(ABC):
    """Numbers terms as they come, and remembers what each text holds.

    Parameters
    ----------
    sizes
        Shortest and longest n-gram.
    title_weight
        How often a term that begins in the first line, the title, counts.

    Attributes
    ----------
    terms
        By their numbers.
    """

    def __init__(self, sizes: tuple[int, int], title_weight: int) -> None:
        self.terms: list[str] = []
        self._sizes, self._title_weight = sizes, title_weight
        self._numbers: dict[str, int] = {}
        self._rows: dict[str, Row] = {}

    def rows(self, texts: Sequence[str]) -> list[Row]:
        """Return what each text holds; a text counted before is not read again."""
        for text in texts:
            if text not in self._rows:
                everywhere, title = self._read(tokens(text), len(tokens(text.partition("\n")[0])))
                numbers, places = np.unique(np.concatenate([everywhere, title]), return_inverse=True)
                often = np.ones(len(places))
                often[len(everywhere) :] = self._title_weight - 1
                counted = np.bincount(places, often, minlength=len(numbers))
                self._rows[text] = numbers.astype(np.int64), counted.astype(np.float64)
        return [self._rows[text] for text in texts]

    def features(self, texts: Sequence[str], vocabulary: Sequence[str]) -> list[Row]:
        """Return what each text holds of a vocabulary, the numbers of terms being their places in it."""
        feature = {term: number for number, term in enumerate(vocabulary)}
        rows = self.rows(texts)
        place = np.array([feature.get(term, -1) for term in self.terms], dtype=np.int64)
        found = []
        for numbers, often in rows:
            features = place[numbers]
            kept = features >= 0
            order = np.argsort(features[kept])
            found.append((features[kept][order], often[kept][order]))
        return found

    @abstractmethod
    def _read(self, words: list[str], title: int) -> tuple[Ints, Ints]:
        """Return the numbers of all terms, and of those that begin in the first `title` words."""

    def _numbered(self, terms: Iterable[str]) -> Ints:
        numbers = self._numbers
        found = []
        for term in terms:
            number = numbers.setdefault(term, len(numbers))
            if number == len(self.terms):
                self.terms.append(term)
            found.append(number)
        return np.array(found, dtype=np.int64)


class WordCounts(TermCounts):
    """Counts word n-grams."""

    def _read(self, words: list[str], title: int) -> tuple[Ints, Ints]:
        shortest, longest = self._sizes
        found = [self._numbered(word_terms(words, (size, size))) for size in range(shortest, longest + 1)]
        return np.concatenate(found), np.concatenate([part[:title] for part in found])


class CharCounts(TermCounts):
    """Counts the character n-grams of words; those of a word are made once, however often it occurs."""

    def __init__(self, sizes: tuple[int, int], title_weight: int) -> None:
        super().__init__(sizes, title_weight)
        self._of_word: dict[str, Ints] = {}

    def _read(self, words: list[str], title: int) -> tuple[Ints, Ints]:
        for word in words:
            if word not in self._of_word:
                self._of_word[word] = self._numbered(char_terms(word, self._sizes))
        found = [np.zeros(0, dtype=np.int64), *(self._of_word[word] for word in words)]
        return np.concatenate(found), np.concatenate(found[: title + 1])
