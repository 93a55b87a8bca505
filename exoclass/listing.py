"""A digest as text for the terminal, and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, TextIO

from exoclass.taxonomy import Taxonomy
from exoclass.triage import HAPPENED, Digest, Item
from exoclass.writers import View, card, to_line


def show(digest: Digest, out: TextIO, taxonomy: Taxonomy) -> None:
    """Write what there is for people: papers on therapy, those the model is not sure of, others, and what changed."""
    found = digest.queue.groups(taxonomy)
    groups = {
        "Therapy": found.therapy,
        "Not sure what kind of paper": found.unsure,
        "Other papers": found.other,
    }
    number = 0
    for title, members in groups.items():
        if members:
            out.write(f"{title}: {len(members):,}\n\n")
        for item in members:
            number += 1
            brief = title == "Other papers"
            lines = [_brief(number, item, taxonomy)] if brief else card(number, item.prediction, View(), taxonomy)
            out.write("\n".join([*lines, *_alike(item)]) + ("\n" if brief else "\n\n"))
        if members and title == "Other papers":
            out.write("\n")
    if digest.queue.changed:
        out.write(f"Changed since you saw them: {len(digest.queue.changed):,}\n\n")
        out.writelines(f"   {line}\n" for line in _changed(digest))


def _brief(number: int, item: Item, taxonomy: Taxonomy) -> str:
    scope = item.prediction.scope
    return f"{number}. {_title(item)}  {taxonomy.label(scope.id).name} {scope.probability:.2f}"


def _alike(item: Item) -> Iterator[str]:
    for other in item.alike:
        yield f"   Perhaps the same paper as {other.record.name}: {', '.join(other.reasons)}"


def _changed(digest: Digest) -> Iterator[str]:
    for item in digest.queue.changed:
        yield f"{_title(item)} {HAPPENED[item.news]}"


def _title(item: Item) -> str:
    record = item.entry.record
    return f"{record.title or '(no title)'} ({record.name})"


def to_json(digest: Digest) -> dict[str, Any]:
    """Return the digest with each record in the public format, with its relevance and why it is shown."""
    return {
        "made": digest.made,
        "model": digest.model,
        "asked": list(digest.asked),
        "records": [_line(item) for item in digest.queue.items],
        "changed": [_line(item) for item in digest.queue.changed],
        "waiting": digest.queue.waiting,
        "unwanted": digest.queue.unwanted,
        "remaining": None if digest.remaining is None else asdict(digest.remaining),
    }


def _line(item: Item) -> dict[str, Any]:
    alike = [
        {
            "pmid": other.record.pmid,
            "doi": other.record.doi,
            "title": other.record.title,
            "reasons": list(other.reasons),
        }
        for other in item.alike
    ]
    added = {"relevance": round(item.relevance, 4), "news": item.news, "alike": alike}
    return to_line(item.prediction, View()) | added
