"""Typed configurations: what ships loads, and a mistake in a file is named by file, key and fault."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from conftest import ROOT, TINY

from exoclass.adaptation import AdaptConfig
from exoclass.config import parse_config, read_toml, shipped
from exoclass.distilling import DistilConfig
from exoclass.errors import ConfigError
from exoclass.taxonomy import Taxonomy
from exoclass.trainconfig import TrainConfig
from exoclass.warming import WarmUpConfig

GOOD = TINY.read_text(encoding="utf-8")


@dataclass(frozen=True)
class Inner:
    rate: float
    pair: tuple[int, int]


@dataclass(frozen=True)
class Outer:
    kind: Literal["a", "b"]
    inner: Inner
    names: tuple[str, ...]
    limit: int | None
    on: bool


VALUES: dict[str, Any] = {
    "kind": "a",
    "inner": {"rate": 0.5, "pair": [1, 2]},
    "names": ["x", "y", "z"],
    "limit": 3,
    "on": True,
}


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.toml")), ids=lambda path: path.name)
def test_every_shipped_configuration_loads(path: Path) -> None:
    if path.name == "taxonomy.toml":
        assert Taxonomy.load(path).labels
    elif path.name == "adapt.toml":
        assert AdaptConfig.load(path).max_tokens
    elif path.name == "distil.toml":
        assert DistilConfig.load(path).new_layers
    elif path.name == "warm-up.toml":
        assert WarmUpConfig.load(path).transformer.encoder_epochs
    else:
        assert TrainConfig.load(path).backend in path.stem


@pytest.mark.parametrize(
    "name", ["configs/taxonomy.toml", "configs/tfidf.toml", "configs/prediction.schema.json", "models/tfidf"]
)
def test_shipped_files_are_found(name: str) -> None:
    assert shipped(name) == ROOT / name
    assert shipped(name).exists()


def test_a_missing_shipped_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"shipped file models/nosuch is missing.*Install exoclass again"):
        shipped("models/nosuch")


def test_the_default_training_configuration_is_the_shipped_one() -> None:
    assert TrainConfig.load() == TrainConfig.load(ROOT / "configs" / "tfidf.toml")


def test_every_hyper_parameter_that_ships_has_its_reason_beside_it() -> None:
    lines = (ROOT / "configs" / "tfidf.toml").read_text(encoding="utf-8").splitlines()
    values = [line for line in lines if "=" in line and not line.startswith(("#", "backend"))]
    assert len(values) > 10
    assert [line for line in values if len(line.partition("#")[2].strip()) < 5] == []


def test_values_become_the_types_of_their_fields() -> None:
    assert parse_config(VALUES, Outer, "f.toml") == Outer("a", Inner(0.5, (1, 2)), ("x", "y", "z"), 3, on=True)


def test_a_whole_number_serves_as_a_float() -> None:
    rate = parse_config(VALUES | {"inner": {"rate": 1, "pair": [1, 2]}}, Outer, "f.toml").inner.rate
    assert isinstance(rate, float)
    assert rate == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "c"}, "f.toml: kind = 'c' should be 'a' or 'b'"),
        ({"on": 1}, "f.toml: on = 1 should be bool"),
        ({"on": "yes"}, "f.toml: on = 'yes' should be bool"),
        ({"limit": "3"}, "f.toml: limit = '3' should be int | None"),
        ({"names": "x"}, "f.toml: names = 'x' should be tuple"),
        ({"names": ["x", 1]}, "f.toml: names = 1 should be str"),
        ({"inner": 5}, "f.toml: inner = 5 should be Inner"),
        ({"inner": {"rate": "fast", "pair": [1, 2]}}, "f.toml: inner.rate = 'fast' should be float"),
        ({"inner": {"rate": True, "pair": [1, 2]}}, "f.toml: inner.rate = True should be float"),
        ({"inner": {"rate": 1.0, "pair": [1, 2, 3]}}, r"f.toml: inner.pair = \[1, 2, 3\] should be tuple"),
        ({"inner": {"rate": 1.0, "pair": [1, 2.5]}}, "f.toml: inner.pair = 2.5 should be int"),
        ({"inner": {"rate": 1.0}}, "f.toml: key inner.pair is missing"),
        ({"inner": {"rate": 1.0, "pair": [1, 2], "rat": 1}}, "f.toml: unknown key inner.rat.*Known keys: rate, pair"),
        ({"extra": 1}, "f.toml: unknown key extra.*Known keys: kind, inner, names, limit, on"),
    ],
)
def test_a_mistake_is_named_by_file_key_and_fault(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config(VALUES | change, Outer, "f.toml")


@pytest.mark.parametrize("key", VALUES)
def test_no_key_has_a_hidden_default(key: str) -> None:
    with pytest.raises(ConfigError, match=f"key {key} is missing"):
        parse_config({name: value for name, value in VALUES.items() if name != key}, Outer, "f.toml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("min_df = 2", "min_df = 2.5", "tfidf.min_df = 2.5 should be int"),
        ("C = 4.0", "", "key tfidf.C is missing"),
        ("folds = 2", "folds = 2\nfold = 2", "unknown key validation.fold"),
        ('backend = "tfidf"', 'backend = "magic"', "there is no backend 'magic'"),
        ("[calibration]", "[calibrate]", "unknown key calibrate"),
    ],
)
def test_a_mistake_in_a_training_configuration_names_the_file(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        TrainConfig.load(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read"):
        read_toml(tmp_path / "none.toml")


def test_a_folder_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_toml(tmp_path)


def test_text_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latin.toml"
    path.write_bytes('name = "Béla"'.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"latin\.toml cannot be read"):
        read_toml(path)


def test_a_slip_in_the_toml_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "slip.toml"
    path.write_text("a = 1\nb = = 2\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"slip\.toml is not valid TOML: .*line 2"):
        read_toml(path)
