"""What a retraining goes on from: the labels that new labels say nothing of stay as they are in the champion."""

from __future__ import annotations

import numpy as np

from exoclass.backend import Floats, Run
from exoclass.classifier import Classifier, axis_columns
from exoclass.corpus import Corpus, by_any_name, names_of
from exoclass.merging import Merged
from exoclass.out_of_fold import Start, cross_scores
from exoclass.trainconfig import TrainConfig
from exoclass.unseen import Unseen

MUCH = 0.1
"""A label is cross-validated anew when more than this share of its papers has changed since the last time.

Four rounds of 50 papers on 630, 4 seeds, log-loss (x 1000) of scope, disease and mechanism on a quarter of the papers:
150.4, 51.9, 128.7; with new folds each time 150.6, 51.9, 128.6; with 0.2 up to 1 % more than these.
"""


def unseen_scores(champion: Classifier, learnt: Corpus, new: Corpus, run: Run) -> Floats:
    """Return raw scores of new records, shape (n, n_labels), by models that have not seen their papers.

    Of a paper it has learnt from, the champion knows the old label by heart and would contradict every correction. So
    what was said out of fold when it was trained is taken there.

    Parameters
    ----------
    learnt
        What the champion has learnt from: a paper may have another name there.
    """
    known = {name: item for item in learnt for name in names_of(item.record)}
    found = [by_any_name(known, item.record) for item in new]
    stored = champion.unseen
    if stored is None and any(found):  # a model made before this was kept
        run.progress(f"scoring the {len(learnt):,} papers of {champion.name} by models that have not seen them")
        config = TrainConfig.of(champion)
        stored = Unseen.of(learnt.items, cross_scores(learnt, champion.taxonomy, config, run=run).scores)
    items = [old or item for old, item in zip(found, new, strict=True)]
    said = [None] * len(new) if stored is None else stored.find(items)
    others = [item.record.text for item, row in zip(new, said, strict=True) if row is None]
    fresh = iter(champion.backend.scores(others))
    return np.array([next(fresh) if row is None else row for row in said])


def start_from(champion: Classifier, merged: Merged, new: Corpus, unseen: Floats) -> Start | None:
    """Return what a training on the base set with new labels goes on from, None if it has to begin anew.

    Labels that no paper has gained or lost stay as they are. New papers may say "no" of them, which is learnt when the
    label is learnt anew: to fit all again would move a label of ten papers by ten points for a few more "no"s. If "no"
    is all that is new, this is what there is to learn.

    The other labels are learnt anew from all papers. They are calibrated on what was said out of fold before, and on
    what the champion says of new papers, until `MUCH` of their papers have changed. Only then are folds fitted.

    Parameters
    ----------
    unseen
        What `unseen_scores` returned of the new labels.
    """
    if not merged.changed or champion.unseen is None or champion.backend.reusable() is None:
        return None
    changes = np.array([merged.changed[label_id] for label_id in champion.taxonomy.ids])
    Y, mask = merged.train.binarize(champion.taxonomy)
    moved = champion.unseen.moved + changes
    kept, scored = changes == 0, moved <= MUCH * (Y & mask).sum(axis=0)
    for axis in axis_columns(champion.taxonomy):
        columns = list(axis.columns)
        if axis.single:  # the probabilities of a single choice depend on each other
            kept[columns], scored[columns] = kept[columns].all(), scored[columns].all()
    said = dict(zip([item.record.key for item in new], unseen, strict=True))
    stored = champion.unseen.find(merged.train.items)
    scores = [said.get(item.record.key, row) for item, row in zip(merged.train, stored, strict=True)]
    if any(row is None for row in scores):
        return None  # a paper that the champion was not trained on
    return Start(champion, np.array(scores), np.where(scored, moved, 0), kept, scored)
