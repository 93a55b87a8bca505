from __future__ import annotations

import doctest

from hypothesis import given, settings
from hypothesis import strategies as st

from exoclass.readers import clues


def test_the_examples_hold() -> None:
    assert doctest.testmod(clues).failed == 0


@given(st.text(max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_text_is_taken(text: str) -> None:
    clues.doi_in_url([text])
    clues.pmid_in_url([text])
    clues.pmid_in_note([text])
    clues.doi_in_note([text])
    assert all(part.strip() == part and part for part in clues.split_list(text))
    assert (
        len(clues.split_authors(text))
        <= text.count(",") + text.count(";") + text.count("|") + len(text.splitlines()) + 1
    )


def test_only_the_mark_of_a_retraction_counts() -> None:
    assert not clues.is_retracted("Retracted lungs and vesicles", ["Review"])
    assert clues.is_retracted("RETRACTED ARTICLE: Vesicles in sepsis", [])
    assert clues.is_retracted("[Retracted] Vesicles in sepsis", [])
