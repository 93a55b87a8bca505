"""Every shipped configuration file: it loads, it is complete, and it agrees with its neighbours."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from exoclass.adaptation import AdaptConfig
from exoclass.config import shipped
from exoclass.distilling import DistilConfig
from exoclass.public_benchmark import BenchmarkConfig
from exoclass.taxonomy import Taxonomy
from exoclass.trainconfig import TrainConfig
from exoclass.warming import WarmUpConfig

CONFIGS = ROOT / "configs"
PYPROJECT = ROOT / "pyproject.toml"
PROJECT: dict[str, Any] = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
DIRECT = [Requirement(line) for line in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]]
SCHEMA: dict[str, Any] = json.loads((CONFIGS / "prediction.schema.json").read_text(encoding="utf-8"))
LABEL_IDS = Taxonomy.load().ids

LINE: dict[str, Any] = {
    "pmid": "30943982",
    "doi": None,
    "title": "Vesicles heal",
    "source": "x.nbib:1",
    "scope": {"id": "therapy", "probability": 0.9, "decision": "yes"},
    "disease": [],
    "mechanism": None,
    "flags": [],
    "model": "tfidf:0123456789ab",
    "taxonomy": "0123456789ab",
    "schema": 1,
}


def pins() -> dict[str, Version]:
    text = (CONFIGS / "constraints.txt").read_text(encoding="utf-8")
    rows = [line.partition("==") for line in text.splitlines() if line and not line.startswith("#")]
    assert all(equals for _, equals, _ in rows), "constraints.txt pins with == only"
    return {canonicalize_name(name): Version(number) for name, _, number in rows}


def test_every_file_in_configs_is_checked_here() -> None:
    known = {
        "taxonomy.toml",
        "tfidf.toml",
        "blend.toml",
        "transformer.toml",
        "adapt.toml",
        "warm-up.toml",
        "distil.toml",
        "transformer-biomedbert.toml",
        "prediction.schema.json",
        "constraints.txt",
        "benchmarks/hoc.toml",
    }
    assert {path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*") if path.is_file()} == known


def test_the_benchmark_loads_and_names_configurations_that_load() -> None:
    config = BenchmarkConfig.load(CONFIGS / "benchmarks" / "hoc.toml")
    assert len(set(config.labels)) == 10
    assert [TrainConfig.load(shipped(name)).backend for name in (config.tfidf, config.transformer)] == [
        "tfidf", "transformer",
    ]  # fmt: skip


def test_the_shipped_taxonomy_loads() -> None:
    assert Taxonomy.load(shipped("configs/taxonomy.toml")) == Taxonomy.load()


@pytest.mark.parametrize(
    "path",
    sorted(path for family in ("tfidf", "transformer", "blend") for path in CONFIGS.glob(f"{family}*.toml")),
    ids=lambda path: path.name,
)
def test_each_training_configuration_loads(path: Path) -> None:
    assert TrainConfig.load(path).backend == path.stem.split("-")[0]


def test_the_members_of_the_blend_are_configured_as_alone() -> None:
    blend = TrainConfig.load(CONFIGS / "blend.toml").model
    assert blend.tfidf == TrainConfig.load(CONFIGS / "tfidf.toml").model
    assert blend.transformer == TrainConfig.load(CONFIGS / "transformer.toml").model


def test_the_configuration_of_adapt_loads() -> None:
    assert AdaptConfig.load(CONFIGS / "adapt.toml") == AdaptConfig.load()


def test_the_configuration_of_distil_loads() -> None:
    assert DistilConfig.load(CONFIGS / "distil.toml") == DistilConfig.load()


def test_the_configuration_of_warm_up_loads() -> None:
    assert WarmUpConfig.load(CONFIGS / "warm-up.toml") == WarmUpConfig.load()


@pytest.mark.parametrize(
    "path", sorted({*CONFIGS.glob("*.toml")} - {CONFIGS / "taxonomy.toml"}), ids=lambda path: path.name
)
def test_each_hyper_parameter_has_its_reason_beside_it(path: Path) -> None:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if re.match(r"\w+ = [^\"]", line)]
    assert lines
    assert not [line for line in lines if not re.search(r"#\s*\w.{5}", line)]


def test_the_schema_is_a_valid_json_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_accepts_a_line() -> None:
    jsonschema.validate(LINE, SCHEMA, jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"pmid": "PMC123"},
        {"pmid": 30943982},
        {"doi": "https://doi.org/10.1/x"},
        {"flags": ["odd"]},
        {"disease": None},
        {"extra": 1},
        {"scope": {"id": "therapy", "probability": 1.2, "decision": "yes"}},
        {"scope": {"id": "therapy", "probability": 0.5, "decision": "maybe"}},
        {"disease": [{"id": "liver", "probability": 0.5, "decision": "yes"}]},
        {"mechanism": [{"id": "x", "probability": 0.5, "decision": "yes", "evidence": {"sentence": "", "terms": 3}}]},
    ],
    ids=str,
)
def test_the_schema_refuses_what_is_no_line(change: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(LINE | change, SCHEMA, jsonschema.Draft202012Validator)


@pytest.mark.parametrize("key", SCHEMA["required"])
def test_the_schema_asks_for_each_required_key(key: str) -> None:
    with pytest.raises(jsonschema.ValidationError, match=key):
        jsonschema.validate({k: v for k, v in LINE.items() if k != key}, SCHEMA, jsonschema.Draft202012Validator)


@pytest.mark.parametrize("label_id", LABEL_IDS)
def test_every_label_is_in_the_guideline_for_people(label_id: str) -> None:
    text = (ROOT / "data" / "GUIDELINE.md").read_text(encoding="utf-8")
    heads = re.findall(r"^(?:#+ |\| |- )`(\w+)`", text, flags=re.MULTILINE)
    assert label_id in heads, "it has no heading, row or item of its own"


def test_the_guideline_names_no_label_that_the_taxonomy_lacks() -> None:
    text = (ROOT / "data" / "GUIDELINE.md").read_text(encoding="utf-8")
    heads = re.findall(r"^(?:#+ |\| |- )`(\w+)`", text, flags=re.MULTILINE)
    assert set(heads) <= set(LABEL_IDS)


@pytest.mark.parametrize("requirement", DIRECT, ids=lambda requirement: requirement.name)
def test_each_direct_dependency_is_pinned_within_its_range(requirement: Requirement) -> None:
    assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)])


def test_torch_is_pinned_where_it_is_declared() -> None:
    [torch] = [requirement for requirement in DIRECT if requirement.name == "torch"]
    assert str(torch.specifier) == "==2.13.0"


@pytest.mark.parametrize("name", ["typer", "torch", "transformers", "datasets", "scikit-learn"])
def test_the_libraries_that_users_expect_are_declared(name: str) -> None:
    assert name in {Requirement(line).name for line in PROJECT["dependencies"]}


@pytest.mark.parametrize("requirement", PROJECT["dependencies"])
def test_each_run_time_dependency_says_what_it_is_for(requirement: str) -> None:
    [line] = [line for line in PYPROJECT.read_text(encoding="utf-8").splitlines() if f'"{requirement}"' in line]
    assert re.search(r"#\s*\w.{15}", line)
