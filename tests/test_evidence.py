"""Cutting abstracts into sentences, and choosing the one that speaks most for a label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exoclass.backend import Attribution
from exoclass.classifier import Classifier
from exoclass.corpus import Corpus
from exoclass.evidence import N_TERMS, explain, sentences


def cut(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    "parts",
    [
        ["One sentence."],
        ["No full stop at the end"],
        ["They healed.", "Mice lived."],
        ["Did they heal?", "They did!", "All of them."],
        ["Doses of 3.5 mg/kg (P < 0.05) helped.", "Nothing else did."],
        ["Exosomes, e.g. from MSCs, heal.", "So do cells (i.e. MSCs)."],
        ["Treated vs. Untreated mice differed.", "As Smith et al. Reported, they heal."],
        ["See Fig. 2 and approx. 5 mice.", "Given i.v. The next day they rose."],
        ["Staphylococcus aureus, i.e. S. aureus, was killed.", "E. coli was not."],
        ["They rose (P < 0.001).", "(See the supplement.)", "They fell."],
        ['"They heal."', "We agree."],
        ["Levels fell.", "miR-21 rose.", "p-Akt too.", "circRNA did not.", "α-SMA was lower."],
        ["Cells grew.", "5 mice died.", "β-catenin rose."],
        ["Vesicles were of 100 nm. they were round."],
        ["What...", "Who knows?"],
        ["RNA was read.", "METHODS: Mice were used.", "RESULTS: They lived."],
        ["AIM: To heal", "METHODS AND MATERIALS: Mice were used", "CONCLUSION: Fine."],
    ],
)
def test_text_is_cut_into_sentences(parts: list[str]) -> None:
    assert cut(" ".join(parts)) == parts


def test_a_title_is_a_sentence_even_without_a_full_stop() -> None:
    assert cut("Exosomes heal\nThey do. Really.") == ["Exosomes heal", "They do.", "Really."]


@pytest.mark.parametrize("text", ["", " ", "\n\n"])
def test_a_text_of_nothing_has_no_sentence(text: str) -> None:
    assert sentences(text) == []


@given(st.text(st.sampled_from('aA1. ?!\n"()é:βMETHODS')))
def test_sentences_are_in_order_trimmed_and_hold_all_but_white_space(text: str) -> None:
    spans = sentences(text)
    ends = [0]
    for start, end in spans:
        assert ends[-1] <= start < end <= len(text)
        assert text[start:end] == text[start:end].strip()
        ends.append(end)
    assert "".join("".join(cut(text)).split()) == "".join(text.split())


TEXT = "Exosomes were given. Wounds closed fast and wounds healed. Mice lived."


def attributed(weights: dict[str, float], text: str = TEXT) -> Attribution:
    """Return an attribution that gives each word its weight at every place it stands in."""
    spans, terms, values = [], [], []
    for number, (word, weight) in enumerate(weights.items()):
        start = text.find(word)
        while start >= 0:
            spans.append((start, start + len(word)))
            terms.append(number)
            values.append(weight)
            start = text.find(word, start + 1)
    order = np.argsort([start for start, _ in spans], kind="stable")
    return Attribution(
        np.array(spans, dtype=np.int64).reshape(-1, 2)[order],
        np.array(terms, dtype=np.int64)[order],
        np.array([values], dtype=np.float64)[:, order],
        np.zeros(1),
    )


def explained(weights: dict[str, float], text: str = TEXT) -> tuple[str, tuple[str, ...]] | None:
    found = explain(text, attributed(weights, text), sentences(text))[0]
    return (found.sentence, found.terms) if found else None


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ({"Exosomes": 2.0, "Mice": 1.0}, "Exosomes were given."),
        ({"Exosomes": 1.0, "Mice": 2.0}, "Mice lived."),
        ({"Exosomes": 1.5, "ounds": 1.0}, "Wounds closed fast and wounds healed."),
        ({"Exosomes": 1.5, "closed": 2.0, "fast": -1.0}, "Exosomes were given."),
        ({"Exosomes": -9.0, "Mice": 0.1}, "Mice lived."),
    ],
)
def test_the_sentence_with_the_largest_sum_is_chosen(weights: dict[str, float], sentence: str) -> None:
    found = explained(weights)
    assert found is not None
    assert found[0] == sentence


@pytest.mark.parametrize("weights", [{}, {"Mice": -1.0}, {"Mice": 0.0}, {"absent": 5.0}])
def test_without_a_word_that_speaks_for_the_label_there_is_no_evidence(weights: dict[str, float]) -> None:
    assert explained(weights) is None


def test_the_row_asked_for_is_explained() -> None:
    found = attributed({"Exosomes": 1.0, "Mice": 2.0})
    both = Attribution(found.spans, found.terms, np.vstack([found.weights, found.weights[:, ::-1]]), np.zeros(2))
    chosen = explain(TEXT, both, sentences(TEXT))
    assert [item.sentence for item in chosen if item] == ["Mice lived.", "Exosomes were given."]


@pytest.mark.parametrize(
    ("weights", "terms"),
    [
        ({"Mice": 1.0, "fast": 3.0, "given": 2.0}, ("fast", "given", "mice")),
        ({"Mice": 1.0, "fast": -3.0}, ("mice",)),
        ({"closed fast": 3.0, "closed": 2.0, "Mice": 1.0}, ("closed fast", "mice")),
        ({"closed": 3.0, "closed fast": 2.0}, ("closed", "closed fast")),
        ({"ounds": 1.0, "given": 1.5}, ("ounds", "given")),
        ({"Mice": 1.0, "we": 5.0}, ("mice",)),
    ],
    ids=["strongest first", "against left out", "inside a phrase", "longer but weaker", "summed", "too short"],
)
def test_the_terms_are_the_strongest(weights: dict[str, float], terms: tuple[str, ...]) -> None:
    found = explained(weights)
    assert found is not None
    assert found[1] == terms


def test_there_are_few_terms() -> None:
    words = dict.fromkeys(["Exosomes", "given", "ounds", "closed", "fast", "healed", "Mice", "lived"], 1.0)
    found = explained(words)
    assert found is not None
    assert len(found[1]) == N_TERMS


def test_the_models_evidence_is_the_sentence_with_the_largest_contribution(tiny_model: Path, labelled: Corpus) -> None:
    clf = Classifier.from_pretrained(tiny_model)
    checked = 0
    for item, prediction in zip(labelled[:15], clf.predict([item.record for item in labelled[:15]]), strict=True):
        text = item.record.text
        for tag in prediction.tags["disease"] or ():
            if tag.evidence is None:
                continue
            found = clf.backend.attribute(text, [clf.taxonomy.column(tag.id)])
            totals = {
                text[start:end]: sum(
                    weight
                    for (place, _), weight in zip(found.spans, found.weights[0], strict=True)
                    if start <= place < end
                )
                for start, end in sentences(text)
            }
            assert totals[tag.evidence.sentence] == pytest.approx(max(totals.values()))
            checked += 1
    assert checked > 10
