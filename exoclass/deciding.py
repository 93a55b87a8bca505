"""What the curator decides: read from the command line or a table, checked as a whole, then written to the library."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from exoclass.errors import InputError, LibraryError, UsageError
from exoclass.library import Decision, Filter, Library, Verdict
from exoclass.readers.normalise import find_pmid
from exoclass.readers.rows import read_rows
from exoclass.records import Prediction
from exoclass.remaining import Remaining, estimate
from exoclass.taxonomy import Taxonomy
from exoclass.triage import relevant_scopes
from exoclass.wanting import parse_tag

_NOTHING = "Nothing was written."


@dataclass(frozen=True, slots=True)
class Wish:
    """One decision as asked for.

    Parameters
    ----------
    tags
        ``axis:label``; an axis without any is not judged by them.
    where
        Line of the table it stands in; empty on the command line.
    """

    pmid: str
    verdict: Verdict
    tags: tuple[str, ...] = ()
    note: str = ""
    where: str = ""


def read_wishes(file: Path, taxonomy: Taxonomy) -> list[Wish]:
    """Read decisions from a table (CSV, TSV) or JSON Lines: pmid and verdict, and perhaps note and one field per axis.

    Labels of an axis are joined by ``;``.

    Raises
    ------
    InputError
        Names the first row that is no decision; or if the file cannot be read.
    """
    wishes = []
    for number, row in read_rows(file, one_of=("verdict",)):
        where = f"{file}:{number}"
        if isinstance(row, str):
            raise InputError(f"{where}: {row}", _NOTHING)
        values = {name: ";".join(map(str, v)) if isinstance(v, list) else str(v or "") for name, v in row.items()}
        pmid, verdict = find_pmid(values.get("pmid")), values.get("verdict", "").strip().casefold()
        if pmid is None:
            raise InputError(f"{where}: {values.get('pmid', '')!r} is no PMID", _NOTHING)
        if verdict not in get_args(Verdict):
            raise InputError(f"{where}: {verdict!r} is no verdict", f"Write accept, reject or correct. {_NOTHING}")
        tags = tuple(
            f"{axis.id}:{label.strip()}"
            for axis in taxonomy.axes
            for label in values.get(axis.id, "").split(";")
            if label.strip()
        )
        wishes.append(Wish(pmid, cast("Verdict", verdict), tags, values.get("note", "").strip(), where))
    return wishes


def decide(
    library: Library, wishes: Iterable[Wish], taxonomy: Taxonomy, *, model: str | None, when: str
) -> tuple[Decision, ...]:
    """Write decisions: all of them, or none if one cannot be.

    To accept keeps the tags that the model gives now, so that a later model does not change what was accepted.

    Parameters
    ----------
    model
        Identity of the model whose tags are accepted; None takes the newest prediction of each record.

    Raises
    ------
    UsageError
        If a label is unknown, or a correction has no tags.
    LibraryError
        Names the PMIDs that are not in the library, or that no model has tagged.
    """
    given = list(wishes)
    held = library.known(wish.pmid for wish in given)
    if missing := [wish for wish in given if wish.pmid not in held]:
        names = [f"PMID {wish.pmid}" + (f" ({wish.where})" if wish.where else "") for wish in missing]
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        raise LibraryError(f"not in the library: {shown}", f"{_NOTHING} `exoclass triage` adds records.")
    checked = [(wish, _tags(library, wish, taxonomy, model)) for wish in given]
    return tuple(
        library.decide(wish.pmid, wish.verdict, when=when, tags=tags, note=wish.note) for wish, tags in checked
    )


def remaining(library: Library, model: str, taxonomy: Taxonomy) -> Remaining:
    """Estimate how much of what is relevant was found; a decision says so by its scope, and a rejection by itself."""
    scopes = relevant_scopes(taxonomy)
    probs = library.score_sums(model, scopes)
    decisions = library.standing_decisions()
    relevant = [is_relevant(decision, scopes) for decision in decisions]
    unread = library.ids(Filter(decided=False, state="live"))
    return estimate(
        relevant,
        [probs.get(decision.record_id, 0.0) for decision in decisions],
        [probs.get(record_id, 0.0) for record_id in unread],
    )


def is_relevant(decision: Decision, scopes: Sequence[str]) -> bool:
    """Return whether a decision keeps the paper as one on therapy."""
    judged = decision.tags.get("scope")
    return decision.verdict != "reject" and (judged is None or bool(set(judged) & set(scopes)))


def _tags(library: Library, wish: Wish, taxonomy: Taxonomy, model: str | None) -> dict[str, tuple[str, ...]]:
    if wish.verdict == "accept":
        if wish.tags:
            raise UsageError(f"{wish.where or 'accept'} takes no tags", "To change them, write correct.")
        made = [found.prediction for found in library.predictions(wish.pmid) if model in {None, found.prediction.model}]
        if not made:
            raise LibraryError(f"PMID {wish.pmid} has no tags to accept yet", "Run `exoclass triage` first.")
        return _accepted(made[-1])
    if wish.verdict == "correct" and not wish.tags:
        raise UsageError(
            f"{wish.where or f'PMID {wish.pmid}'}: a correction without tags corrects nothing",
            "Give the labels that hold, such as --tag disease:eye.",
        )
    tags: dict[str, tuple[str, ...]] = {}
    for text in wish.tags:
        axis, label = parse_tag(text, taxonomy, f"{wish.where or 'tag'} {text}")
        tags[axis] = (*tags.get(axis, ()), label)
    for axis, labels in tags.items():
        if taxonomy.axis(axis).single and len(labels) > 1:
            raise UsageError(f"a paper has one {axis}, not {' and '.join(labels)}", "Give the one that holds.")
    return tags


def _accepted(prediction: Prediction) -> dict[str, tuple[str, ...]]:
    """Return what a prediction says for sure, and what it is unsure of; an axis without any label is not judged."""
    found = {"scope": (prediction.scope.id,)} | {
        axis: tuple(tag.id for tag in tags or () if tag.decision == "yes") for axis, tags in prediction.tags.items()
    }
    found["unsure"] = tuple(
        tag.id for tags in prediction.tags.values() for tag in tags or () if tag.decision == "review"
    )
    return {axis: labels for axis, labels in found.items() if labels}
