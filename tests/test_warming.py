"""Warm-up on MeSH headings: what is learnt from them, and that an encoder comes out that can be fine-tuned."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import Run
from safetensors.torch import load_file
from test_mesh import NEW, OLD, save

from exoclass.encoder import load_encoder
from exoclass.errors import CorpusError
from exoclass.mesh import DiseaseHeadings, MeshTree
from exoclass.records import Record
from exoclass.taxonomy import Taxonomy
from exoclass.warming import WarmUpConfig, targets

STROKE, EYES = ("Animals", "Stroke"), ("Humans", "*Diabetic Retinopathy/therapy")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with MeSH trees, a short configuration and indexed records."""
    save(tmp_path / "old.tsv", OLD)
    save(tmp_path / "new.tsv", NEW)
    shipped = WarmUpConfig.load()
    lines = (Path(__file__).parents[1] / "configs" / "warm-up.toml").read_text(encoding="utf-8")
    for name, value in (
        ("min_records", 5),
        ("batch_size", 4),
        ("max_tokens", 32),
        ("dev_share", 0.2),
        ("head_penalty", 10),
    ):
        old = getattr(shipped, name, None) or getattr(shipped.transformer, name)
        assert f"{name} = {old}" in lines
        lines = lines.replace(f"{name} = {old}", f"{name} = {value}")
    (tmp_path / "warm.toml").write_text(lines, encoding="utf-8")
    # Told apart by every word, so that an epoch gains on any machine.
    kinds = (("stroke", STROKE), ("retina", EYES))
    rows = [
        {"pmid": str(n), "text": f"Study {n}. {f'{kinds[n % 2][0]} ' * 5}", "mesh": kinds[n % 2][1]}
        for n in range(1, 21)
    ]
    rows.append({"pmid": "99", "text": "Not indexed yet. It is new.", "mesh": []})
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return tmp_path


def headings(folder: Path, taxonomy: Taxonomy) -> DiseaseHeadings:
    return DiseaseHeadings(MeshTree.load([folder / "old.tsv", folder / "new.tsv"]), taxonomy)


def test_labels_and_frequent_headings_are_learnt(folder: Path, taxonomy: Taxonomy) -> None:
    config = WarmUpConfig.load(folder / "warm.toml")
    records = [Record(title="", abstract="", mesh_terms=terms) for terms in [STROKE] * 6 + [EYES] * 5 + [("Rare",)]]
    found = targets(records, headings(folder, taxonomy), config)
    labels = [name for name in found.columns if name.startswith("disease:")]
    assert set(labels) == {"disease:nervous_system", "disease:eye", "disease:endocrine_metabolic"}
    assert set(found.columns) - set(labels) == {
        "mesh:animals",
        "mesh:stroke",
        "mesh:humans",
        "mesh:diabetic retinopathy",
    }
    assert found.Y[:, found.columns.index("disease:eye")].tolist() == [False] * 6 + [True] * 5 + [False]
    few = targets(records, headings(folder, taxonomy), replace(config, max_headings=1))
    assert [name for name in few.columns if name.startswith("mesh:")] == ["mesh:animals"]


def test_records_without_a_frequent_heading_are_refused(folder: Path, taxonomy: Taxonomy) -> None:
    with pytest.raises(CorpusError, match="no heading stands on 60 of the 3 indexed records"):
        targets([Record(title="", abstract="", mesh_terms=STROKE)] * 3, headings(folder, taxonomy), WarmUpConfig.load())


def test_the_command_writes_an_encoder_when_it_has_learnt(run: Run, folder: Path, tiny_encoder: Path) -> None:
    done = run(
        "warm-up", "in.jsonl", "--tree", "old.tsv", "--tree", "new.tsv", "--base", str(tiny_encoder), "-o", "warm",
        "--config", "warm.toml", "--json", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"records": 20, "unindexed": 1, "labels": 3, "headings": 4}
    losses = [float(line.rpartition(" ")[2]) for line in done.stderr.splitlines() if "kept aside 0." in line]
    assert len(losses) == 2  # of the head alone, and after the epoch
    assert losses[1] < losses[0]
    assert all(tensor.dtype == torch.float16 for tensor in load_file(folder / "warm" / "model.safetensors").values())
    assert load_encoder(str(folder / "warm"))[0].config.num_hidden_layers == 2
    before, after = (load_file(path / "model.safetensors") for path in (tiny_encoder, folder / "warm"))
    for name in ("embeddings.word_embeddings.weight", "encoder.layer.1.output.dense.weight"):
        assert not torch.equal(after[name], before[f"bert.{name}"].half()), name
    assert not (folder / "warm.part").exists()
