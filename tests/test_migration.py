"""Changing the labels of the shipped taxonomy, data and model: nothing silently negative, untouched scores exact."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import DATA, Run, make_record

from exoclass.classifier import Classifier
from exoclass.corpus import read_labeled
from exoclass.errors import TaxonomyError
from exoclass.migration import Migration, migrate_model, migrate_rows
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


@pytest.fixture
def migration(tmp_path: Path, taxonomy: Taxonomy) -> Migration:
    (tmp_path / "change.toml").write_text(STEPS, encoding="utf-8")
    return Migration.load(tmp_path / "change.toml", taxonomy)


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


def test_untouched_labels_keep_their_scores_exactly(migration: Migration, taxonomy: Taxonomy, tmp_path: Path) -> None:
    old = Classifier.from_pretrained()
    new = migrate_model(old, migration)
    texts = [make_record().text, "Plasma exosomes mark lung cancer", "Exosomes in glaucoma of the eye"]
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


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ('version = "1.1"\n[[rename]]\nfrom = "eyes"\nto = "x"\n', "there is no label 'eyes'. Did you mean eye"),
        ('version = "1.1"\n[[retire]]\nid = "eye"\n[[rename]]\nfrom = "eye"\nto = "x"\n', "changed by another step"),
        ('version = "1.0"\n[[retire]]\nid = "eye"\n', "needs a version of its own"),
        ('version = "1.1"\n[[rename]]\nfrom = "eye"\nto = "liver"\n', "label 'liver' occurs twice"),
        ('version = "1.1"\n[[rename]]\nfrom = "eye"\n', "rename number 1 is not understood"),
        ('version = "1.1"\n[[drop]]\nid = "eye"\n', "unknown key 'drop'"),
        ('version = "1.1"\n[[add]]\nid = "x"\naxis = "disease"\n', "name is missing or no text"),
        ('version = "1.1"\n[[retire]]\nid = "therapy"\n', "applies_to names the unknown scope 'therapy'"),
    ],
)
def test_a_faulty_step_is_named(tmp_path: Path, taxonomy: Taxonomy, steps: str, message: str) -> None:
    file = tmp_path / "change.toml"
    file.write_text(steps, encoding="utf-8")
    with pytest.raises(TaxonomyError) as error:
        Migration.load(file, taxonomy)
    assert message in str(error.value)
    assert "change.toml" in str(error.value)


def test_the_command_writes_all_or_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "change.toml").write_text(STEPS, encoding="utf-8")
    args = ("labels", "migrate", "change.toml", DATA, "-o", "new", "--model", "tfidf")
    done = run(*args, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "43 labels are as before, 4 are to be judged or learnt anew; written to new\n"
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
