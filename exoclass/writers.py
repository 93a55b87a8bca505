"""Predictions as JSON Lines, CSV, TSV, RIS or a readable list; each writer streams."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, TextIO

from exoclass.records import Prediction, Record, Tag
from exoclass.taxonomy import Taxonomy

SCHEMA_VERSION = 1
"""Version of the output line described by ``configs/prediction.schema.json``."""

_COLUMNS = (
    "pmid", "doi", "title", "year", "journal", "source",
    "scope", "scope_probability", "scope_decision",
    "disease", "disease_review", "mechanism", "mechanism_review",
    "probabilities", "evidence", "flags", "model", "taxonomy",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class View:
    """Which part of a prediction is shown.

    Parameters
    ----------
    axes
        Disease and mechanism, or one of them.
    labels
        Only these labels; empty for all.
    all_scores
        Every label, whatever the decision.
    """

    axes: tuple[str, ...] = ("disease", "mechanism")
    labels: frozenset[str] = frozenset()
    all_scores: bool = False

    def tags(self, prediction: Prediction, axis: str) -> tuple[Tag, ...] | None:
        """Return the tags of one axis to show, by falling probability, or None where the axis does not apply."""
        tags = prediction.tags[axis]
        if tags is None:
            return None
        return tuple(
            tag
            for tag in tags
            if (self.all_scores or tag.decision != "no") and (not self.labels or tag.id in self.labels)
        )


Writer = Callable[[Iterable[Prediction], TextIO, View, Taxonomy], None]


def to_line(prediction: Prediction, view: View) -> dict[str, Any]:
    """Return one prediction in the public format (``configs/prediction.schema.json``)."""
    record = prediction.record
    line: dict[str, Any] = {
        "pmid": record.pmid,
        "doi": record.doi,
        "title": record.title,
        "source": record.source,
        "scope": _tag(prediction.scope),
    }
    if view.all_scores:
        line["scopes"] = [_tag(tag) for tag in prediction.all_scopes]
    for axis in view.axes:
        tags = view.tags(prediction, axis)
        line[axis] = None if tags is None else [_tag_with_evidence(tag) for tag in tags]
    return line | {
        "flags": list(prediction.flags),
        "model": prediction.model,
        "taxonomy": prediction.taxonomy,
        "schema": SCHEMA_VERSION,
    }


def write_jsonl(predictions: Iterable[Prediction], out: TextIO, view: View, taxonomy: Taxonomy) -> None:
    """Write one JSON object per line."""
    for prediction in predictions:
        out.write(json.dumps(to_line(prediction, view), ensure_ascii=False) + "\n")


def write_csv(predictions: Iterable[Prediction], out: TextIO, view: View, taxonomy: Taxonomy) -> None:
    """Write a table with commas; lists are joined by ``; ``."""
    _write_table(predictions, out, view, delimiter=",")


def write_tsv(predictions: Iterable[Prediction], out: TextIO, view: View, taxonomy: Taxonomy) -> None:
    """Write a table with tabs; lists are joined by ``; ``."""
    _write_table(predictions, out, view, delimiter="\t")


def write_ris(predictions: Iterable[Prediction], out: TextIO, view: View, taxonomy: Taxonomy) -> None:
    """Write RIS with each tag as a keyword ``exoclass:axis:label``, so that Zotero and EndNote can search them.

    Tags the model is not sure of become ``exoclass:review:axis:label``; probabilities stand in a note.
    """
    for prediction in predictions:
        for name, value in _ris(prediction, view):
            out.write(f"{name}  - {_one_line(value)}\n")
        out.write("ER  - \n\n")


def write_table(predictions: Iterable[Prediction], out: TextIO, view: View, taxonomy: Taxonomy) -> None:
    """Write a list for people: title, tags by name with probability, and the sentence that earned each tag."""
    for number, prediction in enumerate(predictions, start=1):
        out.write("\n".join(card(number, prediction, view, taxonomy)) + "\n\n")


WRITERS: dict[str, Writer] = {
    "jsonl": write_jsonl,
    "csv": write_csv,
    "tsv": write_tsv,
    "table": write_table,
    "ris": write_ris,
}


def _tag(tag: Tag) -> dict[str, Any]:
    return {"id": tag.id, "probability": tag.probability, "decision": tag.decision}


def _tag_with_evidence(tag: Tag) -> dict[str, Any]:
    reason = tag.evidence
    shown = None if reason is None else {"sentence": reason.sentence, "terms": list(reason.terms)}
    return _tag(tag) | {"evidence": shown}


def _write_table(predictions: Iterable[Prediction], out: TextIO, view: View, *, delimiter: str) -> None:
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    stream = iter(predictions)
    first = next(stream, None)  # before the header: a file that cannot be read leaves nothing on stdout
    writer.writerow(_COLUMNS)
    for prediction in chain([first] if first else [], stream):
        cells = _cells(prediction, view)
        writer.writerow([safe_cell(cells.get(name, "")) for name in _COLUMNS])


def _cells(prediction: Prediction, view: View) -> dict[str, str]:
    record = prediction.record
    cells = {
        "pmid": record.pmid or "",
        "doi": record.doi or "",
        "title": record.title,
        "year": str(record.year or ""),
        "journal": record.journal or "",
        "source": record.source,
        "scope": prediction.scope.id,
        "scope_probability": f"{prediction.scope.probability:.4f}",
        "scope_decision": prediction.scope.decision,
        "flags": "; ".join(prediction.flags),
        "model": prediction.model,
        "taxonomy": prediction.taxonomy,
    }
    shown = [tag for axis in view.axes for tag in view.tags(prediction, axis) or ()]
    cells["probabilities"] = "; ".join(f"{tag.id}={tag.probability:.4f}" for tag in shown)
    cells["evidence"] = " | ".join(f"{tag.id}: {tag.evidence.sentence}" for tag in shown if tag.evidence)
    for axis in view.axes:
        tags = view.tags(prediction, axis) or ()
        cells[axis] = "; ".join(tag.id for tag in tags if tag.decision == "yes")
        cells[f"{axis}_review"] = "; ".join(tag.id for tag in tags if tag.decision == "review")
    return cells


def safe_cell(cell: str) -> str:
    """Keep a spreadsheet from running a cell as a formula (OWASP, "CSV injection")."""
    return f"'{cell}" if cell[:1] in {"=", "+", "-", "@", "\t", "\r"} else cell


def _ris(prediction: Prediction, view: View) -> Iterator[tuple[str, str]]:
    record = prediction.record
    yield "TY", "CHAP" if "book" in record.flags else "JOUR"
    yield "TI", record.title
    yield from (("AU", name) for name in record.authors)
    yield from _known(
        ("T2", record.journal), ("PY", str(record.year or "")), ("DO", record.doi), ("AB", record.abstract)
    )
    if record.pmid:
        yield "AN", record.pmid
        yield "DB", "PubMed"
        yield "UR", f"https://pubmed.ncbi.nlm.nih.gov/{record.pmid}/"
    yield from (("M3", kind) for kind in record.publication_types)  # "Retracted Publication" must not get lost
    yield from (("KW", word) for word in _keywords(record))
    scope = prediction.scope
    yield "KW", f"exoclass:{'review:' if scope.decision == 'review' else ''}scope:{scope.id}"
    notes = [f"scope {scope.id} {scope.probability:.2f}"]
    for axis in view.axes:
        for tag in view.tags(prediction, axis) or ():
            if tag.decision != "no":
                yield "KW", f"exoclass:{'review:' if tag.decision == 'review' else ''}{axis}:{tag.id}"
            notes.append(f"{axis} {tag.id} {tag.probability:.2f}")
    yield from (("KW", f"exoclass:flag:{flag}") for flag in prediction.flags)
    yield "N1", f"exoclass {prediction.model}: {'; '.join(notes)}"


def _keywords(record: Record) -> list[str]:
    """Return keywords and MeSH headings without the tags that an earlier run wrote."""
    words = dict.fromkeys([*record.keywords, *record.mesh_terms])
    return [word for word in words if not word.startswith("exoclass:")]


def _known(*pairs: tuple[str, str | None]) -> Iterator[tuple[str, str]]:
    return ((name, value) for name, value in pairs if value)


def _one_line(value: str) -> str:
    return " ".join(value.split())


def card(number: int, prediction: Prediction, view: View, taxonomy: Taxonomy) -> Iterator[str]:
    """Yield the lines that tell people of one prediction."""
    record, scope = prediction.record, prediction.scope
    yield f"{number}. {record.title or '(no title)'}"
    about = [f"PMID {record.pmid}" if record.pmid else "", f"doi {record.doi}" if record.doi else "", record.source]
    flags = f"   [{', '.join(prediction.flags)}]" if prediction.flags else ""
    yield f"   {' · '.join(part for part in about if part)}{flags}"
    yield f"   {'Scope':<22}{_named(scope, taxonomy)}"
    for axis in view.axes:
        tags = view.tags(prediction, axis)
        title = taxonomy.axis(axis).name
        if not tags:
            reason = "does not apply to this scope" if tags is None else "none"
            yield f"   {title:<22}{reason}"
        for position, tag in enumerate(tags or ()):
            yield f"   {title if position == 0 else '':<22}{_named(tag, taxonomy)}"
            if tag.evidence:
                yield f"   {'':<22}  “{tag.evidence.sentence}”"


def _named(tag: Tag, taxonomy: Taxonomy) -> str:
    doubt = {"yes": "", "review": "  not sure", "no": "  no"}[tag.decision]
    return f"{taxonomy.label(tag.id).name}  {tag.probability:.2f}{doubt}"
