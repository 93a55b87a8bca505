"""MeSH trees: formats and years, and which disease labels a heading gives."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT

from exoclass.errors import InputError, TaxonomyError
from exoclass.mesh import OVERRIDES, DiseaseHeadings, MeshTree, heading_key
from exoclass.taxonomy import Taxonomy

CORPORA = ROOT.parent / "shared" / "corpora"
REAL = (CORPORA / "mesh_tree_2015.tsv.gz", CORPORA / "mesh_tree_2020.tsv.gz")

# Names and numbers of headings are facts; C12 and C13 are the old urogenital chapters.
OLD = (
    ("Liver Diseases", "C06.552"),
    ("Colitis", "C06.405.205.265"),
    ("Hepatitis B", "C02.256.430.400"),
    ("Hepatitis B", "C06.552.380.705.437"),
    ("Malaria", "C03.752.530"),
    ("Stroke", "C10.228.140.300.775"),
    ("Stroke", "C14.907.253.855"),
    ("Kidney Diseases", "C12.777.419"),
    ("Kidney Diseases", "C13.351.968.419"),
    ("Pre-Eclampsia", "C13.703.395.249"),
    ("Infertility, Male", "C12.294.365.700"),
    ("Ovarian Neoplasms", "C04.588.322.455"),
    ("Ovarian Neoplasms", "C13.351.500.056.630.705"),
    ("Diabetic Retinopathy", "C11.768.257"),
    ("Diabetic Retinopathy", "C14.907.320.382"),
    ("Diabetic Retinopathy", "C19.246.099.500.382"),
    ("Burns", "C26.200"),
    ("Multiple Trauma", "C26.640"),
    ("Inflammation", "C23.550.470"),
    ("Aspirin", "D02.455.426.559.389.657.410.595.176"),
)
NEW = (
    ("Kidney Diseases", "C12.050.351.968.419"),
    ("Kidney Diseases", "C12.200.777.419"),
    ("Pre-Eclampsia", "C12.050.703.395.249"),
    ("Infertility, Male", "C12.100.500.430"),
    ("Infertility, Male", "C12.200.294.365.700"),
    ("Ovarian Neoplasms", "C04.588.322.455"),
    ("Ovarian Neoplasms", "C12.050.351.500.056.630.705"),
    ("COVID-19", "C01.925.782.600.550.200.163"),
    ("COVID-19", "C08.730.610.763.500"),
)


def save(path: Path, pairs: tuple[tuple[str, str], ...], line: str = "{number}\t{name}") -> Path:
    lines = [line.format(name=name, number=number) for name, number in pairs]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return save(tmp_path / "old.tsv", OLD)


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return save(tmp_path / "new.tsv", NEW)


def test_every_layout_gives_the_same_tree(tmp_path: Path, old: Path) -> None:
    expected = MeshTree.load([old]).numbers
    table = save(tmp_path / "ids.tsv", (("mesh_name", "mesh_tree_number"), *OLD), "D000001\t{name}\t{number}")
    table.write_text(table.read_text(encoding="utf-8").replace("D000001", "mesh_id", 1), encoding="utf-8")
    packed = tmp_path / "packed.gz"
    packed.write_bytes(gzip.compress(old.read_bytes()))
    for path in (table, packed, save(tmp_path / "mtrees.bin", OLD, "{name};{number}")):
        assert MeshTree.load([path]).numbers == expected


def test_a_heading_has_the_numbers_of_all_years_in_the_numbering_of_today(old: Path, new: Path) -> None:
    tree = MeshTree.load([old, new])
    assert tree.files == ("old.tsv", "new.tsv")
    assert tree.numbers["kidney diseases"] == {"C12.050.351.968.419", "C12.200.777.419"}
    assert tree.numbers["infertility, male"] == {"C12.100.500.430", "C12.200.294.365.700"}
    assert tree.numbers["malaria"] == {"C01.610.752.530"}


LABELS = {
    "Stroke": {"nervous_system"},
    "Diabetic Retinopathy": {"eye", "endocrine_metabolic"},
    "Hepatitis B": {"infection_sepsis", "liver"},
    "Liver Diseases": {"liver"},
    "Colitis": {"gastrointestinal_pancreatic"},
    "Kidney Diseases": {"renal_urinary"},
    "Pre-Eclampsia": {"reproductive_pregnancy"},
    "Infertility, Male": {"reproductive_pregnancy"},
    "Ovarian Neoplasms": {"neoplasms"},
    "Malaria": {"infection_sepsis"},
    "Burns": {"skin_wound"},
    "Multiple Trauma": {"trauma_radiation_toxic"},
    "Inflammation": set(),
    "Aspirin": set(),
}


def test_headings_give_labels(old: Path, taxonomy: Taxonomy) -> None:
    headings = DiseaseHeadings(MeshTree.load([old]), taxonomy)
    assert {name: set(headings.labels(name)) for name in LABELS} == LABELS


def test_todays_numbers_give_the_same_labels(new: Path, taxonomy: Taxonomy) -> None:
    headings = DiseaseHeadings(MeshTree.load([new]), taxonomy)
    for name in {name for name, _ in NEW} - {"COVID-19"}:
        assert headings.labels(name) == LABELS[name]
    assert headings.labels("COVID-19") == {"infection_sepsis", "respiratory"}


def test_a_heading_is_found_as_pubmed_writes_it(old: Path, taxonomy: Taxonomy) -> None:
    headings = DiseaseHeadings(MeshTree.load([old]), taxonomy)
    assert headings.labels("*STROKE/drug therapy") == {"nervous_system"}
    assert headings.labels("No Such Heading") == set()
    assert "*Stroke/*pathology" in headings.tree
    assert "No Such Heading" not in headings.tree


def test_overrides_name_labels_of_the_shipped_taxonomy(taxonomy: Taxonomy) -> None:
    assert {taxonomy.label(label_id).axis for ids in OVERRIDES.values() for label_id in ids} == {"disease"}


def test_a_taxonomy_without_a_label_keeps_its_own_roots(old: Path, taxonomy: Taxonomy) -> None:
    labels = tuple(label for label in taxonomy.labels if label.id not in {"nervous_system", "trauma_radiation_toxic"})
    headings = DiseaseHeadings(MeshTree.load([old]), replace(taxonomy, labels=labels))
    assert headings.labels("Stroke") == {"cardiovascular"}
    assert headings.labels("Multiple Trauma") == {"skin_wound"}


def test_a_taxonomy_without_roots_is_refused(old: Path, taxonomy: Taxonomy) -> None:
    labels = tuple(replace(label, mesh=()) for label in taxonomy.labels)
    with pytest.raises(TaxonomyError, match=r"no disease label has a MeSH tree number\. Give"):
        DiseaseHeadings(MeshTree.load([old]), replace(taxonomy, labels=labels))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("pmid\ttitle\n1\tExosomes\n", r":2 has no heading and tree number, so this is no MeSH tree file\. Its lines"),
        ('{"pmid": 1}\n', r":1 has no heading and tree number"),
        ("", r"holds no heading of a disease\. Give --tree"),
        ("A01\tBody Regions\nC\tDiseases\n", r"holds no heading of a disease"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "tree.tsv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        MeshTree.load([path])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.tsv: no such file"):
        MeshTree.load([tmp_path / "none.tsv"])


@pytest.mark.parametrize("years", [REAL[:1], REAL[1:], REAL], ids=["2015", "2020", "both"])
@pytest.mark.skipif(not all(path.exists() for path in REAL), reason="the real trees are not here")
def test_real_trees(years: tuple[Path, ...], taxonomy: Taxonomy) -> None:
    headings = DiseaseHeadings(MeshTree.load(years), taxonomy)
    expected = LABELS | {
        "Diabetic Nephropathies": {"renal_urinary", "endocrine_metabolic"},
        "Polycystic Ovary Syndrome": {"reproductive_pregnancy", "endocrine_metabolic"},
        "Primary Ovarian Insufficiency": {"reproductive_pregnancy"},
        "Leukemia": {"neoplasms"},
        "Brain Injuries": {"nervous_system"},
        "Fractures, Bone": {"musculoskeletal"},
        "Muscular Dystrophy, Duchenne": {"musculoskeletal", "congenital_neonatal"},
        "Rhinitis": {"ear_nose_throat"},
        "HIV Infections": {"infection_sepsis"},
        "Graft Rejection": {"immune_transplant"},
        "Aging": {"ageing_frailty"},
        "Pain": set(),
        "Humans": set(),
    }
    assert {name: set(headings.labels(name)) for name in expected} == expected
    assert not [name for name in expected if name not in headings.tree]


@pytest.mark.skipif(not all(path.exists() for path in REAL), reason="the real trees are not here")
def test_every_override_is_a_number_of_some_year() -> None:
    tree = MeshTree.load(REAL)
    assert not set(OVERRIDES) - {number for found in tree.numbers.values() for number in found}


def test_the_key_of_a_heading_is_plain() -> None:
    assert heading_key(" *Wounds  and Injuries/*therapy ") == "wounds and injuries"
