"""New labels put into a base set: the newest label of a paper wins, changes are listed, the test split stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from exoclass.corpus import FAULTS, Corpus, Finding, LabeledRecord, by_any_name, names_of, read_labeled
from exoclass.errors import CorpusError
from exoclass.taxonomy import Taxonomy


@dataclass(frozen=True, slots=True)
class Merged:
    """The base set with new labels in it.

    Parameters
    ----------
    train, test
        What is learnt from, and what is held out.
    added, replaced
        New papers, and papers of which an older label gave way.
    conflicts
        What changed about the latter, for people.
    changed
        Labels that papers to learn from have gained or lost, and how many papers.
    """

    train: Corpus
    test: Corpus
    added: int
    replaced: int
    conflicts: tuple[str, ...]
    changed: Counter[str]


def read_new(paths: Iterable[str | Path], taxonomy: Taxonomy) -> tuple[Corpus, list[Finding]]:
    """Read new labels and return them with what is odd about them, but nothing that is wrong.

    Raises
    ------
    CorpusError
        Lists what is unfit: unknown labels with the nearest ones, two labels of one paper that disagree, …
    InputError
        If a file cannot be read.
    """
    corpus, findings = read_labeled(paths, taxonomy)
    # A row that nobody has filled in, of a table that `suggest` made, is no fault here.
    if faults := [finding for finding in findings if finding.kind in FAULTS - {"not_labelled"}]:
        shown = "; ".join(f"{finding.position}: {finding.message}" for finding in faults[:5])
        more = f"; and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise CorpusError(f"the new labels are unfit: {shown}{more}", "See all with `exoclass check`.")
    if not corpus:
        raise CorpusError("there is no new label", "Give it records with scope, disease or mechanism.")
    return corpus, findings


def merge(base: Corpus, new: Corpus, taxonomy: Taxonomy, *, new_test_split: bool = False) -> Merged:
    """Put new labels into a base set: the newest label of a paper wins, and new papers are learnt from.

    Parameters
    ----------
    new_test_split
        Let new labels of held-out papers take the place of the old ones, which changes what everything is scored on.

    Raises
    ------
    CorpusError
        Lists new labels on papers of the test split, or of the same group as one, unless these are wanted.
    """
    held_out, learnt = list(base.select("test")), list(base.select("train", "dev"))
    place = {
        name: (part, row)
        for part in (held_out, learnt)
        for row, item in enumerate(part)
        for name in names_of(item.record)
    }
    touched, conflicts, added = [], [], 0
    changes: Counter[str] = Counter()
    tested = {item.group for item in held_out}
    for item in new:
        found = by_any_name(place, item.record)
        if found is None:
            added += 1
            if item.group in tested:  # a paper and its preprint, say
                touched.append(item)
                held_out.append(replace(item, split="test"))
            else:
                learnt.append(replace(item, split="train"))  # never a paper for the test split, which is frozen
                changes.update(_positives(item))
            continue
        part, row = found
        old, part[row] = part[row], _renewed(part[row], item, taxonomy)
        if part is held_out:
            touched.append(item)
        else:
            changes.update(_positives(old) ^ _positives(part[row]))
        if changed := sorted((old.labels ^ part[row].labels) | (old.unsure ^ part[row].unsure)):
            conflicts.append(
                f"{item.record.key}: {', '.join(changed)} differ; the new label of {item.record.source} holds"
            )
    if touched and not new_test_split:
        listed = ", ".join(f"{item.record.key} ({item.record.source})" for item in touched[:10])
        more = f" and {len(touched) - 10} more" if len(touched) > 10 else ""
        raise CorpusError(
            f"{len(touched)} new labels are on papers of the frozen test split: {listed}{more}",
            "Leave them out, or change what is tested on with --new-test-split.",
        )
    replaced = len(new) - added
    return Merged(Corpus(tuple(learnt)), Corpus(tuple(held_out)), added, replaced, tuple(conflicts), changes)


def _positives(item: LabeledRecord) -> frozenset[str]:
    return item.labels - item.unsure


def _renewed(old: LabeledRecord, new: LabeledRecord, taxonomy: Taxonomy) -> LabeledRecord:
    """Return the new record with what only the old one was annotated for."""
    kept = old.annotated - new.annotated
    labels, unsure = (
        frozenset(name for name in names if taxonomy.label(name).axis in kept) for names in (old.labels, old.unsure)
    )
    return replace(
        new, labels=new.labels | labels, unsure=new.unsure | unsure, annotated=old.annotated | new.annotated,
        group=old.group, split=old.split,
    )  # fmt: skip
