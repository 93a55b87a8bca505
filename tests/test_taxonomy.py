"""The labels: what ships is sound, what a user may edit, and how each mistake is named."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from exoclass.config import shipped
from exoclass.errors import ConfigError, TaxonomyError
from exoclass.taxonomy import AXES, Taxonomy, parse_taxonomy

SMALL = """\
schema = 1
version = "0.1"

[axes.scope]
name = "Scope"
question = "What kind of paper?"
single = true

[axes.disease]
name = "Disease"
question = "Which disease?"
max_labels = 2

[axes.mechanism]
name = "Mechanism"
question = "How does it act?"
applies_to = ["therapy"]

[parents]
organ = "Organs"
"""


def label(id: str, axis: str, *, extra: str = "", mesh: str = "") -> str:
    return (
        f'\n[[labels]]\nid = "{id}"\naxis = "{axis}"\nname = "Name of {id}"\ndefinition = "What {id} is."\n'
        f'include = ["this"]\nexclude = []\ncues = ["cue of {id}"]\nmesh = [{mesh}]\nparent = ""\n{extra}'
    )


LABELS = [
    label("therapy", "scope"),
    label("other", "scope"),
    label("skin", "disease", mesh='"C17.800"'),
    label("heart", "disease"),
    label("none", "disease", extra="exclusive = true\n"),
    label("repair", "mechanism"),
    label("delivery", "mechanism"),
]


def written(text: str, folder: Path) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def load(text: str, folder: Path) -> Taxonomy:
    return Taxonomy.load(written(text, folder))


@pytest.fixture
def small(tmp_path: Path) -> Taxonomy:
    return load(SMALL + "".join(LABELS), tmp_path)


def test_the_shipped_axes_are_those_of_the_design(taxonomy: Taxonomy) -> None:
    assert tuple(axis.id for axis in taxonomy.axes) == AXES == ("scope", "disease", "mechanism")


def test_the_shipped_scope_is_one_of_seven(taxonomy: Taxonomy) -> None:
    assert taxonomy.axis("scope").single
    assert len(taxonomy.columns("scope")) == 7


def test_the_shipped_mechanism_applies_where_vesicles_are_given(taxonomy: Taxonomy) -> None:
    scopes = [taxonomy.ids[column] for column in taxonomy.columns("scope")]
    assert [scope for scope in scopes if taxonomy.applies("mechanism", scope)] == ["therapy", "delivery_platform"]


def test_every_shipped_label_tells_an_annotator_what_to_do(taxonomy: Taxonomy) -> None:
    silent = [item.id for item in taxonomy.labels if not (item.definition.endswith(".") and item.include)]
    assert silent == []


def test_every_shipped_label_below_scope_rolls_up_to_a_named_group(taxonomy: Taxonomy) -> None:
    groups = dict(taxonomy.parents)
    assert [item.id for item in taxonomy.labels if item.axis != "scope" and item.parent not in groups] == []


def test_labels_stand_in_the_order_of_the_file(small: Taxonomy) -> None:
    assert small.ids == ("therapy", "other", "skin", "heart", "none", "repair", "delivery")
    assert small.columns("disease") == [2, 3, 4]
    assert [small.column(label_id) for label_id in small.ids] == list(range(7))


def test_the_fields_of_a_label_are_read(small: Taxonomy) -> None:
    none, skin = small.label("none"), small.label("skin")
    assert (none.exclusive, skin.exclusive) == (True, False)
    assert (skin.mesh, skin.cues, skin.axis) == (("C17.800",), ("cue of skin",), "disease")


def test_the_fields_of_an_axis_are_read(small: Taxonomy) -> None:
    scope, disease, mechanism = small.axes
    assert (scope.single, disease.single) == (True, False)
    assert (disease.max_labels, mechanism.max_labels) == (2, 0)
    assert (disease.applies_to, mechanism.applies_to) == ((), ("therapy",))


def test_an_axis_applies_to_its_scopes_only(small: Taxonomy) -> None:
    assert small.applies("disease", "other")
    assert small.applies("mechanism", "therapy")
    assert not small.applies("mechanism", "other")


@pytest.mark.parametrize(
    "other",
    [
        SMALL + "".join(LABELS[::-1]),
        SMALL + "".join(LABELS[:5] + LABELS[6:4:-1]),
        SMALL + "".join([*LABELS, label("kidney", "disease")]),
        SMALL + "".join(LABELS[:4] + LABELS[5:]),
        SMALL + "".join(LABELS).replace('id = "skin"', 'id = "hide"'),
        SMALL + "".join([*LABELS[:4], label("none", "mechanism"), *LABELS[5:]]),
    ],
    ids=["reversed", "two swapped", "added", "removed", "renamed", "moved to another axis"],
)
def test_the_fingerprint_changes_with_ids_and_order(small: Taxonomy, other: str, tmp_path: Path) -> None:
    assert load(other, tmp_path).fingerprint != small.fingerprint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Name of skin", "Peau"),
        ("What skin is.", "All of the skin, with hair and nails."),
        ('include = ["this"]', 'include = ["this", "and that"]'),
        ("exclude = []", 'exclude = ["the eye"]'),
        ("cue of heart", "another cue"),
        ('mesh = ["C17.800"]', "mesh = []"),
        ('parent = ""', 'parent = "organ"'),
        ('version = "0.1"', 'version = "0.2"'),
        ("How does it act?", "By which way does it act?"),
    ],
)
def test_editing_the_wording_keeps_the_fingerprint(small: Taxonomy, old: str, new: str, tmp_path: Path) -> None:
    text = SMALL + "".join(LABELS)
    assert old in text
    edited = load(text.replace(old, new), tmp_path)
    assert edited != small
    assert edited.fingerprint == small.fingerprint


def test_the_fingerprint_is_a_sha256_of_axes_and_ids(small: Taxonomy) -> None:
    named = "scope:therapy scope:other disease:skin disease:heart disease:none mechanism:repair mechanism:delivery"
    assert small.fingerprint == hashlib.sha256(named.replace(" ", "\n").encode()).hexdigest()


def test_a_taxonomy_survives_json(taxonomy: Taxonomy) -> None:
    assert parse_taxonomy(json.loads(json.dumps(taxonomy.to_dict())), "copy") == taxonomy


def test_the_shipped_taxonomy_is_the_default(taxonomy: Taxonomy) -> None:
    assert Taxonomy.load(shipped("configs/taxonomy.toml")) == taxonomy


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("skinn", "skin"), ("repairs", "repair"), ("delivery_platform", "delivery"), ("hearth", "heart")],
)
def test_an_unknown_label_is_answered_with_the_nearest(small: Taxonomy, wrong: str, near: str) -> None:
    with pytest.raises(TaxonomyError, match=rf"there is no label '{wrong}'\. Did you mean {near}"):
        small.label(wrong)


def test_a_label_unlike_any_other_is_answered_with_where_to_look(small: Taxonomy) -> None:
    with pytest.raises(TaxonomyError, match="exoclass labels"):
        small.column("zzzz")


def test_an_unknown_axis_is_answered_with_the_axes(small: Taxonomy) -> None:
    with pytest.raises(TaxonomyError, match=r"there is no axis 'colour'.*scope, disease, mechanism"):
        small.columns("colour")


FAULTS = [
    # what is changed, into what, and what the message says after the file
    ("schema = 1", "schema = 2", "schema is 2, not 1"),
    ("schema = 1\n", "", "schema is None, not 1"),
    ("[parents]", "[ancestors]", "the table [parents] is missing"),
    ("[axes.mechanism]", "[axes.action]", "the table [mechanism] is missing"),
    ("[parents]", '[axes.colour]\nname = "C"\nquestion = "Q?"\n[parents]', "unknown axis 'colour'"),
    ("max_labels = 2", 'max_labels = "two"', "axis 'disease': max_labels = 'two' is not understood"),
    ("max_labels = 2", "max_labels = true", "axis 'disease': max_labels = True is not understood"),
    ("max_labels = 2", "max_labels = -1", "axis 'disease': max_labels = -1 is not understood"),
    ("max_labels = 2", "maximum = 2", "axis 'disease': maximum = 2 is not understood"),
    ('question = "Which disease?"', "", "axis 'disease' lacks name or question"),
    (
        'applies_to = ["therapy"]',
        'applies_to = ["cure"]',
        "axis 'mechanism': applies_to names the unknown scope 'cure'",
    ),
    (
        'applies_to = ["therapy"]',
        'applies_to = ["skin"]',
        "axis 'mechanism': applies_to names the unknown scope 'skin'",
    ),
    ('applies_to = ["therapy"]', 'applies_to = [1, "cure"]', "axis 'mechanism': applies_to"),
    ('applies_to = ["therapy"]', 'applies_to = [["therapy"]]', "axis 'mechanism': applies_to"),
    ('id = "skin"', 'id = "Skin"', "label 'Skin': an id is lower-case words"),
    ('id = "skin"', 'id = "skin__burn"', "label 'skin__burn': an id is lower-case words"),
    ('id = "skin"', 'id = "skin\\n"', "label 'skin\\n': an id is lower-case words"),
    ('id = "skin"', 'id = ""', "label 'number 3': an id is lower-case words"),
    ('id = "skin"\n', "", "label 'number 3': id is missing or no text"),
    ('id = "skin"', "id = 7", "label 7: id is missing or no text"),
    ('id = "skin"', 'id = "heart"', "label 'heart' occurs twice"),
    ('id = "skin"', 'id = "repair"', "label 'repair' occurs twice"),
    ('id = "skin"\naxis = "disease"', 'id = "skin"\naxis = "organ"', "label 'skin': unknown axis 'organ'"),
    ('name = "Name of skin"', 'name = " "', "label 'skin': name or definition is empty"),
    ('definition = "What skin is."', 'definition = ""', "label 'skin': name or definition is empty"),
    ('definition = "What skin is."\n', "", "label 'skin': definition is missing or no text"),
    ('cues = ["cue of skin"]', 'cues = "cue of skin"', "label 'skin': cues is missing or no list of texts"),
    ('cues = ["cue of skin"]', "cues = [1]", "label 'skin': cues is missing or no list of texts"),
    ('cues = ["cue of skin"]\n', "", "label 'skin': cues is missing or no list of texts"),
    ('cues = ["cue of skin"]', 'cues = []\ncue = "x"', "label 'skin': unknown key 'cue'"),
    ('mesh = ["C17.800"]', 'mesh = ["Skin"]', "label 'skin': 'Skin' is no MeSH tree number"),
    ('mesh = ["C17.800"]', 'mesh = ["C17.80"]', "label 'skin': 'C17.80' is no MeSH tree number"),
    (
        'mesh = ["C17.800"]\nparent = ""',
        'mesh = []\nparent = "nope"',
        "label 'skin': parent 'nope' is not in [parents]",
    ),
    ("exclusive = true", 'exclusive = "yes"', "label 'none': exclusive is neither true nor false"),
    (LABELS[6], "", "axis 'mechanism' has fewer than two labels"),
    ("".join(LABELS), "", "there are no labels"),
    ("".join(LABELS), "[labels]\nskin = 1\n", "there are no labels"),
    ("".join(LABELS), "", "there are no labels"),
]


@pytest.mark.parametrize(("old", "new", "fault"), FAULTS, ids=[fault for _, _, fault in FAULTS])
def test_a_fault_is_named_by_file_label_and_fault(old: str, new: str, fault: str, tmp_path: Path) -> None:
    text = SMALL + "".join(LABELS)
    assert old in text
    path = written(text.replace(old, new, 1), tmp_path)
    with pytest.raises(TaxonomyError) as caught:
        Taxonomy.load(path)
    assert str(caught.value).startswith(f"{path}: {fault}".replace("\n", " "))
    assert caught.value.remedy


def test_labels_that_are_no_tables_are_refused(tmp_path: Path) -> None:
    path = written(SMALL.replace("schema = 1", 'schema = 1\nlabels = ["skin"]'), tmp_path)
    with pytest.raises(TaxonomyError, match=r"mine\.toml: label number 1 is not a table"):
        Taxonomy.load(path)


def test_a_slip_in_the_toml_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mine\.toml is not valid TOML: .*line 2"):
        load("schema = 1\nversion = \n", tmp_path)
