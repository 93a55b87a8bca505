"""Words, word n-grams and character n-grams, and the places they stand in."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from exoclass.ngrams import Lexicon, char_terms, normal, tokens, word_terms

WORDS = ["heal", "healing", "of", "skin", "skin wounds", "wounds", "wounds of skin", "α"]
CHARS = [" he", "eal", "heal", " α ", " of ", "ski"]


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon(WORDS, CHARS, (3, 4))


def counted(lexicon: Lexicon, text: str) -> dict[str, float]:
    vocabulary = [*lexicon.word_vocabulary, *lexicon.char_vocabulary]
    words, chars = lexicon.counts(text)
    return {
        vocabulary[feature] + ("" if part == 0 else "|"): float(count)
        for part, found in enumerate((words, chars))
        for feature, count in zip(*found, strict=True)
    }


@pytest.mark.parametrize(
    ("word", "form"), [("CO₂", "co2"), ("TGF", "tgf"), ("ﬁbrosis", "fibrosis"), ("Straße", "strasse"), ("µg", "μg")]
)
def test_a_word_is_compared_without_case_and_compatibility_characters(word: str, form: str) -> None:
    assert normal(word) == form


@pytest.mark.parametrize("word", ["ﷺ", "ͺ", "xͺy"])
def test_the_normal_form_of_a_word_is_one_word(word: str) -> None:
    assert tokens(word)
    assert not [form for form in tokens(word) if re.search(r"\s", form)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("TNF-α, CO₂", ["tnf", "α", "co2"]),
        ("miR_21 (n=5)", ["mir", "21", "n", "5"]),
        ("naïve naïve", ["naïve", "naïve"]),
        ("", []),
        ("…—!?", []),
    ],
)
def test_words_are_runs_of_letters_and_digits(text: str, words: list[str]) -> None:
    assert tokens(text) == words


@pytest.mark.parametrize(
    ("ngrams", "terms"),
    [
        ((1, 1), ["a", "b", "c"]),
        ((1, 2), ["a", "b", "c", "a b", "b c"]),
        ((2, 3), ["a b", "b c", "a b c"]),
        ((4, 5), []),
    ],
)
def test_word_terms_are_all_runs_of_that_length(ngrams: tuple[int, int], terms: list[str]) -> None:
    assert list(word_terms(["a", "b", "c"], ngrams)) == terms


@given(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=9), st.integers(1, 5), st.integers(0, 3))
def test_char_terms_are_those_of_scikit_learn(word: str, shortest: int, more: int) -> None:
    ngrams = (shortest, shortest + more)
    analyse = CountVectorizer(analyzer="char_wb", ngram_range=ngrams, lowercase=False).build_analyzer()
    assert list(char_terms(word, ngrams)) == analyse(word)


def test_a_lexicon_has_words_first(lexicon: Lexicon) -> None:
    assert len(lexicon) == len(WORDS) + len(CHARS)
    (words, _), (chars, _) = lexicon.counts("heal")
    assert words.tolist() == [WORDS.index("heal")]
    assert chars.tolist() == [len(WORDS) + CHARS.index(term) for term in (" he", "eal", "heal")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("unknown words", {}),
        ("HEAL!", {"heal": 1, " he|": 1, "eal|": 1, "heal|": 1}),
        ("skin, wounds", {"skin": 1, "wounds": 1, "skin wounds": 1, "ski|": 1}),
        (
            "skin wounds of skin wounds",
            {"skin": 2, "wounds": 2, "of": 1, "skin wounds": 2, "wounds of skin": 1, " of |": 1, "ski|": 2},
        ),
        ("skin deep wounds", {"skin": 1, "wounds": 1, "ski|": 1}),
        ("α α", {"α": 2, " α |": 2}),
    ],
)
def test_known_terms_are_counted(lexicon: Lexicon, text: str, found: dict[str, float]) -> None:
    assert counted(lexicon, text) == found


def test_the_order_of_texts_does_not_change_what_is_counted() -> None:
    texts = ["skin wounds heal", "α of healing", "unknown skin", "wounds of skin"]
    forward, backward = Lexicon(WORDS, CHARS, (3, 4)), Lexicon(WORDS, CHARS, (3, 4))
    first = [counted(forward, text) for text in texts]
    assert first == [counted(backward, text) for text in reversed(texts)][::-1]
    assert first == [counted(forward, text) for text in texts]


def test_terms_that_begin_in_the_title_count_more() -> None:
    lexicon = Lexicon(WORDS, CHARS, (3, 4), title_weight=3)
    found = counted(lexicon, "heal skin\nwounds of skin")
    assert found["heal"] == 3
    assert found["skin"] == 4
    assert found["skin wounds"] == 3
    assert found["wounds of skin"] == 1
    assert found["ski|"] == 4


@given(st.text(st.sampled_from("skin wouds\nfhealgα,")))
def test_occurrences_add_up_to_the_counts(text: str) -> None:
    lexicon = Lexicon(WORDS, CHARS, (3, 4), title_weight=2)
    found = lexicon.occurrences(text)
    summed = np.bincount(found.features, found.weights, minlength=len(lexicon))
    (words, word_counts), (chars, char_counts) = lexicon.counts(text)
    expected = np.zeros(len(lexicon))
    expected[words], expected[chars] = word_counts, char_counts
    assert np.array_equal(summed, expected)


def test_occurrences_point_to_the_words_of_their_feature(lexicon: Lexicon) -> None:
    text = "Wounds of SKIN; skin, wounds"
    found = lexicon.occurrences(text)
    vocabulary = [*WORDS, *CHARS]
    for owner, feature in zip(found.owners, found.features, strict=True):
        start, end = found.spans[owner]
        place = " ".join(re.findall(r"\w+", text[start:end].casefold()))
        if feature < len(WORDS):
            assert place == vocabulary[feature]
        else:
            assert vocabulary[feature] in f" {place} "


def test_spans_with_the_same_number_are_the_same_term(lexicon: Lexicon) -> None:
    text = "skin wounds and skin Wounds"
    found = lexicon.occurrences(text)
    terms = Counter(found.terms.tolist())
    places = Counter(text[start:end].casefold() for start, end in found.spans)
    assert sorted(terms.values()) == sorted(places.values())


@pytest.mark.parametrize("n_words", range(8))
def test_texts_shorter_than_the_longest_term_are_counted(n_words: int) -> None:
    lexicon = Lexicon(["a", "a a a a a a"], [], (3, 4))
    expected = {"a": n_words, "a a a a a a": n_words - 5}
    assert counted(lexicon, "a " * n_words) == {term: count for term, count in expected.items() if count > 0}


def test_unknown_words_are_not_mistaken_for_a_known_term() -> None:
    lexicon = Lexicon(["a", "b", "b a"], [], (3, 4))  # "a" followed by the first unknown word has the key of "b a"
    assert counted(lexicon, "a unknown other a") == {"a": 2}


def test_more_words_than_the_cache_holds_do_no_harm(lexicon: Lexicon) -> None:
    texts = ["skin wounds heal", *(f"w{number} skin" for number in range(50))]
    before = [counted(lexicon, text) for text in texts]
    lexicon._forget()
    assert [counted(lexicon, text) for text in reversed(texts)][::-1] == before


@pytest.mark.parametrize(("words", "chars"), [([], CHARS), (WORDS, []), ([], [])])
def test_an_empty_vocabulary_counts_nothing(words: list[str], chars: list[str]) -> None:
    lexicon = Lexicon(words, chars, (3, 4))
    (found_words, _), (found_chars, _) = lexicon.counts("skin wounds heal")
    assert bool(len(found_words)) == bool(words)
    assert bool(len(found_chars)) == bool(chars)
    assert len(lexicon.occurrences("skin wounds").spans) >= 2
