"""One paper of the digest: its tags, and the sentences that earned them marked in the abstract."""

from __future__ import annotations

from urllib.parse import quote

from exoclass.evidence import sentences
from exoclass.markup import Html, element, join
from exoclass.records import Record, Tag
from exoclass.taxonomy import Taxonomy
from exoclass.triage import HAPPENED, Item

_FLAGS = {
    "no_abstract": "no abstract",
    "other_abstract": "plain-language or foreign abstract",
    "non_english": "not in English",
    "retracted": "retracted",
    "book": "book",
    "supersedes": "newer version",
    "truncated": "read in part",
}
_MAX_AUTHORS = 3


def card(item: Item, taxonomy: Taxonomy) -> Html:
    """Return a paper with its tags, each numbered like the sentence that earned it, and its abstract to open."""
    record, prediction = item.entry.record, item.prediction
    tags = [(axis, [tag for tag in found or () if tag.decision != "no"]) for axis, found in prediction.tags.items()]
    numbers = _numbers([tag for _, found in tags for tag in found], record)
    rows = [join(element("dt", "Scope"), element("dd", _tag(prediction.scope, taxonomy, {})))]
    rows += [
        join(element("dt", taxonomy.axis(axis).name), element("dd", *(_tag(tag, taxonomy, numbers) for tag in found)))
        for axis, found in tags
        if found
    ]
    abstract = (
        element(
            "details", element("summary", "Abstract"), element("p", _marked(record.abstract, numbers), cls="abstract")
        )
        if record.abstract
        else element("p", "No abstract. The tags come from the title alone.", cls="soft")
    )
    return element(
        "article", element("h3", _linked(record, _marked(record.title, numbers) or "(no title)")), _where(record, item),
        element("dl", *rows, cls="tags"), *_quoted(record, numbers), abstract, *_alike(item), cls="card",
    )  # fmt: skip


def brief(item: Item, taxonomy: Taxonomy) -> Html:
    """Return a paper that is not on therapy in one line."""
    scope = item.prediction.scope
    kind = element("span", f"{taxonomy.label(scope.id).name} {scope.probability:.2f},", cls="soft")
    record = item.entry.record
    title = _linked(record, record.title or "(no title)")
    return join(title, " ", kind, " ", _identifier(record), *_flags(item), *_alike(item))


def changed(item: Item) -> Html:
    """Return what happened to a paper that was shown before."""
    record = item.entry.record
    happened = element("b", HAPPENED[item.news])
    return element("p", _linked(record, _within(record)), " ", happened, ". ", _identifier(record))


def _numbers(tags: list[Tag], record: Record) -> dict[str, int]:
    """Return the evidence sentences by their place in the text, numbered from 1."""
    sentences = dict.fromkeys(tag.evidence.sentence for tag in tags if tag.evidence and tag.evidence.sentence)
    ordered = sorted(sentences, key=lambda sentence: (record.text.find(sentence), sentence))
    return {sentence: number for number, sentence in enumerate(ordered, start=1)}


def _tag(tag: Tag, taxonomy: Taxonomy, numbers: dict[str, int]) -> Html:
    doubt = tag.decision == "review"
    number = numbers.get(tag.evidence.sentence) if tag.evidence else None
    parts = [taxonomy.label(tag.id).name, " ", element("span", f"{tag.probability:.2f}", cls="number")]
    parts += [" not sure"] if doubt else []
    parts += [element("sup", str(number))] if number else []
    return element("span", *parts, cls="tag doubt" if doubt else "tag")


def _marked(text: str, numbers: dict[str, int]) -> Html:
    """Return text with each evidence sentence marked where it stands, and its number behind it."""
    parts: list[str] = []
    end = 0
    for start, stop in sentences(text):  # whole sentences: the words of a short one may stand in a longer one, too
        if number := numbers.get(text[start:stop]):
            parts += [text[end:start], element("mark", text[start:stop], element("sup", str(number)))]
            end = stop
    return join(*parts, text[end:])


def _quoted(record: Record, numbers: dict[str, int]) -> list[Html]:
    """Return the evidence that stands in the abstract, so that it is seen without opening it."""
    title = {record.title[start:stop] for start, stop in sentences(record.title)}
    within = [(number, said) for said, number in numbers.items() if said in record.abstract and said not in title]
    lines = [element("li", sentence, value=number) for number, sentence in within]
    return [element("ol", *lines, cls="evidence")] if lines else []


def _alike(item: Item) -> list[Html]:
    """Return which papers of the library this one may be once more: for the curator to judge."""
    return [
        element(
            "p", "Perhaps the same paper as ", _linked(other.record, _within(other.record)),
            f": {', '.join(other.reasons)}.", cls="soft",
        )
        for other in item.alike
    ]  # fmt: skip


def _within(record: Record) -> str:
    """Return the title as part of a sentence, which goes on: those of PubMed end in a full stop."""
    return record.title.removesuffix(".") or "(no title)"


def _linked(record: Record, title: str) -> Html:
    if record.pmid:
        address = f"https://pubmed.ncbi.nlm.nih.gov/{quote(record.pmid, safe='')}/"
    elif record.doi:
        address = f"https://doi.org/{quote(record.doi, safe='/')}"
    else:
        return join(title)
    return element("a", title, href=address, rel="noreferrer")


def _where(record: Record, item: Item) -> Html:
    names = list(record.authors[:_MAX_AUTHORS])
    authors = ", ".join(names) + (" et al." if len(record.authors) > _MAX_AUTHORS else "")
    parts = [
        authors,
        record.journal or "",
        str(record.year or ""),
        record.name,
    ]
    return element("p", " · ".join(part for part in parts if part), *_flags(item), cls="soft")


def _identifier(record: Record) -> Html:
    """Return by what a paper is found again from a print, on which nothing can be clicked."""
    return element("span", record.name, cls="soft id")


def _flags(item: Item) -> list[Html]:
    return [join(" ", element("span", _FLAGS.get(flag, flag), cls="flag")) for flag in item.prediction.flags]
