"""Records and predictions as JSON in a column, and back again as they were."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from typing import Any

from exoclass.records import Evidence, Prediction, Record, Tag

_DEFAULTS = {field.name: field.default for field in fields(Record) if field.default is not MISSING}


def dump_record(record: Record) -> str:
    """Return the record as JSON, without what is empty anyway.

    Everything beyond ASCII is escaped, since the name of a source file may hold bytes that are no Unicode.
    """
    values = {field.name: getattr(record, field.name) for field in fields(Record)}
    return json.dumps({name: value for name, value in values.items() if value != _DEFAULTS.get(name, MISSING)})


def load_record(text: str) -> Record:
    """Return the record that `dump_record` was given."""
    values: dict[str, Any] = json.loads(text)
    for name, value in values.items():
        if isinstance(value, list):
            values[name] = tuple(value)
    return Record(**values)


def dump_prediction(prediction: Prediction) -> str:
    """Return all of the prediction as JSON except its record, which the library has, and its model."""
    values = {
        "taxonomy": prediction.taxonomy,
        "scope": _plain(prediction.scope),
        "tags": {axis: tags and [_plain(tag) for tag in tags] for axis, tags in prediction.tags.items()},
        "flags": prediction.flags,
        "all_scopes": [_plain(tag) for tag in prediction.all_scopes],
    }
    return json.dumps(values)


def load_prediction(text: str, record: Record, model: str) -> Prediction:
    """Return the prediction that `dump_prediction` was given."""
    values = json.loads(text)
    return Prediction(
        record=record,
        scope=_tag(values["scope"]),
        tags={axis: None if tags is None else tuple(map(_tag, tags)) for axis, tags in values["tags"].items()},
        model=model,
        taxonomy=values["taxonomy"],
        flags=tuple(values["flags"]),
        all_scopes=tuple(map(_tag, values["all_scopes"])),
    )


def _plain(tag: Tag) -> list[Any]:
    evidence = tag.evidence and [tag.evidence.sentence, *tag.evidence.terms]
    return [tag.id, tag.probability, tag.decision, *([evidence] if evidence else [])]


def _tag(values: list[Any]) -> Tag:
    name, probability, decision, *rest = values
    evidence = Evidence(rest[0][0], tuple(rest[0][1:])) if rest else None
    return Tag(name, probability, decision, evidence)
