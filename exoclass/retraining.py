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

import numpy as np

from exoclass import checkpoints
from exoclass.backend import Floats, Run
from exoclass.batch import atomic_output
from exoclass.calibration import YES
from exoclass.classifier import Classifier, axis_columns, find_model
from exoclass.corpus import Corpus, names_of, to_row
from exoclass.errors import CorpusError, ModelError
from exoclass.gate import Limits, Scored, Verdict, contradicted, judge, suspicious
from exoclass.keeping import start_from, unseen_scores
from exoclass.merging import Merged, merge
from exoclass.taxonomy import Taxonomy
from exoclass.trainconfig import TrainConfig
from exoclass.training import score_held_out, seen_in_training, train
from exoclass.versions import Family

_TURNS, _LONG_ENOUGH = 5, 0.5
"""The held-out records are scored so many times to take the time, or until so many seconds were taken."""


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
    learnt, kept
        Labels that were learnt anew, and those that are in the challenger as they are in the champion.
    """

    champion: int
    challenger: int
    merged: Merged
    verdict: Verdict
    contradicted: tuple[int, int, float]
    regressions: tuple[str, ...]
    reasons: tuple[str, ...]
    learnt: tuple[str, ...]
    kept: tuple[str, ...]
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
    afresh: bool = False,
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
        Labelled cases that once went wrong; none may go wrong that the champion gets right. By default those in
        ``regression.jsonl`` of the family, if it is there.
    trust
        Believe new labels that contradict the champion more often than held-out ones do.
    afresh
        Learn all labels anew, and with them the vocabulary, or the encoder where it learns; else those that no paper
        has gained or lost stay as they are (see `exoclass.keeping`), unless the base set has changed.

    Raises
    ------
    CorpusError, ModelError
        If the labels or the family cannot be used; nothing was changed then.
    """
    begun = time.monotonic()
    with family.lock(create=True):
        if not family.begun:
            _found(family, find_model(model))
        champion_number = family.champion().number
        champion = Classifier.from_pretrained(family.path(champion_number))
        taxonomy = champion.taxonomy
        file = family.labels(champion_number)
        earlier = Corpus.load([file], taxonomy) if file.is_file() else Corpus(())
        known = _joined(merge(Corpus.load(base, taxonomy), earlier, taxonomy, new_test_split=True))
        merged = merge(known, new, taxonomy, new_test_split=new_test_split)
        if not merged.test:
            raise CorpusError(
                "the base set has no held-out papers to judge by", "Freeze some with `exoclass data split`."
            )
        learnt = known.select("train", "dev")
        same_base = _check_base(champion, learnt, merged.test, progress)
        number = family.next_number()
        run = Run(progress, family.unfinished, shared={})
        unseen = unseen_scores(champion, learnt, new, run)
        start = start_from(champion, merged, new, unseen) if same_base and not afresh else None
        kept = () if start is None else start.labels(start.kept)
        refolded = taxonomy.ids if start is None else start.labels(~start.scored)
        learnt_anew = tuple(name for name in taxonomy.ids if name not in kept)
        progress(
            f"{len(learnt_anew)} labels are learnt anew, {len(refolded)} of them cross-validated anew; {len(kept)} "
            "stay as they are"
        )
        challenger, _ = train(
            merged.train, taxonomy, TrainConfig.of(champion), command=f"exoclass retrain {' '.join(files)}".strip(),
            start=start, run=run,
        )  # fmt: skip
        progress(f"comparing v{number} with v{champion_number} on {len(merged.test):,} held-out records")
        (before, old_seconds), (after, new_seconds) = _timed((champion, challenger), merged.test.texts)
        score_held_out(challenger, merged.test, after)
        challenger.metadata = replace(
            challenger.metadata,
            lineage={
                "parent": champion.id, "parent_digest": champion.digest, "files": list(files),
                "new_records": len(new), "replaced": merged.replaced, "new_sha256": new.fingerprint,
                "learnt": list(learnt_anew), "kept": list(kept), "cross_validated": list(refolded),
            },
        )  # fmt: skip
        _remember(family, number, earlier, new, taxonomy)  # first: a version without its labels would forget them
        challenger.save_pretrained(family.path(number), name=f"{family.folder.name}-v{number}")
        Y, mask = merged.test.binarize(taxonomy)
        verdict = judge(
            ids=taxonomy.ids, axes=axis_columns(taxonomy), Y=Y, mask=mask,
            champion=_scored(champion, before, old_seconds, family.path(champion_number)),
            challenger=_scored(challenger, after, new_seconds, family.path(number)),
            limits=limits or Limits(),
        )  # fmt: skip
        found = contradicted(champion.calibrator.probabilities(unseen), *new.binarize(taxonomy))
        doubted, p = suspicious(found, contradicted(before, Y, mask))
        doubt = (int(found.sum()), len(new), p)
        regressions = _regressions(champion, challenger, regression or family.regression, taxonomy)
        reasons = list(verdict.reasons)
        if doubted and not trust:
            reasons.append(
                f"{doubt[0]} of {doubt[1]} new records contradict the champion, more than held-out ones do "
                f"(p = {doubt[2]:.1g}): look at them with `exoclass check --suspects`, or say --trust-labels"
            )
        reasons += [f"a case that once went wrong does so again: {case}" for case in regressions]
        if not reasons:
            family.promote(number)
        checkpoints.clear(family.unfinished)
    return Retrained(
        champion_number,
        number,
        merged,
        verdict,
        doubt,
        regressions,
        tuple(reasons),
        learnt_anew,
        kept,
        time.monotonic() - begun,
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


def _check_base(champion: Classifier, learnt: Corpus, test: Corpus, progress: Callable[[str], None]) -> bool:
    """Refuse held-out papers that the champion has learnt from; return whether its base set is still the same."""
    if seen := seen_in_training(champion, test):
        raise CorpusError(
            f"{champion.name} has learnt from {seen} of the {len(test)} held-out papers, so no challenger can be "
            "compared with it",
            "Begin the family with a model that was trained without them.",
        )
    same = learnt.fingerprint == champion.metadata.corpus.get("sha256")
    if not same:
        progress(
            f"the base set is not what {champion.name} was trained on, so all labels are learnt anew: {len(learnt):,} "
            f"records to learn from, {champion.metadata.corpus.get('records', 0):,} then"
        )
    return bool(same)


def _joined(merged: Merged) -> Corpus:
    held_out = [replace(item, split="test") for item in merged.test]
    learnt = [replace(item, split="train") for item in merged.train]
    return Corpus((*learnt, *held_out))


def _remember(family: Family, number: int, earlier: Corpus, new: Corpus, taxonomy: Taxonomy) -> None:
    """Keep all labels beside the base set that a version has learnt from."""
    again = {name for item in new for name in names_of(item.record)}
    rows = [to_row(item, taxonomy) for item in earlier if not again & set(names_of(item.record))]
    rows += [to_row(item, taxonomy) for item in new]
    with atomic_output(family.labels(number), force=True) as out:
        out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _timed(both: tuple[Classifier, Classifier], texts: list[str]) -> list[tuple[Floats, float]]:
    """Return what two models say of the held-out texts, shape (n, n_labels), and the seconds that each of these takes.

    Time is that of the processor, and the two take turns: what else the machine does must not decide.
    """
    times: tuple[list[float], list[float]] = ([], [])
    probs: list[Floats] = []
    while len(times[0]) < _TURNS and sum(times[0]) < _LONG_ENOUGH:
        probs = []
        for clf, spent in zip(both, times, strict=True):
            begun = time.process_time()
            probs.append(clf.probabilities(texts))
            spent.append(time.process_time() - begun)
    return [(said, min(spent) / len(texts)) for said, spent in zip(probs, times, strict=True)]


def _scored(clf: Classifier, probs: Floats, seconds: float, folder: Path) -> Scored:
    size = sum(path.stat().st_size for path in folder.iterdir())
    return Scored(probs, clf.calibrator.decide(probs, forced=True) == YES, seconds, size)


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
