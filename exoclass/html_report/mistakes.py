"""The part of the HTML report that shows where a model went wrong, and which sentence misled it."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from exoclass.diagnosis import Diagnosis, Mistake, MistakeKind, Mistakes
from exoclass.html_report.figures import figure
from exoclass.markup import Html, element, join
from exoclass.records import Record
from exoclass.taxonomy import Taxonomy

_TITLES: dict[MistakeKind, str] = {
    "confused": "Another label chosen",
    "added": "Label given that does not hold",
    "missed": "Label missed that holds",
}


def mistakes_section(diagnosis: Diagnosis, taxonomy: Taxonomy) -> Html:
    """Return the most confident wrong decisions, by kind, each with its abstract and the evidence in it marked."""
    groups = [part for mistakes in diagnosis.mistakes if mistakes.count for part in _group(mistakes, taxonomy)]
    explained = (
        "The decisions that were wrong with most confidence: the model is wrong, or the annotators are. The number is "
        "the probability of the label in bold; the sentence that spoke most for it is marked. Open one to read it."
    )
    return element(
        "section",
        element("h2", "Worst errors"),
        element("p", explained if groups else "No decision was wrong.", cls="soft"),
        *groups,
        id="mistakes",
    )


def _group(mistakes: Mistakes, taxonomy: Taxonomy) -> list[Html]:
    shown = len(mistakes.worst)
    title = f"{_TITLES[mistakes.kind]} ({shown} of {mistakes.count})"
    return [element("h3", title), *(_mistake(mistake, taxonomy) for mistake in mistakes.worst)]


def _mistake(mistake: Mistake, taxonomy: Taxonomy) -> Html:
    verdict = [
        f"{taxonomy.axis(mistake.axis).name}: annotated ",
        _names(mistake.gold, mistake.label, taxonomy),
        "; predicted ",
        _names(mistake.predicted, mistake.label, taxonomy),
        *(["; would be sent to review"] if mistake.review else []),
    ]
    record = mistake.record
    summary = element(
        "summary",
        element("b", record.title or "(no title)"),
        element("span", *verdict, cls="verdict"),
        element("span", figure(mistake.probability), cls="chance number"),
    )
    sentence = mistake.evidence.sentence if mistake.evidence else ""
    in_title = bool(sentence) and sentence in record.title
    return element(
        "details",
        summary,
        *([element("p", _marked(record.title, sentence), cls="abstract")] if in_title else []),
        element("p", _marked(record.abstract, "" if in_title else sentence) or "(no abstract)", cls="abstract"),
        element("p", _why(mistake, taxonomy), cls="soft"),
        element("p", *_where(record), cls="soft"),
        cls="mistake",
    )


def _why(mistake: Mistake, taxonomy: Taxonomy) -> str:
    name, found = taxonomy.label(mistake.label).name, mistake.evidence
    if found is None or not found.terms:
        return f"No word of the text spoke for “{name}”."
    return f"Words for “{name}”: {', '.join(found.terms)}."


def _names(ids: Sequence[str], decisive: str, taxonomy: Taxonomy) -> Html:
    """Return label names, the one that was decided wrongly in bold."""
    if not ids:
        return element("em", "none")
    named = [(label_id, taxonomy.label(label_id).name) for label_id in ids]
    parts = [element("em", element("b", name) if label_id == decisive else name) for label_id, name in named]
    return join(*[piece for part in parts for piece in (", ", part)][1:])


def _marked(text: str, sentence: str) -> Html:
    """Return text with the first occurrence of a sentence marked."""
    before, found, after = text.partition(sentence) if sentence else (text, "", "")
    return join(before, element("mark", found), after) if found else join(text)


def _where(record: Record) -> list[str]:
    """Return where to find the paper: a link to PubMed, the DOI, the line of the file."""
    parts: list[str] = []
    if record.pmid:
        link = f"https://pubmed.ncbi.nlm.nih.gov/{quote(record.pmid, safe='')}/"
        parts += [element("a", f"PMID {record.pmid}", href=link, rel="noreferrer"), " "]
    if record.doi:
        parts.append(f"doi {record.doi} ")
    return [*parts, record.source]
