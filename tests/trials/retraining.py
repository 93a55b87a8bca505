"""Trials of labelling and retraining: too long for `make test`, run by `make trials`.

What they find is kept in ``data/reports/retraining.json`` and told in ``README.md``; a test compares the two. All is
measured with the linear model as it is shipped, on papers of train and dev; only the gate sees the held-out ones.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from exoclass.classifier import Classifier
from exoclass.corpus import Corpus, LabeledRecord, to_row
from exoclass.keeping import start_from
from exoclass.markup import Html, element
from exoclass.merging import merge
from exoclass.retraining import retrain
from exoclass.suggesting import Strategy, suggest
from exoclass.suspects import find_suspects
from exoclass.taxonomy import Taxonomy
from exoclass.trainconfig import TrainConfig
from exoclass.training import evaluate, train
from exoclass.versions import Family

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data" / "exosome_therapy.jsonl"
REPORTS = ROOT / "data" / "reports"

COMPARED: tuple[Strategy, ...] = ("mixed", "uncertainty", "random")
"""Strategies of `suggest`."""

ROUNDS = (50, 100, 200, 300, 400, 500, 600)
"""Labelled papers after each round; after the last one, all are."""

ENOUGH = 0.95
"""Of the macro-F1 with all labels."""

CONFIG, TAXONOMY = TrainConfig.load(), Taxonomy.load()


def labelling(seeds: Sequence[int]) -> dict[str, Any]:
    """Label a pool round by round, as each strategy of `suggest` says, and score a quarter of the papers kept aside."""
    curves: dict[str, list[list[float]]] = {strategy: [] for strategy in COMPARED}
    needed: dict[str, list[int]] = {strategy: [] for strategy in COMPARED}
    whole = []
    for seed in seeds:
        items = _shuffled(_learnt(), seed)
        aside, pool = Corpus(items[: len(items) // 4]), items[len(items) // 4 :]
        whole.append(_scored(pool, aside)[1])
        first = _scored(pool[: ROUNDS[0]], aside)
        for strategy in COMPARED:
            chosen, (clf, score) = list(pool[: ROUNDS[0]]), first
            found = [score]
            for size in ROUNDS[1:]:
                left = {item.record.key: item for item in pool if item not in chosen}
                records = [item.record for item in left.values()]
                wanted = suggest(records, clf, size - len(chosen), strategy=strategy, seed=seed)
                chosen += [left[suggestion.prediction.record.key] for suggestion in wanted]
                clf, score = _scored(chosen, aside)
                found.append(score)
            curves[strategy].append(found)
            needed[strategy].append(_reached([*found, whole[-1]], [*ROUNDS, len(pool)], whole[-1]))
            _say(f"labelling, seed {seed}, {strategy}: {needed[strategy][-1]} labels; {np.round(found, 3)}")
    return {
        "rounds": ROUNDS, "pool": len(pool), "whole": float(np.mean(whole)), "needed": needed,
        "macro_f1": {strategy: np.mean(found, axis=0).tolist() for strategy, found in curves.items()},
    }  # fmt: skip


def _reached(scores: list[float], sizes: list[int], whole: float) -> int:
    """Return after how many labels the score is enough, between two rounds by the straight line."""
    goal = ENOUGH * whole
    row = next(row for row, score in enumerate(scores) if score >= goal)
    if not row:
        return sizes[0]
    share = (goal - scores[row - 1]) / (scores[row] - scores[row - 1])
    return round(sizes[row - 1] + share * (sizes[row] - sizes[row - 1]))


def forgetting(labels: Sequence[str], n: int) -> list[dict[str, Any]]:
    """Retrain with `n` papers that have one label of its axis, nothing else annotated, and see how the others fare."""
    found = []
    for label in labels:
        axis = TAXONOMY.label(label).axis
        siblings = {other.id for other in TAXONOMY.labels if other.axis == axis}
        items = _shuffled(_learnt(), 0)
        new = [item for item in items if item.labels & siblings == {label}][:n]
        aside, known = items[: len(items) // 4], [item for item in items[len(items) // 4 :] if item not in new]
        aside = tuple(item for item in aside if item not in new)
        added = [
            replace(item, labels=frozenset({label}), unsure=frozenset(), annotated=frozenset({axis})) for item in new
        ]
        champion, _ = train(Corpus(tuple(known)), TAXONOMY, CONFIG)
        fresh = Corpus(tuple(added))
        merged = merge(Corpus(tuple(replace(item, split="train") for item in known)), fresh, TAXONOMY)
        start = start_from(champion, merged, fresh, champion.backend.scores(fresh.texts))
        challenger, _ = train(merged.train, TAXONOMY, CONFIG, start=start)
        (before, p), (after, q) = (
            (evaluate(clf, Corpus(aside), name=""), clf.probabilities(Corpus(aside).texts))
            for clf in (champion, challenger)
        )
        others: list[dict[str, Any]] = [
            {
                "label": old.id, "support": old.support, "f1": new_score.f1.value - old.f1.value,
                "probability": float((q - p)[:, TAXONOMY.column(old.id)].mean()),
            }
            for old, new_score in zip(before.labels, after.labels, strict=True)
            if old.id != label and old.support
        ]  # fmt: skip
        found.append({
            "label": label, "added": len(added), "aside": len(aside), "others": others,
            "axes": {
                old.id: [new_score.micro_f1.value - old.micro_f1.value, new_score.macro_f1.value - old.macro_f1.value]
                for old, new_score in zip(before.axes, after.axes, strict=True)
            },
        })  # fmt: skip
        _say(f"forgetting, {label}: {found[-1]['axes']}; " + str(sorted(round(o["f1"], 3) for o in others)))
    return found


def poisoning(seeds: Sequence[int], n: int, wrong: float) -> list[dict[str, Any]]:
    """Retrain with `n` new papers, right ones and then ones of which some have the labels of another paper."""
    found = []
    whole = Corpus.load([DATA], TAXONOMY)
    for seed in seeds:
        rng = random.Random(seed)
        new = rng.sample([item for item in whole if item.split != "test"], n)
        bad = set(rng.sample(range(n), round(wrong * n)))
        donors = [rng.choice([other for other in new if other.labels != item.labels]) for item in new]
        poisoned = [
            replace(item, labels=donor.labels, unsure=donor.unsure, annotated=donor.annotated) if row in bad else item
            for row, (item, donor) in enumerate(zip(new, donors, strict=True))
        ]
        with tempfile.TemporaryDirectory() as folder:
            base = Path(folder) / "base.jsonl"
            shutil.copy(DATA.parent / "splits.json", base.parent)
            known = [item for item in whole if item not in new]
            base.write_text("".join(json.dumps(to_row(item, TAXONOMY)) + "\n" for item in known), encoding="utf-8")
            clf, _ = train(Corpus(tuple(item for item in known if item.split != "test")), TAXONOMY, CONFIG)
            clf.save_pretrained(base.parent / "first")
            for name, items in (("right", new), ("wrong", poisoned)):
                result = retrain(
                    Corpus(tuple(items)), family=Family(base.parent / name), base=[base], model=base.parent / "first"
                )
                many, of, p = result.contradicted
                found.append({
                    "seed": seed, "labels": name, "promoted": result.promoted, "contradicted": many, "of": of, "p": p,
                    "reasons": [reason for reason in result.reasons if "contradict" not in reason],
                })  # fmt: skip
                _say(f"poisoning: {found[-1]}")
    return found


def planted(seeds: Sequence[int], share: float) -> dict[str, Any]:
    """Turn a label of some records into another of its axis, and count how many of the first suspects are these."""
    hits: dict[int, list[float]] = {}
    for seed in seeds:
        rng = random.Random(seed)
        items = list(_learnt())
        bad = rng.sample(range(len(items)), round(share * len(items)))
        for row in bad:
            items[row] = _flipped(items[row], rng)
        keys = {items[row].record.key for row in bad}
        suspects = [suspect.key for suspect in find_suspects(Corpus(tuple(items)), TAXONOMY, CONFIG, top=len(bad))]
        for k in (10, 20, len(bad)):
            hits.setdefault(k, []).append(sum(key in keys for key in suspects[:k]) / k)
        _say(f"planted errors, seed {seed}: { {k: found[-1] for k, found in hits.items()} }")
    return {"planted": len(bad), "records": len(items), "precision": {str(k): found for k, found in hits.items()}}


def _flipped(item: LabeledRecord, rng: random.Random) -> LabeledRecord:
    old = rng.choice(sorted(item.labels))
    axis = TAXONOMY.label(old).axis
    new = rng.choice([label.id for label in TAXONOMY.labels if label.axis == axis and label.id not in item.labels])
    return replace(item, labels=(item.labels - {old}) | {new}, unsure=item.unsure - {new})


def _learnt() -> tuple[LabeledRecord, ...]:
    return Corpus.load([DATA], TAXONOMY).select("train", "dev").items


def _shuffled(items: tuple[LabeledRecord, ...], seed: int) -> tuple[LabeledRecord, ...]:
    return tuple(random.Random(seed).sample(items, len(items)))


def _scored(items: Sequence[LabeledRecord], aside: Corpus) -> tuple[Classifier, float]:
    """Return a model of some papers, and the mean over axes of its macro-F1 on papers kept aside."""
    clf, _ = train(Corpus(tuple(items)), TAXONOMY, CONFIG)
    return clf, float(np.mean([axis.macro_f1.value for axis in evaluate(clf, aside, name="").axes]))


def plot(found: dict[str, Any]) -> Html:
    """Return the curves of `labelling`: macro-F1 against labelled papers."""
    left, top, width, height, low, high = 48, 12, 420, 240, 0.2, 0.8
    parts = []

    def x(size: float) -> float:
        return float(left + width * size / found["pool"])

    def y(score: float) -> float:
        return float(top + height * (high - score) / (high - low))

    for tick in np.arange(low, high + 0.01, 0.1):
        parts.append(element("line", x1=left, x2=left + width, y1=y(tick), y2=y(tick), stroke="#ddd"))
        parts.append(element("text", f"{tick:.1f}", x=left - 6, y=y(tick) + 4, text_anchor="end"))
    for size in (0, 200, 400, 600, found["pool"]):
        parts.append(element("text", str(size), x=x(size), y=top + height + 16, text_anchor="middle"))
    goal = ENOUGH * found["whole"]
    parts.append(
        element("line", x1=left, x2=left + width, y1=y(goal), y2=y(goal), stroke="#888", stroke_dasharray="5 4")
    )
    parts.append(element("text", f"{ENOUGH:.0%} of the macro-F1 with all labels", x=left + 6, y=y(goal) - 5))
    colours = {"mixed": "#0b7285", "uncertainty": "#e67700", "random": "#868e96"}
    for row, (strategy, scores) in enumerate(found["macro_f1"].items()):
        points = [*zip(found["rounds"], scores, strict=True), (found["pool"], found["whole"])]
        path = " ".join(f"{x(size):.1f},{y(score):.1f}" for size, score in points)
        parts.append(element("polyline", points=path, fill="none", stroke=colours[strategy], stroke_width=2))
        parts.append(
            element(
                "text", strategy, x=left + width - 6, y=y(0.5) + 16 * row, fill=colours[strategy], text_anchor="end"
            )
        )
    parts.append(element("text", "labelled papers", x=left + width / 2, y=top + height + 34, text_anchor="middle"))
    return element(
        "svg", *parts, xmlns="http://www.w3.org/2000/svg", viewBox="0 0 490 292", font_family="sans-serif",
        font_size=12, role="img", aria_label="macro-F1 by labelled papers and strategy",
    )  # fmt: skip


TRIALS: dict[str, Callable[[], Any]] = {
    "labelling": lambda: labelling(range(5)),
    "forgetting": lambda: forgetting(("neoplasms", "no_specific_disease"), 100),
    "poisoning": lambda: poisoning(range(10), n=50, wrong=0.2),
    "planted": lambda: planted(range(5), share=0.05),
}


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def main(names: Sequence[str]) -> None:
    """Run the trials of these names, by default all, and keep what they find."""
    warnings.filterwarnings("ignore", message="labels without a positive example")
    file = REPORTS / "retraining.json"
    for name in names or TRIALS:
        found = TRIALS[name]()
        kept = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        file.write_text(json.dumps(kept | {name: found}, indent=1) + "\n", encoding="utf-8")
        if name == "labelling":
            (REPORTS / "labelling.svg").write_text(plot(found) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
