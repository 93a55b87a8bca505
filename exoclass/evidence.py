"""Why a label was given: the sentence that added most to its score, and the words that did."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np

from exoclass.backend import Attribution, Floats, Ints
from exoclass.records import Evidence

N_TERMS = 5

# A full stop ends a sentence unless it stands in one of these or before a lower-case word.
_ABBREVIATIONS = frozenset(
    "e.g i.e vs cf al fig figs eq no vol approx ca resp inc ltd co st dr prof spp sp var subsp "
    "i.v i.p i.m s.c p.o u.s u.k".split()
)
# A sentence can begin with a symbol such as miR-21, circRNA or p-Akt.
_END = re.compile(r"[.?!]+[\"')\]]*(?=\s+[\"'(\[]?(?:[A-Z0-9Α-Ω]|[a-zα-ω]{1,5}[A-Z0-9-]))")
_HEADING = re.compile(r"(?<=\s)[A-Z][A-Z /&-]{4,40}:\s")


def sentences(text: str) -> list[tuple[int, int]]:
    """Return start and end of each sentence, in characters, white space trimmed.

    A line break ends a sentence, and a heading in capitals ("METHODS:") begins one.

    >>> text = "Exosomes (e.g. from MSCs) heal. Mice of 3.5 months were used! RESULTS: Fine."
    >>> [text[start:end] for start, end in sentences(text)]
    ['Exosomes (e.g. from MSCs) heal.', 'Mice of 3.5 months were used!', 'RESULTS: Fine.']
    """
    cuts = {0, len(text), *(match.start() for match in re.finditer("\n", text))}
    for match in _END.finditer(text):
        word = text[: match.start()].rsplit(None, 1)[-1:] or [""]
        bare = word[0].lstrip("([\"'").casefold()
        if match.group()[0] == "." and (bare in _ABBREVIATIONS or (len(bare) == 1 and bare.isalpha())):
            continue
        cuts.add(match.end())
    cuts.update(match.start() for match in _HEADING.finditer(text))
    ordered = sorted(cuts)
    spans = []
    for start, end in pairwise(ordered):
        part = text[start:end]
        if part.strip():
            spans.append((start + len(part) - len(part.lstrip()), start + len(part.rstrip())))
    return spans


def explain(text: str, attribution: Attribution, spans: list[tuple[int, int]]) -> list[Evidence | None]:
    """Return the evidence for each row of an attribution, None for a row where no word spoke for the label.

    Parameters
    ----------
    text
        The text the attribution was made for.
    spans
        What `sentences` returned for `text`.
    """
    if not spans or not len(attribution.spans):
        return [None] * len(attribution.weights)
    starts = np.array([start for start, _ in spans])
    sentence = np.clip(np.searchsorted(starts, attribution.spans[:, 0], side="right") - 1, 0, len(spans) - 1)
    _, first, term = np.unique(attribution.terms, return_index=True, return_inverse=True)
    places = attribution.spans[first]
    found: list[Evidence | None] = []
    for weights in attribution.weights:
        start, end = spans[int(np.bincount(sentence, weights).argmax())]
        terms = _terms(text, places, np.asarray(np.bincount(term, weights), dtype=np.float64))
        found.append(Evidence(text[start:end], terms) if weights.max() > 0 else None)
    return found


def _terms(text: str, places: Ints, strength: Floats) -> tuple[str, ...]:
    """Return the strongest terms, leaving out those inside a stronger phrase."""
    chosen: list[str] = []
    for number in np.argsort(-strength, kind="stable"):
        if strength[number] <= 0 or len(chosen) == N_TERMS:
            break
        start, end = places[number]
        phrase = " ".join(text[start:end].casefold().split())
        words = set(phrase.split())
        if len(phrase) > 2 and not any(words <= set(other.split()) for other in chosen):
            chosen.append(phrase)
    return tuple(chosen)
