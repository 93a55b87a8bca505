"""How often each tag was given this time, as bars."""

from __future__ import annotations

from collections import Counter

from exoclass.markup import Html, element
from exoclass.taxonomy import Taxonomy
from exoclass.triage import Item


def tag_counts(items: list[Item], taxonomy: Taxonomy) -> Html:
    """Return the tags of these papers by axis, the most frequent first; tags that are not sure do not count."""
    columns = []
    for axis in taxonomy.axes:
        counts = Counter(
            tag.id for item in items for tag in item.prediction.tags.get(axis.id) or () if tag.decision == "yes"
        )
        if counts:
            columns.append(element("div", element("h3", axis.name), _bars(counts, taxonomy)))
    explained = (
        f"Of the {len(items):,} papers on therapy; a paper can have several tags, and doubtful ones do not count."
    )
    return element(
        "section", element("h2", "Counts by tag"), element("p", explained, cls="soft"),
        element("div", *columns, cls="counts"), id="counts",
    )  # fmt: skip


def _bars(counts: Counter[str], taxonomy: Taxonomy) -> Html:
    most = max(counts.values())
    order = sorted(counts, key=lambda name: (-counts[name], taxonomy.column(name)))
    rows = [
        element(
            "tr",
            element("th", taxonomy.label(name).name, scope="row"),
            element("td", element("span", "", cls="bar", style=f"width: {100 * counts[name] / most:.0f}%"), cls="cell"),
            element("td", str(counts[name]), cls="number"),
        )
        for name in order
    ]
    return element("table", element("tbody", *rows), cls="tally")
