"""Windows: nothing of a text is lost, nothing is read twice, and little is padded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from exoclass.encoder import load_tokenizer
from exoclass.windows import Window, batches, cut, padded

TEXTS = ["Exosomes heal wounds", "", "vesicles " * 100, "a b"]


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder: Path) -> Tokenizer:
    return load_tokenizer(str(tiny_encoder)).backend_tokenizer


@pytest.mark.parametrize("max_tokens", [5, 16, 1000])
def test_windows_hold_every_token_once_and_none_is_too_long(tokenizer: Tokenizer, max_tokens: int) -> None:
    windows = cut(TEXTS, tokenizer, max_tokens)
    for number, text in enumerate(TEXTS):
        own = [window for window in windows if window.text == number]
        whole = tokenizer.encode(text, add_special_tokens=False)
        assert [token for window in own for token in window.ids] == whole.ids
        assert [tuple(span) for window in own for span in window.spans.tolist()] == whole.offsets
        assert all(0 < len(window.ids) <= max_tokens - 2 for window in own)


def test_the_windows_of_a_text_are_of_about_equal_length(tokenizer: Tokenizer) -> None:
    lengths = [len(window.ids) for window in cut([TEXTS[2]], tokenizer, 64)]
    assert len(lengths) > 1
    assert max(lengths) - min(lengths) <= 1


def test_spans_are_characters_of_the_text(tokenizer: Tokenizer) -> None:
    [window] = cut(["Exosomes of İstanbul – heal"], tokenizer, 64)
    assert "Exosomes of İstanbul – heal"[window.spans[-1][0] :].startswith(("h", "e", "a", "l"))


def of_length(*lengths: int) -> list[Window]:
    return [Window(0, tuple(range(n)), np.zeros((n, 2), dtype=np.int64)) for n in lengths]


@given(st.lists(st.integers(1, 60), max_size=40), st.integers(1, 300), st.booleans())
def test_batches_hold_every_window_once_and_keep_to_the_limit(lengths: list[int], limit: int, padding: bool) -> None:
    windows = of_length(*lengths)
    found = list(batches(windows, limit, padding=padding))
    assert sorted(number for batch in found for number in batch) == list(range(len(windows)))
    for batch in found:
        size = len(batch) * (max(lengths[number] for number in batch) + 2)
        assert len(batch) == 1 or size <= limit
        assert padding or len({lengths[number] for number in batch}) == 1


def test_like_lengths_are_read_together() -> None:
    assert list(batches(of_length(3, 50, 4, 49), 110)) == [[1, 3], [2, 0]]


def test_only_equal_lengths_are_read_together_without_padding() -> None:
    assert list(batches(of_length(3, 5, 4, 5, 3), 100, padding=False)) == [[1, 3], [2], [0, 4]]


def test_padding_surrounds_the_tokens_with_the_special_ones() -> None:
    ids, mask = padded(of_length(1, 3), first=101, last=102, padding=9)
    assert ids.tolist() == [[101, 0, 102, 9, 9], [101, 0, 1, 2, 102]]
    assert mask.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
