"""Markup cannot be injected into: not by text, not by attributes, not by what HTML forbids."""

from __future__ import annotations

import lxml.html
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exoclass.markup import Html, element, escape, join

TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1)


@given(TEXT)
def test_text_comes_back_as_it_went_in(text: str) -> None:
    tree = lxml.html.fragment_fromstring(element("p", element("b", text), title=text))
    assert tree.text_content() == text
    assert len(tree) == 1
    assert tree.get("title") == text


@pytest.mark.parametrize("text", ["a\x00b", "a\x1bb", "a\x7fb", "a\ud800b"])
def test_what_html_forbids_becomes_a_replacement_mark(text: str) -> None:
    assert escape(text) == "a\ufffdb"


def test_markup_is_escaped_once() -> None:
    inner = element("i", "<")
    assert escape(inner) is inner
    assert element("p", inner, " & ") == "<p><i>&lt;</i> &amp; </p>"
    assert join(inner, "<") == "<i>&lt;</i>&lt;"


def test_what_is_done_to_markup_is_text_again() -> None:
    assert not isinstance(Html("<b>") + "x", Html)
    assert element("p", Html("<b>") + "<i>") == "<p>&lt;b&gt;&lt;i&gt;</p>"


def test_void_elements_are_not_closed() -> None:
    assert element("meta", name="a", content="b") == '<meta name="a" content="b">'
