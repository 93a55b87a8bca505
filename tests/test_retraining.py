"""Retraining for real on small data: merging, the gate, lineage, the same bytes twice, a run that is killed."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import DATA, Run, clean_environment

from exoclass.classifier import Classifier
from exoclass.corpus import Corpus, LabeledRecord, names_of, to_row
from exoclass.errors import CorpusError, ModelError, OutputError
from exoclass.gate import Limits, contradicted
from exoclass.keeping import MUCH
from exoclass.merging import merge, read_new
from exoclass.out_of_fold import cross_scores
from exoclass.retraining import Retrained, retrain
from exoclass.taxonomy import Taxonomy
from exoclass.trainconfig import TrainConfig
from exoclass.training import train
from exoclass.versions import Family

pytestmark = pytest.mark.filterwarnings("ignore:labels without a positive example")  # few records, many labels

LOOSE = Limits(margin=1.0, slowdown=1000.0, calibration=1.0)
"""What a model of a hundred records can keep, on a machine that does other things too."""


def write(path: Path, items: list[LabeledRecord], taxonomy: Taxonomy) -> Path:
    path.write_text("".join(json.dumps(to_row(item, taxonomy)) + "\n" for item in items), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def first_model(
    labelled: Corpus, taxonomy: Taxonomy, tiny_config: TrainConfig, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the folder of a real model that has not learnt from the held-out papers."""
    folder = tmp_path_factory.mktemp("models") / "first"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="labels without a positive example")
        clf, _ = train(labelled.select("train", "dev"), taxonomy, tiny_config)
    clf.save_pretrained(folder)
    return folder


@pytest.fixture
def base(labelled: Corpus, taxonomy: Taxonomy, tmp_path: Path) -> Path:
    """Return a base set with frozen splits."""
    shutil.copy(DATA.parent / "splits.json", tmp_path / "splits.json")
    return write(tmp_path / "base.jsonl", list(labelled), taxonomy)


@pytest.fixture
def new(labelled: Corpus, taxonomy: Taxonomy) -> Corpus:
    """Return ten records of other papers with their true labels."""
    known = {name for item in labelled for name in names_of(item.record)}
    whole = Corpus.load([DATA], taxonomy).select("train")
    return Corpus(tuple(item for item in whole if not known & set(names_of(item.record)))[:10])


Again = Callable[..., Retrained]


@pytest.fixture
def again(base: Path, first_model: Path, tmp_path: Path) -> Again:
    def call(
        new: Corpus, *, folder: str = "mine", limits: Limits = LOOSE, trust: bool = True, **more: object
    ) -> Retrained:
        return retrain(
            new, family=Family(tmp_path / folder), base=[base], model=first_model, files=["new.csv"], limits=limits,
            trust=trust, **more,  # type: ignore[arg-type]
        )  # fmt: skip

    return call


# --------------------------------------------------------------------------------------------------------- merging


def test_new_papers_are_learnt_from_and_the_test_split_stays(labelled: Corpus, new: Corpus, taxonomy: Taxonomy) -> None:
    stray = replace(new[0], group="doi:10.1/would-be-held-out-by-its-hash-0", split=None)
    merged = merge(labelled, Corpus((stray, *new[1:])), taxonomy)
    assert (merged.added, merged.replaced, merged.conflicts) == (10, 0, ())
    assert merged.changed == Counter(name for item in new for name in item.labels - item.unsure)
    assert list(merged.test) == list(labelled.select("test"))
    assert len(merged.train) == len(labelled.select("train", "dev")) + 10


def test_the_newest_label_wins_and_what_changes_is_listed(labelled: Corpus, taxonomy: Taxonomy) -> None:
    old = next(item for item in labelled.select("train") if "therapy" in item.labels and item.record.pmid)
    judged = replace(
        old, labels=frozenset({"delivery_platform"}), unsure=frozenset(), annotated=frozenset({"scope"}),
        record=replace(old.record, source="friday.csv:3"),
    )  # fmt: skip
    merged = merge(labelled, Corpus((judged,)), taxonomy)
    [found] = [item for item in merged.train if item.group == old.group]
    assert found.labels == (old.labels - {"therapy"}) | {"delivery_platform"}  # axes that were not judged stay
    assert found.annotated == old.annotated
    assert merged.changed == {"delivery_platform": 1, "therapy": 1}
    assert merged.conflicts == (
        f"{old.record.key}: delivery_platform, therapy differ; the new label of friday.csv:3 holds",
    )


def test_labels_of_held_out_papers_are_refused_with_the_list(labelled: Corpus, taxonomy: Taxonomy) -> None:
    held_out = labelled.select("test")[0]
    with pytest.raises(CorpusError) as refused:
        merge(labelled, Corpus((held_out,)), taxonomy)
    assert f"1 new labels are on papers of the frozen test split: {held_out.record.key}" in str(refused.value)
    assert "--new-test-split" in str(refused.value)
    changed = replace(held_out, labels=held_out.labels ^ {"eye"})
    merged = merge(labelled, Corpus((changed,)), taxonomy, new_test_split=True)
    assert len(merged.test) == len(labelled.select("test"))
    assert changed.labels in [item.labels for item in merged.test]


def test_a_new_paper_of_a_held_out_group_is_no_training_data(labelled: Corpus, new: Corpus, taxonomy: Taxonomy) -> None:
    preprint = replace(new[0], group=labelled.select("test")[0].group)
    with pytest.raises(CorpusError, match=preprint.record.key):
        merge(labelled, Corpus((preprint,)), taxonomy)
    merged = merge(labelled, Corpus((preprint,)), taxonomy, new_test_split=True)
    assert len(merged.test) == len(labelled.select("test")) + 1
    assert list(merged.train) == list(labelled.select("train", "dev"))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"scope": "therpy"}], "there is no label 'therpy'. Did you mean therapy?"),
        ([{"scope": "therapy"}, {"scope": "not_ev"}], "with other labels: not_ev, therapy"),
        ([], "is empty"),
    ],
)
def test_unfit_labels_are_refused_with_the_place(
    tmp_path: Path, taxonomy: Taxonomy, rows: list[dict[str, str]], message: str
) -> None:
    record = {"pmid": "7", "title": "Exosomes heal", "abstract": "Wounds closed."}
    file = tmp_path / "new.jsonl"
    file.write_text("".join(json.dumps(record | row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(Exception, match=r"new\.jsonl") as refused:
        read_new([file], taxonomy)
    assert message in str(refused.value)


def test_a_row_that_was_not_filled_in_is_told_and_left_out(tmp_path: Path, taxonomy: Taxonomy) -> None:
    file = tmp_path / "new.csv"
    file.write_text("pmid,title,abstract,scope\n1,A,B.,therapy\n2,C,D.,\n", encoding="utf-8")
    corpus, findings = read_new([file], taxonomy)
    assert [item.record.pmid for item in corpus] == ["1"]
    assert [(finding.position, finding.message) for finding in findings] == [(f"{file}:3", "no axis is labelled")]
    file.write_text("pmid,title,abstract,scope\n2,C,D.,\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="there is no new label"):
        read_new([file], taxonomy)


# --------------------------------------------------------------------------------------------------------- retraining


def test_a_challenger_becomes_champion_with_its_lineage(again: Again, new: Corpus, tmp_path: Path) -> None:
    result = again(new)
    assert result.promoted
    assert (result.champion, result.challenger) == (1, 2)
    family = Family(tmp_path / "mine")
    assert family.champion().number == 2
    clf = Classifier.from_pretrained(tmp_path / "mine")
    assert clf.name == "mine-v2"
    lineage = clf.metadata.lineage
    assert lineage["parent"] == Classifier.from_pretrained(family.path(1)).id
    assert (lineage["files"], lineage["new_records"], lineage["replaced"]) == (["new.csv"], 10, 0)
    card = (family.path(2) / "README.md").read_text(encoding="utf-8")
    assert f"Retrained from `{lineage['parent']}` with 10 new records (`new.csv`)" in card


def test_the_next_round_builds_on_the_last(again: Again, new: Corpus, taxonomy: Taxonomy, tmp_path: Path) -> None:
    first = again(new[:4])
    second = again(new[4:6])
    assert (second.champion, second.challenger) == (2, 3)
    assert len(second.merged.train) == len(first.merged.train) + 2
    kept = Corpus.load([Family(tmp_path / "mine").labels(3)], taxonomy)
    assert {item.record.key for item in kept} == {item.record.key for item in new[:6]}


def test_the_same_input_gives_the_same_bytes(again: Again, new: Corpus, tmp_path: Path) -> None:
    again(new, folder="one/mine")
    again(new, folder="two/mine")
    files = sorted((tmp_path / "one/mine/v2").iterdir())
    assert len(files) >= 5
    for file in files:
        assert file.read_bytes() == (tmp_path / "two/mine/v2" / file.name).read_bytes(), file.name


def test_what_fails_the_gate_stays_out(again: Again, new: Corpus, tmp_path: Path) -> None:
    result = again(new, limits=Limits(margin=1.0, slowdown=1e-6, calibration=1.0))
    assert not result.promoted
    assert "ms per record" in result.reasons[0]
    family = Family(tmp_path / "mine")
    assert family.champion().number == 1
    assert family.versions() == (1, 2)  # it is kept, and can be promoted by hand


def test_wrong_labels_are_stopped_for_what_they_are(labelled: Corpus, again: Again) -> None:
    others = {"therapy": "not_ev", "not_ev": "therapy"}
    wrong = []
    for item in labelled.select("train"):
        if scope := others.keys() & item.labels:
            turned = (item.labels - scope) | {others[name] for name in scope}
            wrong.append(replace(item, labels=frozenset(turned)))
    result = again(Corpus(tuple(wrong)), trust=False)
    many, of, p = result.contradicted
    assert many > of / 2
    assert p < 0.01
    assert any("new records contradict the champion" in reason for reason in result.reasons)


def test_a_hundred_labels_of_one_disease_move_no_other_label_by_a_point(taxonomy: Taxonomy, tmp_path: Path) -> None:
    whole = Corpus.load([DATA], taxonomy)
    test, learnt = whole.select("test"), whole.select("train", "dev")
    diseases = {label.id for label in taxonomy.labels if label.axis == "disease"}
    one_sided = [item for item in learnt if item.labels & diseases == {"neoplasms"}][:100]
    added = [
        replace(item, labels=frozenset({"neoplasms"}), unsure=frozenset(), annotated=frozenset({"disease"}))
        for item in one_sided
    ]
    assert len(added) == 100
    known = [item for item in learnt if item not in one_sided]
    train(Corpus(tuple(known)), taxonomy, TrainConfig.load())[0].save_pretrained(tmp_path / "first")
    shutil.copy(DATA.parent / "splits.json", tmp_path / "splits.json")
    base = write(tmp_path / "base.jsonl", [*known, *test], taxonomy)
    family = Family(tmp_path / "mine")
    result = retrain(Corpus(tuple(added)), family=family, base=[base], model=tmp_path / "first", limits=LOOSE)
    assert result.learnt == ("neoplasms",)
    gains = {label.name: label.gain.value for label in result.verdict.labels}
    assert len(gains) > 40
    assert {name: gain for name, gain in gains.items() if abs(gain) > 0.01}.keys() <= {"neoplasms"}
    before, after = (Classifier.from_pretrained(family.path(number)) for number in (1, 2))
    moved = (before.probabilities(test.texts) != after.probabilities(test.texts)).any(axis=0)
    assert [taxonomy.ids[column] for column in np.flatnonzero(moved)] == ["neoplasms"]


def test_labels_that_no_paper_gained_or_lost_stay_and_the_card_says_which(
    again: Again, labelled: Corpus, taxonomy: Taxonomy, tmp_path: Path
) -> None:
    old = next(item for item in labelled.select("train") if "cardiovascular" in item.labels)
    changed = replace(old, labels=(old.labels - {"cardiovascular"}) | {"eye"})
    result = again(Corpus((changed,)))
    assert set(result.learnt) == {"cardiovascular", "eye"} == set(result.merged.changed)
    assert set(result.kept) == set(taxonomy.ids) - set(result.learnt)
    family = Family(tmp_path / "mine")
    clf, parent = (Classifier.from_pretrained(family.path(number)) for number in (2, 1))
    assert clf.metadata.lineage["kept"] == list(result.kept)
    card = (family.path(2) / "README.md").read_text(encoding="utf-8")
    assert "Learnt anew: cardiovascular, eye. The other 45 labels, which no paper gained or lost, are as they" in card
    assert parent.unseen is not None
    assert clf.unseen is not None
    [kept, learnt] = [taxonomy.column(name) for name in ("neoplasms", "eye")]
    assert np.array_equal(clf.unseen.scores[:, kept], parent.unseen.scores[:, kept])
    assert not np.array_equal(clf.unseen.scores[:, learnt], parent.unseen.scores[:, learnt])
    afresh = again(Corpus((changed,)), folder="other", afresh=True)
    assert afresh.kept == ()
    other = Classifier.from_pretrained(tmp_path / "other")
    assert not np.array_equal(
        other.probabilities(labelled.texts)[:, kept], parent.probabilities(labelled.texts)[:, kept]
    )


def test_a_label_that_hardly_changes_is_calibrated_on_what_was_said_unseen_before(
    again: Again, labelled: Corpus, new: Corpus, taxonomy: Taxonomy, tmp_path: Path
) -> None:
    learnt = labelled.select("train", "dev")
    many = sum("neoplasms" in item.labels for item in learnt)
    added = [
        replace(item, labels=frozenset({"neoplasms"}), unsure=frozenset(), annotated=frozenset({"disease"}))
        for item in new
    ]
    assert MUCH * (many + 1) >= 1
    assert len(added) > MUCH * (many + len(added))
    again(Corpus(tuple(added[:1])))
    again(Corpus(tuple(added[1:])))
    folders = [tmp_path / "mine" / f"v{number}" for number in (1, 2, 3)]
    models = [Classifier.from_pretrained(folder) for folder in folders]
    unseen = [clf.unseen for clf in models if clf.unseen is not None]
    column = taxonomy.column("neoplasms")
    assert [one.moved[column] for one in unseen] == [0, 1, 0]
    first, second, third = (np.array(one.find(learnt.items))[:, column] for one in unseen)
    assert np.array_equal(first, second)
    assert not np.array_equal(second, third)
    said = models[0].backend.scores([added[0].record.text])
    assert np.array_equal(np.array(unseen[1].find(added[:1])), said.astype(np.float16))
    before, after = (clf.backend.scores(learnt.texts)[:, column] for clf in models[:2])
    assert not np.array_equal(before, after)  # it was learnt anew all the same
    cards = [(folder / "README.md").read_text(encoding="utf-8") for folder in folders[1:]]
    assert (
        "Cross-validated anew: none. Out-of-fold scores of the other labels are those of earlier versions" in cards[0]
    )
    assert "Cross-validated anew" not in cards[1]


def test_a_scope_that_changes_has_the_whole_axis_learnt_anew(
    again: Again, labelled: Corpus, taxonomy: Taxonomy
) -> None:
    old = next(item for item in labelled.select("train") if "therapy" in item.labels)
    changed = replace(old, labels=(old.labels - {"therapy"}) | {"not_ev"})
    scopes = {taxonomy.ids[column] for column in taxonomy.columns("scope")}
    assert set(again(Corpus((changed,))).learnt) == scopes


def test_all_is_learnt_anew_where_nothing_can_be_kept(
    again: Again, labelled: Corpus, taxonomy: Taxonomy, base: Path, first_model: Path, tmp_path: Path
) -> None:
    same = Corpus(labelled.select("train")[:3].items)
    assert again(same, folder="said").kept == ()  # nothing that the champion was not told
    clf = Classifier.from_pretrained(first_model)
    clf.unseen = None
    clf.save_pretrained(tmp_path / "old")
    old = next(item for item in labelled.select("train") if "cardiovascular" in item.labels)
    changed = Corpus((replace(old, labels=old.labels - {"cardiovascular"}),))
    family = Family(tmp_path / "older")
    assert retrain(changed, family=family, base=[base], model=tmp_path / "old", limits=LOOSE, trust=True).kept == ()
    assert again(changed).kept
    write(base, list(labelled)[:-1], taxonomy)
    assert again(changed, folder="elsewhere").kept == ()  # another base set


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "a model made before they were"])
def test_papers_labelled_anew_are_judged_by_models_that_have_not_seen_them(
    labelled: Corpus, taxonomy: Taxonomy, tiny_config: TrainConfig, first_model: Path, base: Path, tmp_path: Path,
    kept: bool,
) -> None:  # fmt: skip
    learnt = labelled.select("train", "dev")
    clf = Classifier.from_pretrained(first_model)
    Y, mask = learnt.binarize(taxonomy)
    unseen = clf.calibrator.probabilities(cross_scores(learnt, taxonomy, tiny_config).scores)
    expected = int(contradicted(unseen, Y, mask).sum())
    assert expected > int(contradicted(clf.probabilities(learnt.texts), Y, mask).sum())  # it knows these by heart
    if not kept:
        clf.unseen = None
    clf.save_pretrained(tmp_path / "first")
    family = Family(tmp_path / "mine")
    result = retrain(learnt, family=family, base=[base], model=tmp_path / "first", limits=LOOSE)
    assert result.contradicted[:2] == (expected, len(learnt))


def test_a_champion_that_has_learnt_from_the_held_out_papers_is_refused(
    base: Path, new: Corpus, tiny_model: Path, tmp_path: Path
) -> None:
    family = Family(tmp_path / "mine")
    with pytest.raises(CorpusError, match=r"has learnt from 17 of the 17 held-out papers"):
        retrain(new, family=family, base=[base], model=tiny_model)
    assert family.versions() == (1,)


def test_another_base_set_is_said(again: Again, new: Corpus, labelled: Corpus, taxonomy: Taxonomy, base: Path) -> None:
    said: list[str] = []
    again(new[:4], progress=said.append)
    again(new[4:6], progress=said.append)
    assert not [line for line in said if "base set" in line]
    write(base, list(labelled)[:-1], taxonomy)
    again(new[6:], progress=said.append)
    assert [line for line in said if line.startswith("the base set is not what mine-v3 was trained on, so all ")]


def test_a_case_that_went_wrong_once_must_not_again(
    labelled: Corpus, taxonomy: Taxonomy, again: Again, first_model: Path, tmp_path: Path
) -> None:
    clf = Classifier.from_pretrained(first_model)
    item = next(
        item for item in labelled.select("train")
        if "therapy" in item.labels and next(clf.predict([item.record])).scope.id == "therapy"
    )  # fmt: skip
    case = replace(item, labels=frozenset({"therapy"}), unsure=frozenset(), annotated=frozenset({"scope"}))
    flipped = Corpus(
        tuple(
            replace(
                case,
                labels=frozenset({"not_ev"}),
                record=replace(item.record, pmid=str(900 + n), doi=None),
                group=f"pmid:{900 + n}",
            )
            for n in range(12)
        )
    )
    (tmp_path / "mine").mkdir()
    write(tmp_path / "mine" / "regression.jsonl", [case], taxonomy)  # the family keeps it, so it need not be named
    result = again(flipped)
    assert result.regressions == (item.record.key,)
    assert f"a case that once went wrong does so again: {item.record.key}" in result.reasons


def test_a_base_without_held_out_papers_cannot_judge(
    labelled: Corpus, new: Corpus, taxonomy: Taxonomy, first_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "b").mkdir()
    learnt = [replace(item, group=item.group) for item in labelled.select("train")]
    shutil.copy(DATA.parent / "splits.json", tmp_path / "b" / "splits.json")
    file = write(tmp_path / "b" / "base.jsonl", learnt, taxonomy)
    with pytest.raises(CorpusError, match="has no held-out papers"):
        retrain(new, family=Family(tmp_path / "mine"), base=[file], model=first_model)


# --------------------------------------------------------------------------------------------------- the command line


def test_the_command_shows_what_changed_and_says_3_when_it_refuses(
    run: Run, base: Path, new: Corpus, taxonomy: Taxonomy, first_model: Path, tmp_path: Path
) -> None:
    write(tmp_path / "new.jsonl", list(new), taxonomy)
    args = ("new.jsonl", "--family", "mine", "--base", base, "-m", first_model, "--slowdown", "1000", "--trust-labels")
    done = run("retrain", *args, "--margin", "1", "--calibration", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("10 new papers, 0 labelled anew; ")
    assert "scope: macro" in done.stdout
    assert done.stderr.splitlines()[-1].startswith("v2 is the champion of mine now")
    refused = run("retrain", *args, "--regression", "none.jsonl", cwd=tmp_path)
    assert refused.returncode == 1
    held_out = list(Corpus.load([base], taxonomy).select("test"))[:1]
    write(tmp_path / "new.jsonl", held_out, taxonomy)
    refused = run("retrain", *args, cwd=tmp_path)
    assert refused.returncode == 1
    assert "are on papers of the frozen test split" in refused.stderr
    assert run("retrain", "--family", "mine", cwd=tmp_path).returncode == 2
    assert Family(tmp_path / "mine").champion().number == 2


def test_a_killed_run_leaves_the_champion_and_the_next_one_works(
    base: Path, new: Corpus, taxonomy: Taxonomy, first_model: Path, tmp_path: Path
) -> None:
    write(tmp_path / "new.jsonl", list(new), taxonomy)
    command = [
        sys.executable, "-m", "exoclass", "retrain", "new.jsonl", "--family", "mine", "--base", str(base), "-m",
        str(first_model), "--margin", "1", "--slowdown", "1000", "--calibration", "1", "--trust-labels",
    ]  # fmt: skip
    family = Family(tmp_path / "mine")
    process = subprocess.Popen(command, cwd=tmp_path, env=clean_environment(), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not family.path(1).is_dir() and process.poll() is None and time.monotonic() < deadline:
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    if family.path(2).is_dir():
        pytest.skip("the run was over before it could be killed")
    done = subprocess.run(command, cwd=tmp_path, env=clean_environment(), capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert family.champion().number == 2
    assert not list(family.folder.glob(".v*-*"))


def test_a_second_run_at_once_is_refused(again: Again, new: Corpus, tmp_path: Path) -> None:
    with Family(tmp_path / "mine").lock(create=True), pytest.raises(ModelError, match="is being changed by process"):
        again(new)


def test_a_full_disk_leaves_champion_and_labels_as_they_were(
    again: Again, new: Corpus, taxonomy: Taxonomy, tmp_path: Path
) -> None:
    again(new[:4])
    family = Family(tmp_path / "mine")
    before = {path: path.read_bytes() for path in family.folder.rglob("*") if path.is_file()}
    champion = family.champion().number
    largest = max(path.stat().st_size for path in family.path(champion).iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest // 2, hard))  # a write beyond it fails, as on a full disk
    try:
        with pytest.raises(OutputError, match="cannot be written"):
            again(new[4:])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert family.champion().number == champion
    assert {path: path.read_bytes() for path in before} == before
    found = again(new[4:])
    assert found.challenger not in {champion, found.champion}
    assert Classifier.from_pretrained(family.path(found.challenger)).name == f"mine-v{found.challenger}"  # it is whole
    kept = Corpus.load([family.labels(found.challenger)], taxonomy)
    assert {item.record.key for item in kept} == {item.record.key for item in new}
