"""Why a label was given: the sentence that added most to its score, and the words that did."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np

from exoclass.backend import Attribution
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


def evidence(text: str, attribution: Attribution, row: int, spans: list[tuple[int, int]]) -> Evidence | None:
    """Return the evidence for one column of an attribution, or None if no word spoke for the label.

    Parameters
    ----------
    text
        The text the attribution was made for.
    row
        Which row of ``attribution.weights`` to explain.
    spans
        What `sentences` returned for `text`.
    """
    weights = attribution.weights[row]
    if not spans or not len(weights) or weights.max() <= 0:
        return None
    starts = np.array([start for start, _ in spans])
    owner = np.clip(np.searchsorted(starts, attribution.spans[:, 0], side="right") - 1, 0, len(spans) - 1)
    totals = np.bincount(owner, weights, minlength=len(spans))
    start, end = spans[int(totals.argmax())]
    return Evidence(sentence=text[start:end], terms=_terms(text, attribution, row))


def _terms(text: str, attribution: Attribution, row: int) -> tuple[str, ...]:
    """Return the strongest terms over all their occurrences, leaving out those inside a stronger phrase."""
    _, first, term = np.unique(attribution.terms, return_index=True, return_inverse=True)
    strength = np.bincount(term, attribution.weights[row])
    chosen: list[str] = []
    for number in np.argsort(-strength, kind="stable"):
        if strength[number] <= 0 or len(chosen) == N_TERMS:
            break
        start, end = attribution.spans[first[number]]
        phrase = " ".join(text[start:end].casefold().split())
        words = set(phrase.split())
        if len(phrase) > 2 and not any(words <= set(other.split()) for other in chosen):
            chosen.append(phrase)
    return tuple(chosen)
