"""The curator's library: what was fetched, what the models said of it, and what was decided."""

from __future__ import annotations

from exoclass.library.adding import Added, Additions, Outcome
from exoclass.library.entries import Entry, Revision
from exoclass.library.filters import Filter
from exoclass.library.judgements import Decision, SavedPredictions, StoredPrediction, Verdict
from exoclass.library.queries import Query, Window
from exoclass.library.store import Library, Marked
from exoclass.library.suggestions import Suggestion

__all__ = [
    "Added",
    "Additions",
    "Decision",
    "Entry",
    "Filter",
    "Library",
    "Marked",
    "Outcome",
    "Query",
    "Revision",
    "SavedPredictions",
    "StoredPrediction",
    "Suggestion",
    "Verdict",
    "Window",
]
