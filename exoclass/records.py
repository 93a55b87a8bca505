"""The types that flow through exoclass: what is read, what is rejected, what is predicted."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Literal

Decision = Literal["yes", "review", "no"]
"""What the model says of one label; "review" is its way of saying "not sure"."""

LabelState = Literal["yes", "no", "unsure"]
"""What an annotator says of one label; "unsure" is kept apart from "no" and masked in fitting and in metrics."""


@dataclass(frozen=True, slots=True)
class Record:
    """One bibliographic record, normalised at the door by `exoclass.readers.normalise`.

    Notes
    -----
    `flags` are words a curator can filter by: ``no_abstract``, ``other_abstract`` (the abstract is a plain-language
    or foreign-language one), ``non_english``, ``retracted``, ``book``, ``supersedes`` (a newer version of a PMID
    that came earlier in the same run). `source` is ``file:line`` and says where the record began.
    """

    title: str
    abstract: str
    pmid: str | None = None
    doi: str | None = None
    journal: str | None = None
    year: int | None = None
    authors: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    publication_types: tuple[str, ...] = ()
    mesh_terms: tuple[str, ...] = ()
    version: int = 1
    source: str = ""
    flags: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The model input: title and abstract on two lines, and nothing else.

        MeSH headings and keywords stay out because the records a curator triages do not have them yet.
        """
        return "\n".join(part for part in (self.title, self.abstract) if part)

    @property
    def name(self) -> str:
        """How people refer to the record: by PMID, else DOI, else where it was read."""
        return f"PMID {self.pmid}" if self.pmid else f"doi {self.doi}" if self.doi else self.source

    @property
    def key(self) -> str:
        """What identifies the paper: PMID, else DOI, else a hash of its text."""
        if self.pmid:
            return f"pmid:{self.pmid}"
        if self.doi:
            return f"doi:{self.doi.lower()}"
        letters = re.sub(r"\W+", "", self.text.casefold())
        return "text:" + hashlib.sha256(letters.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Reject:
    """One record, or the rest of a file, that could not be read.

    Parameters
    ----------
    file
        Path as given by the user, ``-`` for standard input.
    position
        Where it begins: ``line 12`` or ``byte 4096``.
    reason
        What is wrong, in words a curator understands.
    excerpt
        The first characters of the offending text, so that it can be found.
    """

    file: str
    position: str
    reason: str
    excerpt: str = ""


@dataclass(frozen=True, slots=True)
class Deletion:
    """A PMID that PubMed has withdrawn (``DeleteCitation`` in its update files)."""

    pmid: str
    source: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a label was given.

    Parameters
    ----------
    sentence
        The sentence that contributed most to the label's score.
    terms
        The words and phrases that contributed most, strongest first.
    """

    sentence: str
    terms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tag:
    """One label as predicted for one record; `probability` is calibrated, in [0, 1]."""

    id: str
    probability: float
    decision: Decision
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """Everything the model says of one record.

    Parameters
    ----------
    scope
        The single scope label that fits best.
    tags
        Per axis the labels by falling probability; `None` for an axis that does not apply to this scope.
    model, taxonomy
        Identity of the model (name and content hash) and fingerprint of its taxonomy.
    """

    record: Record
    scope: Tag
    tags: dict[str, tuple[Tag, ...] | None]
    model: str
    taxonomy: str
    flags: tuple[str, ...] = ()
    all_scopes: tuple[Tag, ...] = ()
