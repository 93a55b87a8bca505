"""Words and n-grams of a text as numbers, for the TF-IDF backend.

Everything that depends on a word alone (its normal form, its number, the features of its character n-grams) is looked
up once per distinct word and kept, and word n-grams are found by arithmetic on word numbers. That makes prediction
several times faster than cutting every text anew; `tests/test_tfidf.py` holds the result against scikit-learn.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from exoclass.backend import Floats, Ints

_TOKEN = re.compile(r"[^\W_]+")
_NONE: Ints = np.zeros(0, dtype=np.int64)
_CACHE_WORDS = 200_000  # distinct words kept with their n-grams; beyond it the cache starts anew (about 200 MB)


@dataclass(frozen=True, slots=True)
class Occurrences:
    """Where the features of one text stand.

    Parameters
    ----------
    spans
        Shape (n_spans, 2): first the words of the text, then its known longer word n-grams; in characters.
    terms
        Shape (n_spans,): spans with the same number are the same term.
    owners, features, weights
        Shape (n_occurrences,): the span in which each feature occurs, its number, and how often it counts.
    """

    spans: Ints
    terms: Ints
    owners: Ints
    features: Ints
    weights: Floats


def normal(word: str) -> str:
    """Return the form of a word that is compared: compatibility characters resolved, case folded.

    >>> normal("CO₂"), normal("TGF")
    ('co2', 'tgf')
    """
    return (
        unicodedata.normalize("NFKC", word).casefold().replace(" ", "")
    )  # a few letters are resolved to several words


def tokens(text: str) -> list[str]:
    """Return the words of a text in normal form.

    >>> tokens("TNF-α, CO₂")
    ['tnf', 'α', 'co2']
    """
    return [normal(word) for word in _TOKEN.findall(text)]


def word_terms(words: Sequence[str], ngrams: tuple[int, int]) -> Iterator[str]:
    """Yield all word n-grams, words joined by blanks."""
    for size in range(ngrams[0], ngrams[1] + 1):
        for start in range(len(words) - size + 1):
            yield " ".join(words[start : start + size])


def char_terms(word: str, ngrams: tuple[int, int]) -> Iterator[str]:
    """Yield the character n-grams of one word padded with blanks, as scikit-learn's ``char_wb`` does."""
    padded = f" {word} "
    for size in range(ngrams[0], ngrams[1] + 1):
        if size >= len(padded):
            yield padded
            return  # scikit-learn counts a short word once
        for start in range(len(padded) - size + 1):
            yield padded[start : start + size]


class Lexicon:
    """The vocabulary of a model: features 0 to n_words - 1 are word n-grams, the rest character n-grams.

    Parameters
    ----------
    word_vocabulary, char_vocabulary
        Terms in feature order.
    char_ngrams
        Shortest and longest character n-gram.
    title_weight
        How often a feature that begins in the first line, the title, counts.
    """

    def __init__(
        self,
        word_vocabulary: Sequence[str],
        char_vocabulary: Sequence[str],
        char_ngrams: tuple[int, int],
        title_weight: int = 1,
    ) -> None:
        self.word_vocabulary = tuple(word_vocabulary)
        self.char_vocabulary = tuple(char_vocabulary)
        self.char_ngrams = char_ngrams
        self.title_weight = title_weight
        parts = [term.split(" ") for term in self.word_vocabulary]
        known = sorted({word for part in parts for word in part})
        number = {word: index for index, word in enumerate(known)}
        self._base = len(known)
        self._char_feature = {term: len(parts) + index for index, term in enumerate(self.char_vocabulary)}
        self._ngrams: dict[int, tuple[Ints, Ints]] = {}
        for size in {len(part) for part in parts}:
            pairs = sorted(
                (_key([number[word] for word in part], self._base), feature)
                for feature, part in enumerate(parts)
                if len(part) == size
            )
            self._ngrams[size] = (np.array([key for key, _ in pairs]), np.array([feature for _, feature in pairs]))
        self._known = number
        self._forget()

    def __len__(self) -> int:
        """Return the number of features."""
        return len(self.word_vocabulary) + len(self.char_vocabulary)

    def counts(self, text: str) -> tuple[tuple[Ints, Floats], tuple[Ints, Floats]]:
        """Return features in rising order and how often each counts, for word n-grams and for character n-grams."""
        entries = self._entries(_TOKEN.findall(text))
        title = len(_TOKEN.findall(text.partition("\n")[0]))
        again = self.title_weight - 1
        words, chars = [_NONE], [_NONE]
        for _, features, starts in self._word_ngrams(entries):
            words += [features, *[features[starts < title]] * again]
        parts = [self._chars[entry] for entry in entries]
        chars += [*parts, *parts[:title] * again]
        return _tally(np.concatenate(words)), _tally(np.concatenate(chars))

    def occurrences(self, text: str) -> Occurrences:
        """Return every feature of a text with the place it stands in."""
        matches = list(_TOKEN.finditer(text))
        entries = self._entries([match.group() for match in matches])
        numbers = np.array(entries, dtype=np.int64)
        bounds = np.array([match.span() for match in matches], dtype=np.int64).reshape(-1, 2)
        spans, terms, owners, features = [bounds], [numbers], [_NONE], [_NONE]
        count = len(entries)
        for size, found, starts in self._word_ngrams(entries):
            features.append(found)
            if size == 1:
                owners.append(starts)
                continue
            spans.append(np.column_stack([bounds[starts, 0], bounds[starts + size - 1, 1]]))
            terms.append(-1 - found)  # below zero: no word has such a number
            owners.append(np.arange(count, count + len(found)))
            count += len(found)
        chars = [self._chars[entry] for entry in entries]
        features += chars
        owners.append(np.repeat(np.arange(len(entries)), [len(found) for found in chars]))
        places, owner = np.concatenate(spans), np.concatenate(owners)
        weights = np.where(places[owner, 0] < len(text.partition("\n")[0]), float(self.title_weight), 1.0)
        return Occurrences(places, np.concatenate(terms), owner, np.concatenate(features), weights)

    def _forget(self) -> None:
        self._entry: dict[str, int] = {}
        self._numbers: dict[str, int] = dict(self._known)
        self._chars: list[Ints] = [self._char_features(word) for word in self._known]

    def _entries(self, raw: list[str]) -> list[int]:
        if len(self._entry) > _CACHE_WORDS:
            self._forget()
        get = self._entry.get
        entries = [get(word, -1) for word in raw]
        if -1 in entries:
            entries = [self._learn(word) if entry < 0 else entry for word, entry in zip(raw, entries, strict=True)]
        return entries

    def _learn(self, raw: str) -> int:
        word = normal(raw)
        number = self._numbers.setdefault(word, len(self._chars))
        if number == len(self._chars):
            self._chars.append(self._char_features(word))
        self._entry[raw] = number
        return number

    def _char_features(self, word: str) -> Ints:
        found = map(self._char_feature.get, char_terms(word, self.char_ngrams))
        return np.array([feature for feature in found if feature is not None], dtype=np.int64)

    def _word_ngrams(self, entries: list[int]) -> Iterator[tuple[int, Ints, Ints]]:
        """Yield size, features and first words of the known word n-grams, size by size."""
        numbers = np.array(entries, dtype=np.int64)
        for size, (known, feature) in self._ngrams.items():
            count = max(len(numbers) - size + 1, 0)
            windows = [numbers[offset : offset + count] for offset in range(size)]
            keys = _key(windows, self._base)
            position = np.minimum(np.searchsorted(known, keys), len(known) - 1)
            hit = known[position] == keys
            for window in windows:
                hit &= window < self._base  # a word outside the vocabulary could only collide
            starts = np.flatnonzero(hit)
            yield size, feature[position[starts]], starts


def _key(numbers: Sequence[int] | Sequence[Ints], base: int) -> Ints:
    """Return one number per n-gram: its words read as the digits of a number."""
    key = np.asarray(numbers[0], dtype=np.int64)
    for number in numbers[1:]:
        key = key * base + number
    return key


def _tally(features: Ints) -> tuple[Ints, Floats]:
    """Return the distinct features in rising order and how often each is there.

    Sorting a text's few thousand features is quicker than counting in an array as long as the vocabulary.
    """
    ordered = np.sort(features)
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if len(ordered) else _NONE
    counts = np.diff(np.concatenate([first, [len(ordered)]]))
    return ordered[first], counts.astype(np.float64)
