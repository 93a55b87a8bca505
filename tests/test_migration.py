"""Changing the labels of the shipped taxonomy, data and model: nothing silently negative, untouched scores exact."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import DATA, Run, make_record

from exoclass.classifier import Classifier
from exoclass.corpus import Corpus, read_labeled
from exoclass.errors import ModelError, TaxonomyError
from exoclass.migration import Migration
from exoclass.relabelling import largest_changes, migrate_model, migrate_rows
from exoclass.taxonomy import Taxonomy

STEPS = """
version = "1.1"
[[rename]]
from = "eye"
to = "ophthalmic"
[[merge]]
from = ["oral_dental", "ear_nose_throat"]
to = "head_neck"
wording = { name = "Head and neck" }
[[split]]
from = "renal_urinary"
to = [{ id = "renal", name = "Kidney" }, { id = "urinary", name = "Urinary tract" }]
[[retire]]
id = "ageing_frailty"
[[add]]
id = "rare_disease"
axis = "disease"
name = "Rare disease"
definition = "A disease that fewer than one in 2,000 people have."
include = []
exclude = []
cues = []
mesh = []
parent = ""
"""
GONE = {"eye", "oral_dental", "ear_nose_throat", "renal_urinary", "ageing_frailty"}


NEW_SCOPE = """
version = "1.1"
[[add]]
id = "review_article"
axis = "scope"
name = "Review"
definition = "A review."
include = []
exclude = []
cues = []
mesh = []
parent = ""
"""


def load(folder: Path, taxonomy: Taxonomy, steps: str) -> Migration:
    (folder / "change.toml").write_text(steps, encoding="utf-8")
    return Migration.load(folder / "change.toml", taxonomy)


@pytest.fixture
def migration(tmp_path: Path, taxonomy: Taxonomy) -> Migration:
    return load(tmp_path, taxonomy, STEPS)


def moved(migration: Migration, **row: object) -> dict[str, object]:
    [found] = migrate_rows([{"scope": "therapy", "mechanism": None, "unsure": []} | row], migration)
    return found


def test_the_new_taxonomy_has_what_was_asked_for(migration: Migration, taxonomy: Taxonomy) -> None:
    new = migration.new
    assert not GONE & set(new.ids)
    assert {"ophthalmic", "head_neck", "renal", "urinary", "rare_disease"} <= set(new.ids)
    assert new.label("head_neck").name == "Head and neck"
    assert new.label("renal").include == taxonomy.label("renal_urinary").include
    untouched = [name for name in taxonomy.ids if name not in GONE]
    assert [name for name in new.ids if name in untouched] == untouched
    assert new.version == "1.1"
    assert len(migration.kept) == len(taxonomy.ids) - 4  # all but merged, split and retired ones


def test_renamed_and_merged_labels_are_replaced(migration: Migration) -> None:
    assert moved(migration, disease=["eye"])["disease"] == ["ophthalmic"]
    assert moved(migration, disease=["oral_dental", "ear_nose_throat"])["disease"] == ["head_neck"]
    assert moved(migration, disease="eye; liver")["disease"] == ["liver", "ophthalmic"]
    row = moved(migration, disease=["liver"], unsure=["ear_nose_throat"])
    assert row["unsure"] == ["head_neck", "rare_disease"]
    sure = moved(migration, disease=["oral_dental"], unsure=["ear_nose_throat"])
    assert (sure["disease"], sure["unsure"]) == (["head_neck"], ["rare_disease"])


def test_parts_of_a_split_label_are_unsure_until_somebody_judges(migration: Migration) -> None:
    row = moved(migration, disease=["renal_urinary", "liver"])
    assert row["disease"] == ["liver"]
    assert row["unsure"] == ["renal", "urinary", "rare_disease"]
    assert moved(migration, disease=["liver"])["unsure"] == ["rare_disease"]  # what had not the whole has no part


def test_a_split_may_say_which_part_has_the_old_examples(tmp_path: Path, taxonomy: Taxonomy) -> None:
    steps = 'version = "2"\n[[split]]\nfrom = "renal_urinary"\nto = [{id = "renal"}, {id = "urinary"}]\n'
    migration = load(tmp_path, taxonomy, steps + 'positives = "renal"\n')
    row = moved(migration, disease=["renal_urinary", "liver"])
    assert (row["disease"], row["unsure"]) == (["liver", "renal"], ["urinary"])
    doubtful = moved(migration, disease=["liver"], unsure=["renal_urinary"])
    assert (doubtful["disease"], doubtful["unsure"]) == (["liver"], ["renal", "urinary"])


def test_what_is_unsure_stays_so_where_an_axis_has_no_label(tmp_path: Path, taxonomy: Taxonomy) -> None:
    migration = load(tmp_path, taxonomy, 'version = "2"\n[[rename]]\nfrom = "therapy"\nto = "treatment"\n')
    row = moved(migration, scope="", disease=["liver"], unsure=["therapy", "delivery_platform"])
    assert (row["scope"], row["unsure"]) == ("", ["treatment", "delivery_platform"])


@pytest.mark.parametrize(
    ("steps", "disease", "mechanism"),
    [
        ('[[merge]]\nfrom = ["therapy", "delivery_platform"]\nto = "treatment"\n', {"treatment"}, {"treatment"}),
        ('[[split]]\nfrom = "therapy"\nto = [{id = "acute"}, {id = "chronic"}]\n', {"acute", "chronic"}, {"acute"}),
        ('[[retire]]\nid = "basic_methods"\n', {"therapy"}, {"therapy", "delivery_platform"}),
    ],
)
def test_axes_apply_to_the_scopes_that_take_the_place_of_old_ones(
    tmp_path: Path, taxonomy: Taxonomy, steps: str, disease: set[str], mechanism: set[str]
) -> None:
    new = load(tmp_path, taxonomy, 'version = "2"\n' + steps).new
    assert disease <= set(new.axis("disease").applies_to)
    assert mechanism <= set(new.axis("mechanism").applies_to)
    assert "biomarker_diagnostic" not in new.axis("mechanism").applies_to


def test_an_axis_whose_only_label_is_retired_is_not_annotated(migration: Migration) -> None:
    assert moved(migration, disease=["ageing_frailty"])["disease"] is None
    assert moved(migration, disease=["ageing_frailty", "liver"])["disease"] == ["liver"]
    assert moved(migration, disease=None)["unsure"] == []


def test_the_shipped_data_are_fit_after_it(migration: Migration, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]
    file = tmp_path / "new.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in migrate_rows(rows, migration)), encoding="utf-8")
    corpus, findings = read_labeled([file], migration.new)
    assert len(corpus) == len(rows)
    assert [finding for finding in findings if finding.kind == "unknown_label"] == []
    for name in ("liver", "neoplasms", "therapy", "angiogenesis"):
        before = sum(name in [row["scope"], *(row["disease"] or []), *(row["mechanism"] or [])] for row in rows)
        assert sum(name in item.labels for item in corpus) == before


@pytest.mark.parametrize("model", ["tfidf", "transformer", "blend"])
def test_untouched_labels_keep_their_scores_exactly(
    model: str, migration: Migration, taxonomy: Taxonomy, tmp_path: Path
) -> None:
    old = Classifier.from_pretrained(model)
    new = migrate_model(old, migration)
    texts = Corpus.load([DATA], taxonomy).texts[:12]
    before, after = old.probabilities(texts), new.probabilities(texts)
    for name, target in migration.kept.items():
        assert np.array_equal(before[:, taxonomy.column(name)], after[:, migration.new.column(target)]), name
    fresh = [migration.new.column(name) for name in ("head_neck", "renal", "urinary", "rare_disease")]
    assert (after[:, fresh] < 0.01).all()
    new.save_pretrained(tmp_path / "model")
    loaded = Classifier.from_pretrained(tmp_path / "model")
    assert np.array_equal(loaded.probabilities(texts), after)
    [prediction] = loaded.predict([make_record()])
    assert "skin_wound" in {tag.id for tag in prediction.tags["disease"] or () if tag.decision == "yes"}


def test_a_scope_that_is_added_takes_nothing_from_the_others_in_a_blend(tmp_path: Path, taxonomy: Taxonomy) -> None:
    migration = load(tmp_path, taxonomy, NEW_SCOPE)
    old = Classifier.from_pretrained("blend")
    new = migrate_model(old, migration)
    assert len(new.backend.single_) == len(old.backend.single_) + 1  # type: ignore[attr-defined]
    texts = Corpus.load([DATA], taxonomy).texts[:12]
    assert max(largest_changes(old, new, migration, texts).values()) < 1e-5


@pytest.mark.parametrize("steps", [NEW_SCOPE, 'version = "2"\n[[retire]]\nid = "ageing_frailty"\n'])
def test_with_more_or_fewer_labels_what_was_learnt_stays_and_sums_are_rounded_elsewhere(
    tmp_path: Path, taxonomy: Taxonomy, steps: str
) -> None:
    migration = load(tmp_path, taxonomy, steps)
    old = Classifier.from_pretrained()
    new = migrate_model(old, migration)
    pairs = [(taxonomy.column(name), migration.new.column(target)) for name, target in migration.kept.items()]
    before, after = map(list, zip(*pairs, strict=True))
    assert len(migration.new.ids) != len(taxonomy.ids)
    assert np.array_equal(old.backend.weights_[:, before], new.backend.weights_[:, after])  # type: ignore[attr-defined]
    assert np.array_equal(old.backend.intercepts_[before], new.backend.intercepts_[after])  # type: ignore[attr-defined]
    for name, values in old.calibrator.to_dict().items():
        assert np.array_equal(np.array(values)[before], np.array(new.calibrator.to_dict()[name])[after]), name
    texts = Corpus.load([DATA], taxonomy).texts[:40]
    assert max(largest_changes(old, new, migration, texts).values()) < 1e-5
    added = [migration.new.column(name) for name in migration.added]
    assert (new.probabilities(texts)[:, added] == 0).all()


def test_a_model_whose_single_choice_would_shift_is_refused(tmp_path: Path, taxonomy: Taxonomy) -> None:
    migration = load(tmp_path, taxonomy, 'version = "2"\n[[retire]]\nid = "not_ev"\n')
    with pytest.raises(ModelError, match="scope takes one label, so without not_ev the probabilities of the others"):
        migrate_model(Classifier.from_pretrained(), migration)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ('version = "1.1"\n[[rename]]\nfrom = "eyes"\nto = "x"\n', "there is no label 'eyes'. Did you mean eye"),
        ('version = "1.1"\n[[retire]]\nid = "eye"\n[[rename]]\nfrom = "eye"\nto = "x"\n', "changed by another step"),
        ('version = "1.0"\n[[retire]]\nid = "eye"\n', "needs a version of its own"),
        ('version = "1.1"\n[[rename]]\nfrom = "eye"\nto = "liver"\n', "liver is a label of the old taxonomy"),
        (
            'version = "1.1"\n[[rename]]\nfrom = "eye"\nto = "liver"\n[[rename]]\nfrom = "liver"\nto = "eye"\n',
            "an id never changes its meaning",
        ),
        (
            'version = "1.1"\n[[retire]]\nid = "liver"\n[[rename]]\nfrom = "eye"\nto = "liver"\n',
            "an id never changes its meaning",
        ),
        ('version = "1.1"\n[[rename]]\nfrom = "eye"\nto = "x"\nwording = { id = "y" }\n', "cannot change id"),
        ('version = "1.1"\n[[rename]]\nfrom = "eye"\nto = "x"\nword = "y"\n', "unknown key 'word'"),
        ('version = "1.1"\n[[merge]]\nfrom = ["eye", "angiogenesis"]\nto = "x"\n', "angiogenesis of mechanism"),
        ('version = "1.1"\n[[merge]]\nfrom = ["eye"]\nto = "x"\n', "fewer than two labels"),
        ('version = "1.1"\n[[split]]\nfrom = "eye"\nto = []\n', "fewer than two parts"),
        (
            'version = "1.1"\n[[split]]\nfrom = "eye"\nto = [{ id = "a", axis = "mechanism" }, { id = "b" }]\n',
            "cannot change axis",
        ),
        (
            'version = "1.1"\n[[split]]\nfrom = "eye"\nto = [{ id = "a" }, { id = "b" }]\npositives = "c"\n',
            "positives = 'c' is none of its parts",
        ),
        (
            'version = "1.1"\n[[merge]]\nfrom = ["therapy", "biomarker_diagnostic"]\nto = "x"\n',
            "merges scopes to which mechanism applies with others",
        ),
        ('version = "1.1"\nrename = 3\n', "rename is no list of steps"),
        ('version = "1.1"\n[[rename]]\nfrom = "eye"\n', "rename number 1 is not understood"),
        ('version = "1.1"\n[[drop]]\nid = "eye"\n', "unknown key 'drop'"),
        ('version = "1.1"\n[[add]]\nid = "x"\naxis = "disease"\n', "name is missing or no text"),
        (
            'version = "1.1"\n[[retire]]\nid = "therapy"\n[[retire]]\nid = "delivery_platform"\n',
            "every scope to which mechanism applies is retired",
        ),
    ],
)
def test_a_faulty_step_is_named(tmp_path: Path, taxonomy: Taxonomy, steps: str, message: str) -> None:
    with pytest.raises(TaxonomyError) as error:
        load(tmp_path, taxonomy, steps)
    assert message in str(error.value)
    assert "change.toml" in str(error.value)


def test_the_command_writes_all_or_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "change.toml").write_text(STEPS, encoding="utf-8")
    args = ("labels", "migrate", "change.toml", DATA, "-o", "new", "--model", "tfidf")
    done = run(*args, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == (
        "the model never predicts these until it is trained again: renal, urinary, head_neck, rare_disease\n"
        "written to new\n"
    )
    told = done.stdout.splitlines()
    assert [line.split()[0] for line in told[:-2]] == ["step", "split", "split", "rename", "merge", "add", "retire"]
    assert told[-2:] == [
        "keep    42 labels, 42 of them in as many records as before",
        "kept and renamed labels: the probabilities of tfidf move not at all",
    ]
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        "taxonomy.json", "exosome_therapy.jsonl", "splits.json", "model",
    }  # fmt: skip
    listed = run("labels", "--taxonomy", "new/taxonomy.json", "--axis", "disease", cwd=tmp_path)
    assert "  ophthalmic  (" in listed.stdout
    assert run("check", "new/exosome_therapy.jsonl", "--taxonomy", "new/taxonomy.json", cwd=tmp_path).returncode == 0
    again = run(*args, cwd=tmp_path)
    assert (again.returncode, "new exists already" in again.stderr) == (1, True)
    failed = run("labels", "migrate", "change.toml", "none.jsonl", "-o", "other", cwd=tmp_path)
    assert failed.returncode == 1
    assert not (tmp_path / "other").exists()


def test_files_that_would_take_each_others_name_are_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "change.toml").write_text(STEPS, encoding="utf-8")
    (tmp_path / "a.csv").write_text("title,abstract,scope\nExosomes,Exosomes heal.,therapy\n", encoding="utf-8")
    (tmp_path / "a.jsonl").write_text('{"title": "Vesicles", "scope": "therapy"}\n', encoding="utf-8")
    done = run("labels", "migrate", "change.toml", "a.csv", "a.jsonl", "-o", "new", cwd=tmp_path)
    assert (done.returncode, "two labelled files would become a.jsonl" in done.stderr) == (2, True)
    assert not (tmp_path / "new").exists()


def test_files_with_other_held_out_papers_are_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "change.toml").write_text(STEPS, encoding="utf-8")
    (tmp_path / "b.csv").write_text("title,abstract,scope\nExosomes,Exosomes heal.,therapy\n", encoding="utf-8")
    done = run("labels", "migrate", "change.toml", DATA, "b.csv", "-o", "new", cwd=tmp_path)
    assert (done.returncode, "b.csv has other held-out papers" in done.stderr) == (2, True)
    assert not (tmp_path / "new").exists()


def test_a_record_without_a_label_left_is_kept_and_counted(run: Run, tmp_path: Path) -> None:
    (tmp_path / "change.toml").write_text('version = "2"\n[[retire]]\nid = "not_ev"\n', encoding="utf-8")
    (tmp_path / "a.csv").write_text("title,abstract,scope\nMice,Mice run.,not_ev\nB,Cells.,therapy\n", encoding="utf-8")
    done = run("labels", "migrate", "change.toml", "a.csv", "-o", "new", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "a.jsonl: 1 records have no label left" in done.stderr
    assert len((tmp_path / "new" / "a.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    [retired] = [one for one in json.loads(done.stdout) if one["step"] == "retire"]
    assert (retired["before"], retired["after"], retired["yes_before"]) == (["not_ev"], None, 1)
