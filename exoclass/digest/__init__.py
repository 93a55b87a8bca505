"""What is new, as one HTML page to read on a Monday and to print."""

from __future__ import annotations

from datetime import datetime

from exoclass.digest.cards import brief, card, changed
from exoclass.digest.counts import tag_counts
from exoclass.markup import Html, element, join
from exoclass.page import page, stylesheet
from exoclass.taxonomy import Taxonomy
from exoclass.triage import Digest, Groups, Item


def render(digest: Digest, taxonomy: Taxonomy) -> str:
    """Return the page; the same digest gives the same bytes."""
    items, found = digest.queue.items, digest.queue.groups(taxonomy)
    made = datetime.fromisoformat(digest.made)
    day = f"{made:%A}, {made.day} {made:%B %Y}"
    told = element("p", " · ".join([day, *_how_many(items)]), cls="soft")
    body = element(
        "body",
        element("header", element("h1", "New on exosome therapy"), told),
        _headline(digest, found),
        element(
            "main",
            *_section("therapy", "Therapy", [card(item, taxonomy) for item in found.therapy]),
            *_section(
                "unsure", "Not sure what kind of paper", [card(item, taxonomy) for item in found.unsure],
                "The model cannot tell, or had no English abstract to tell from: have a look yourself.",
            ),
            *_section("changed", "Changed since you saw them", [changed(item) for item in digest.queue.changed]),
            *_section("other", "Other papers", _list([brief(item, taxonomy) for item in found.other])),
            *([tag_counts(found.therapy, taxonomy)] if found.therapy else []),
            _about(digest),
        ),
    )  # fmt: skip
    return page(", ".join(["exoclass", *_how_many(items), day]), body, stylesheet("exoclass.digest", "digest.css"))


def _headline(digest: Digest, found: Groups) -> Html:
    """Return what there is in one sentence, with links to it, and what is still to come."""
    queue = digest.queue
    therapy, unsure, other = len(found.therapy), len(found.unsure), len(found.other)
    parts = [
        (therapy, "on therapy", "therapy"),
        (unsure, "not sure", "unsure"),
        (other, "other" if other == 1 else "others", "other"),
        (len(queue.changed), "changed since you saw them", "changed"),
    ]
    shown = [element("a", element("b", f"{n:,}"), f" {name}", href=f"#{place}") for n, name, place in parts if n]
    if therapy:
        shown.append(element("a", "Counts by tag", href="#counts"))
    if not shown:
        shown = [element("span", "Nothing new since you last looked. Enjoy the quiet week.")]
    waiting = [
        f"{count:,} {what}"
        for count, what in (
            (queue.waiting, f"more {_wait(queue.waiting)} for the next time."),
            (queue.unwanted, f"without the labels you asked for {_wait(queue.unwanted)}, too."),
        )
        if count
    ]
    said = [element("p", line, cls="soft") for line in waiting]
    if digest.remaining:
        said.append(element("p", digest.remaining.line(), cls="soft"))
    return join(element("nav", *shown, cls="headline", aria_label="Contents"), *said)


def _wait(count: int) -> str:
    return "waits" if count == 1 else "wait"


def _how_many(items: tuple[Item, ...]) -> list[str]:
    """Return how many papers there are; those that were shown before, as ``--all`` asks for, are not new."""
    if not items:
        return []
    noun, new = "paper" if len(items) == 1 else "papers", sum(item.news == "new" for item in items)
    return [f"{new:,} new {noun}" if new == len(items) else f"{len(items):,} {noun}, {new:,} new"]


def _section(place: str, title: str, members: list[Html], explained: str = "") -> list[Html]:
    if not members:
        return []
    said = [element("p", explained, cls="soft")] if explained else []
    return [element("section", element("h2", title), *said, *members, id=place)]


def _list(lines: list[Html]) -> list[Html]:
    return [element("ul", *(element("li", line) for line in lines), cls="brief")] if lines else []


def _about(digest: Digest) -> Html:
    rows = [("Asked", "; ".join(digest.asked)), ("Model", digest.model), ("Made", digest.made)]
    pairs = [join(element("dt", name), element("dd", value)) for name, value in rows if value]
    meaning = (
        "Each number is a calibrated probability: of 100 tags given with 0.90, about 90 hold. The sentence that "
        "earned a tag is marked in the abstract. Tags come from a model, not from a reader."
    )
    return element(
        "section", element("h2", "About this page"), element("p", meaning), element("dl", *pairs, cls="source"),
        id="about",
    )  # fmt: skip
