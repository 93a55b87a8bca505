"""Which records to show: a filter, and the SQL that answers it from an index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from exoclass.errors import UsageError
from exoclass.library.times import as_utc

State = Literal["live", "retracted", "deleted"]

MIN_SCORE = 0.01
"""Probability below which a label of a record is not kept for filtering: most labels of most records are."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which records, and how many; what is left out does not restrict.

    Parameters
    ----------
    state
        ``live``, ``retracted`` or ``deleted``.
    decided
        Whether the curator has decided.
    label, at_least, model
        Records to which `model` gives `label` with this probability or more, the likeliest first; both or neither.
    since
        Records added or changed at this time or later.
    unpredicted_by
        Records of which this model has said nothing, or nothing since their text changed.
    news
        Records that the curator has not seen as they are now; see `Library.mark_shown`.
    newest_first
        Turn the order around, which is by time of the last change.
    """

    state: State | None = None
    decided: bool | None = None
    label: str | None = None
    at_least: float = 0.5
    model: str | None = None
    since: str | None = None
    unpredicted_by: str | None = None
    news: bool = False
    newest_first: bool = False
    limit: int | None = None
    offset: int = 0

    def sql(self) -> tuple[str, list[object]]:
        """Return the statement that selects the ids, and its values.

        Raises
        ------
        UsageError
            If the filter asks for what cannot be answered.
        """
        if (self.label is None) != (self.model is None):
            raise UsageError("a label is filtered by what one model says of it", "Name both the label and the model.")
        if self.label and self.at_least < MIN_SCORE:
            raise UsageError(f"a label below {MIN_SCORE:.0%} is not kept", f"Ask for {MIN_SCORE} or more.")
        clauses, values = self._clauses()
        source, order = "records r", "r.changed {0}, r.id {0}".format("DESC" if self.newest_first else "ASC")
        if self.label:
            # CROSS JOIN keeps the order of the tables: the label is the narrower way in.
            source = "scores s CROSS JOIN records r ON r.id = s.record_id"
            order = "s.probability DESC, s.record_id DESC"
        where = f"WHERE {' AND '.join(clauses)} " if clauses else ""
        limit = -1 if self.limit is None else self.limit
        return f"SELECT r.id FROM {source} {where}ORDER BY {order} LIMIT ? OFFSET ?", [*values, limit, self.offset]  # noqa: S608

    def _clauses(self) -> tuple[list[str], list[object]]:
        clauses: list[str] = []
        values: list[object] = []
        if self.label:
            clauses.append("s.model_id = (SELECT id FROM models WHERE name = ?)")
            clauses.append("s.label_id = (SELECT id FROM labels WHERE name = ?)")
            clauses.append("s.probability >= ?")
            values += [self.model, self.label, self.at_least]
        if self.state:
            clauses.append("r.state = ?")
            values.append(self.state)
        elif self.decided is not None and not self.label:
            clauses.append("r.state IN ('live', 'retracted', 'deleted')")  # all, but now the index can be used
        if self.decided is not None:
            clauses.append("r.verdict > ''" if self.decided else "r.verdict = ''")
        if self.since:
            clauses.append("r.changed >= ?")
            values.append(as_utc(self.since))
        if self.news:
            clauses.append("r.shown < r.changed")
        if self.unpredicted_by:
            clauses.append(
                "NOT EXISTS (SELECT 1 FROM predictions p WHERE p.record_id = r.id AND p.text_hash IS r.text_hash "
                "AND p.model_id = (SELECT id FROM models WHERE name = ?))"
            )
            values.append(self.unpredicted_by)
        return clauses, values
