"""What models predict and what the curator decides, kept beside the records."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from exoclass.library.adding import find
from exoclass.library.content import dump_prediction, load_prediction
from exoclass.library.database import Database
from exoclass.library.filters import MIN_SCORE
from exoclass.library.identity import keys_of
from exoclass.records import Prediction, Record, Tag

Verdict = Literal["accept", "reject", "correct"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What the curator decided of one record.

    Parameters
    ----------
    verdict
        ``accept`` what the model says, ``reject`` the record, or ``correct`` its tags.
    tags
        Ids of labels per axis. An axis that is missing was not judged; an empty one has no label.
    when
        UTC.
    """

    record_id: int
    verdict: Verdict
    tags: Mapping[str, tuple[str, ...]]
    note: str
    when: str


@dataclass(frozen=True, slots=True)
class StoredPrediction:
    """What a model said of one record; `stale` if the text has changed since."""

    prediction: Prediction
    made: str
    stale: bool


@dataclass(frozen=True, slots=True)
class SavedPredictions:
    """How many predictions were saved, and the keys of records that are not in the library."""

    saved: int
    unknown: tuple[str, ...] = ()


def save_prediction(database: Database, model: str, prediction: Prediction, when: str) -> bool:
    """Save what a model says of a record in place of what it said before; return False if the record is not here."""
    keys = keys_of(prediction.record)
    match, _ = find(database, prediction.record, keys)
    if match is None:
        return False
    model_id = _id_of(database, "models", model)
    database.execute("DELETE FROM predictions WHERE record_id = ? AND model_id = ?", (match.record_id, model_id))
    sql = "INSERT INTO predictions (record_id, model_id, made, text_hash, content) VALUES (?, ?, ?, ?, ?)"
    values = (match.record_id, model_id, when, keys.text, dump_prediction(prediction))
    prediction_id = database.insert(sql, values)
    rows = [
        (prediction_id, model_id, _id_of(database, "labels", label), probability, match.record_id)
        for label, probability in _scores(prediction).items()
        if probability >= MIN_SCORE
    ]
    database.execute_many("INSERT INTO scores VALUES (?, ?, ?, ?, ?)", rows)
    return True


def predictions_of(database: Database, record_id: int, record: Record) -> tuple[StoredPrediction, ...]:
    """Return what each model said of a record, the newest last."""
    sql = (
        "SELECT m.name, p.made, p.text_hash, p.content FROM predictions p JOIN models m ON m.id = p.model_id "
        "WHERE p.record_id = ? ORDER BY p.made, p.id"
    )
    now = keys_of(record).text
    return tuple(
        StoredPrediction(load_prediction(content, record, name), made, stale=text != now)
        for name, made, text, content in database.execute(sql, (record_id,))
    )


def score_sums(database: Database, model: str, labels: Iterable[str]) -> dict[int, float]:
    """Return the sum of the probabilities of labels for each record, by id; see `Library.score_sums`."""
    names = tuple(labels)
    marks = ", ".join("?" * len(names))
    sql = f"""
        SELECT record_id, sum(probability) FROM scores WHERE model_id = (SELECT id FROM models WHERE name = ?)
        AND label_id IN (SELECT id FROM labels WHERE name IN ({marks})) GROUP BY record_id
    """  # noqa: S608 - only question marks are put in
    return dict(database.execute(sql, (model, *names)))


def save_decision(database: Database, decision: Decision) -> None:
    """Add a decision to those made before; the newest holds."""
    tags = json.dumps({axis: list(ids) for axis, ids in decision.tags.items()})
    sql = "INSERT INTO decisions (record_id, verdict, tags, note, at) VALUES (?, ?, ?, ?, ?)"
    database.execute(sql, (decision.record_id, decision.verdict, tags, decision.note, decision.when))
    database.execute("UPDATE records SET verdict = ? WHERE id = ?", (decision.verdict, decision.record_id))


def decisions_of(database: Database, record_id: int) -> tuple[Decision, ...]:
    """Return the decisions on a record in the order in which they were made."""
    sql = "SELECT verdict, tags, note, at FROM decisions WHERE record_id = ? ORDER BY id"
    return tuple(
        Decision(record_id, verdict, {axis: tuple(ids) for axis, ids in json.loads(tags).items()}, note, when)
        for verdict, tags, note, when in database.execute(sql, (record_id,))
    )


def standing_decisions(database: Database) -> list[Decision]:
    """Return the decision that holds for each record, in the order in which these were made."""
    sql = (
        "SELECT record_id, verdict, tags, note, at FROM decisions WHERE id IN "
        "(SELECT max(id) FROM decisions GROUP BY record_id) ORDER BY id"
    )
    return [
        Decision(record_id, verdict, {axis: tuple(ids) for axis, ids in json.loads(tags).items()}, note, when)
        for record_id, verdict, tags, note, when in database.execute(sql)
    ]


def _scores(prediction: Prediction) -> dict[str, float]:
    groups: Iterable[Iterable[Tag] | None] = (prediction.all_scopes, (prediction.scope,), *prediction.tags.values())
    return {tag.id: tag.probability for tags in groups for tag in tags or ()}


def _id_of(database: Database, table: Literal["models", "labels"], name: str) -> int:
    rows = database.execute(f"SELECT id FROM {table} WHERE name = ?", (name,))  # noqa: S608
    return int(rows[0][0]) if rows else database.insert(f"INSERT INTO {table} (name) VALUES (?)", (name,))  # noqa: S608
