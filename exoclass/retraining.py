"""Champion and challenger: new labels make a new version, which takes the old one's place only if it is no worse.

The new labels join the base set, the newest label of a paper taking the place of an older one. The challenger is
trained with the champion's own configuration, and both are scored on the same held-out papers, which never move.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np

from exoclass.backend import Bools
from exoclass.batch import atomic_output
from exoclass.calibration import YES
from exoclass.classifier import Classifier, axis_columns, find_model
from exoclass.corpus import Corpus, names_of, to_row
from exoclass.errors import CorpusError, ModelError
from exoclass.gate import Limits, Scored, Verdict, contradicted, judge, suspicious
from exoclass.merging import Merged, merge
from exoclass.taxonomy import Taxonomy
from exoclass.training import TrainConfig, train
from exoclass.versions import Family

_TIMED = 100
"""Records on which the time per record is taken."""


@dataclass(frozen=True, slots=True)
class Retrained:
    """What came of it.

    Parameters
    ----------
    champion, challenger
        Version numbers; the challenger is kept either way.
    contradicted
        How many new records contradict the champion, of how many, and the p-value that so many would by chance.
    regressions
        Cases that once went wrong and that the challenger gets wrong though the champion does not.
    reasons
        Why the champion stays; empty if the challenger was promoted.
    """

    champion: int
    challenger: int
    merged: Merged
    verdict: Verdict
    contradicted: tuple[int, int, float]
    regressions: tuple[str, ...]
    reasons: tuple[str, ...]
    seconds: float

    @property
    def promoted(self) -> bool:
        """Whether the challenger has taken the champion's place."""
        return not self.reasons


def retrain(
    new: Corpus,
    *,
    family: Family,
    base: Sequence[str | Path],
    model: str | Path,
    files: Sequence[str] = (),
    limits: Limits | None = None,
    regression: Path | None = None,
    new_test_split: bool = False,
    trust: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Retrained:
    """Train a challenger on the base set with new labels, and promote it if the gate holds.

    Parameters
    ----------
    family
        Where versions are kept. A new one begins with a copy of `model` as its first version.
    base
        Labelled files the champion was trained on; what earlier rounds added is remembered by the family.
    files
        Names of what `new` was read from, for the lineage.
    regression
        Labelled cases that once went wrong; none may go wrong that the champion gets right.
    trust
        Believe new labels that contradict the champion more often than held-out ones do.

    Raises
    ------
    CorpusError, ModelError
        If the labels or the family cannot be used; nothing was changed then.
    """
    begun = time.monotonic()
    with family.lock():
        if not family.begun:
            _found(family, find_model(model))
        champion_number = family.champion().number
        champion = Classifier.from_pretrained(family.path(champion_number))
        taxonomy = champion.taxonomy
        earlier = family.labels(champion_number)
        known = Corpus.load(base, taxonomy)
        if earlier.is_file():
            known = _joined(merge(known, Corpus.load([earlier], taxonomy), taxonomy, new_test_split=True))
        merged = merge(known, new, taxonomy, new_test_split=new_test_split)
        if not merged.test:
            raise CorpusError(
                "the base set has no held-out papers to judge by", "Freeze some with `exoclass data split`."
            )
        number = family.next_number()
        challenger, _ = train(
            merged.train, taxonomy, _config_of(champion), command=f"exoclass retrain {' '.join(files)}".strip(),
            test=merged.test, progress=progress,
        )  # fmt: skip
        challenger.metadata = replace(
            challenger.metadata,
            lineage={
                "parent": champion.id, "parent_digest": champion.digest, "files": list(files),
                "new_records": len(new), "replaced": merged.replaced, "new_sha256": new.fingerprint,
            },
        )  # fmt: skip
        challenger.save_pretrained(family.path(number), name=f"{family.folder.name}-v{number}")
        _remember(family, number, earlier, new, taxonomy)
        progress(f"comparing v{number} with v{champion_number} on {len(merged.test):,} held-out records")
        verdict = _compare(champion, challenger, family, (champion_number, number), merged.test, limits or Limits())
        doubt = _doubts(champion, new, merged.test)
        regressions = _regressions(champion, challenger, regression, taxonomy)
        reasons = list(verdict.reasons)
        if doubt[2] < 0.01 and not trust:
            reasons.append(
                f"{doubt[0]} of {doubt[1]} new records contradict the champion, more than held-out ones do "
                f"(p = {doubt[2]:.1g}): look at them with `exoclass check --suspects`, or say --trust-labels"
            )
        reasons += [f"a case that once went wrong does so again: {case}" for case in regressions]
        if not reasons:
            family.promote(number)
    return Retrained(
        champion_number, number, merged, verdict, doubt, regressions, tuple(reasons), time.monotonic() - begun
    )


def _found(family: Family, model: Path) -> None:
    """Begin a family with a copy of a model as its first version."""
    draft = family.folder / ".v1-draft"
    try:
        if not family.path(1).exists():  # else a run was killed between this and the next step
            shutil.copytree(model, draft)
            draft.rename(family.path(1))
    except OSError as error:
        raise ModelError(f"{family.folder} cannot be begun: {error}", "Choose another folder.") from error
    family.promote(1)


def _config_of(champion: Classifier) -> TrainConfig:
    return TrainConfig.parse(champion.metadata.config, f"the configuration of {champion.name}")


def _joined(merged: Merged) -> Corpus:
    held_out = [replace(item, split="test") for item in merged.test]
    learnt = [replace(item, split="train") for item in merged.train]
    return Corpus((*learnt, *held_out))


def _remember(family: Family, number: int, earlier: Path, new: Corpus, taxonomy: Taxonomy) -> None:
    """Keep all labels beside the base set that a version has learnt from."""
    kept = Corpus.load([earlier], taxonomy) if earlier.is_file() else Corpus(())
    again = {name for item in new for name in names_of(item.record)}
    rows = [to_row(item, taxonomy) for item in kept if not again & set(names_of(item.record))]
    rows += [to_row(item, taxonomy) for item in new]
    with atomic_output(family.labels(number), force=True) as out:
        out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _compare(
    champion: Classifier, challenger: Classifier, family: Family, numbers: tuple[int, int], test: Corpus, limits: Limits
) -> Verdict:
    taxonomy = champion.taxonomy
    Y, mask = test.binarize(taxonomy)
    scored = [
        _scored(clf, test.texts, family.path(number))
        for clf, number in zip((champion, challenger), numbers, strict=True)
    ]
    return judge(
        ids=taxonomy.ids, axes=axis_columns(taxonomy), Y=Y, mask=mask, champion=scored[0], challenger=scored[1],
        limits=limits,
    )  # fmt: skip


def _scored(clf: Classifier, texts: list[str], folder: Path) -> Scored:
    probs = clf.probabilities(texts)
    sample, times = texts[:_TIMED], []
    for _ in range(3):
        begun = time.process_time()  # of the processor: what else the machine does must not decide on a model
        clf.probabilities(sample)
        times.append(time.process_time() - begun)
    size = sum(path.stat().st_size for path in folder.iterdir())
    return Scored(probs, clf.calibrator.decide(probs, forced=True) == YES, median(times) / len(sample), size)


def _doubts(champion: Classifier, new: Corpus, test: Corpus) -> tuple[int, int, float]:
    """Return how many new records contradict the champion, of how many, and how unlikely that is for good labels."""
    found: list[Bools] = []
    for corpus in (new, test):
        Y, mask = corpus.binarize(champion.taxonomy)
        found.append(contradicted(champion.probabilities(corpus.texts), Y, mask))
    _, p = suspicious(*found)
    return int(found[0].sum()), len(new), p


def _regressions(
    champion: Classifier, challenger: Classifier, file: Path | None, taxonomy: Taxonomy
) -> tuple[str, ...]:
    """Return the cases that the champion gets right on all that is annotated, and the challenger does not."""
    if file is None:
        return ()
    cases = Corpus.load([file], taxonomy)
    Y, mask = cases.binarize(taxonomy)
    right = []
    for clf in (champion, challenger):
        decided = clf.calibrator.decide(clf.probabilities(cases.texts), forced=True) == YES
        right.append(~((decided != Y) & mask).any(axis=1))
    return tuple(cases[int(row)].record.key for row in np.flatnonzero(right[0] & ~right[1]))
