"""Silver disease labels: records with MeSH headings, labelled on the disease axis alone.

They warm up or add to a model and never test one. Scope and mechanism are left out, which means missing, not negative.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from exoclass.errors import CorpusError
from exoclass.mesh import DiseaseHeadings
from exoclass.readers import drop_duplicates
from exoclass.records import Deletion, Record, Reject

AXIS = "disease"
ANNOTATOR = "mesh"
MAX_TITLE = 300

_END = re.compile(r"(?<=[.?!])[\"”')\]]*\s+(?=[\"“'(\[]?[A-Z0-9])")
_ABBREVIATION = re.compile(r"(?:\b(?:vs|cf|approx|spp?|subsp|var|no|nos|st|dr|e\.g|i\.e|al)|\b[A-Z])\.$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SilverRecord:
    """A record and the disease labels of its headings.

    Parameters
    ----------
    labels
        Ids by the number of headings that give them, at most as many as the axis takes.
    unsure
        Ids beyond that number: they may hold, so they are not negative either.
    """

    record: Record
    labels: tuple[str, ...]
    unsure: tuple[str, ...] = ()

    def to_json(self, origin: str) -> str:
        """Return one line of a labelled file; `origin` names the tree files the labels come from."""
        record = self.record
        row = {
            "pmid": record.pmid,
            "doi": record.doi,
            "title": record.title,
            "abstract": record.abstract,
            "journal": record.journal,
            "year": record.year,
            AXIS: self.labels,
            "unsure": self.unsure,
            "annotators": (ANNOTATOR,),
            "guideline": origin,
        }
        return json.dumps({key: value for key, value in row.items() if value}, ensure_ascii=False)


@dataclass
class SilverTally:
    """What became of every record read, and how often each label was given."""

    read: int = 0
    labelled: int = 0
    no_disease: int = 0
    no_headings: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    rejects: list[Reject] = field(default_factory=list)


def label_by_headings(
    items: Iterable[Record | Reject | Deletion], headings: DiseaseHeadings, tally: SilverTally
) -> Iterator[SilverRecord]:
    """Yield the records whose headings name a disease, in order, and count all others in `tally`.

    A paper that comes again is a reject: its headings may differ from the first time, and a labelled file whose rows
    contradict each other cannot be used.

    Raises
    ------
    CorpusError
        At the end, if no record had headings, or none had one of a disease.
    """
    for item in drop_duplicates(items):
        if isinstance(item, Deletion):
            continue
        tally.read += 1
        if isinstance(item, Reject) or "supersedes" in item.flags:
            tally.rejects.append(item if isinstance(item, Reject) else _newer(item))
            continue
        tally.unknown.update(name for name in item.mesh_terms if name not in headings.tree)
        found = _labels(item, headings)
        if found.labels:
            tally.labelled += 1
            tally.labels.update(found.labels)
            yield found
        elif item.mesh_terms:
            tally.no_disease += 1
        else:
            tally.no_headings += 1
    if not tally.labelled:
        raise _nothing(tally)


def split_text(text: str) -> tuple[str, str]:
    """Cut a text that begins with its title into title and abstract; the title is empty where no cut is safe.

    >>> split_text("Exosomes vs. cells in E. coli sepsis: who wins? We gave both.")
    ('Exosomes vs. cells in E. coli sepsis: who wins?', 'We gave both.')
    """
    for match in _END.finditer(text, 0, MAX_TITLE):
        title = text[: match.end()].rstrip()
        if len(title.split()) > 2 and not _ABBREVIATION.search(title):
            return title.removesuffix("."), text[match.end() :]
    return "", text


def _labels(record: Record, headings: DiseaseHeadings) -> SilverRecord:
    counts = Counter(label_id for name in record.mesh_terms for label_id in headings.labels(name))
    order = headings.taxonomy.column
    ranked = tuple(sorted(counts, key=lambda label_id: (-counts[label_id], order(label_id))))
    most = headings.taxonomy.axis(AXIS).max_labels or len(ranked)
    return SilverRecord(_with_title(record), ranked[:most], ranked[most:])


def _with_title(record: Record) -> Record:
    if record.title:
        return record
    title, abstract = split_text(record.abstract)
    return replace(record, title=title, abstract=abstract)


def _newer(record: Record) -> Reject:
    file, _, line = record.source.rpartition(":")
    return Reject(file, f"line {line}", f"a newer version of PMID {record.pmid}, which was read before")


def _nothing(tally: SilverTally) -> CorpusError:
    if not tally.read:
        return CorpusError("there is no record in the input", "Give it records with MeSH headings.")
    if not tally.no_disease:
        cause = f"none of {tally.read:,} records has MeSH headings"
        return CorpusError(cause, "Give them as a list in a key named mesh, or export MEDLINE or XML from PubMed.")
    cause = f"no heading in {tally.read:,} records is a disease of the taxonomy"
    return CorpusError(cause, "Check that --tree names the MeSH tree of about the year of the records.")
