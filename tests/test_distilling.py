"""Distillation of a tiny real encoder: it learns, keeps what it is to keep, resumes to the same result, refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import DATA, Run
from safetensors.torch import load_file
from transformers import AutoModel, BertConfig, BertModel

from exoclass import distilling
from exoclass.corpus import Corpus
from exoclass.distilling import RECORD, DistilConfig, distil
from exoclass.encoder import fewer_layers, load_tokenizer
from exoclass.errors import ConfigError, ModelError
from exoclass.manifest import verify

TINY = DistilConfig(
    max_tokens=32, batch_size=8, learning_rate=5e-3, warmup_share=0.1, weight_decay=0.01, held_out=10, save_every=4,
    seed=7, kept_layers=1, new_layers=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an encoder of four layers whose states differ from layer to layer."""
    folder = tmp_path_factory.mktemp("encoders") / "four"
    config = BertConfig.from_pretrained(tiny_encoder)
    config.num_hidden_layers, config.initializer_range = 4, 0.2
    torch.manual_seed(1)
    BertModel(config).save_pretrained(folder)
    load_tokenizer(str(tiny_encoder)).save_pretrained(folder)
    return folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_it_learns_what_the_whole_encoder_says_and_keeps_the_lowest_layer(
    whole: Path, labelled: Corpus, tmp_path: Path
) -> None:
    done = distil(labelled.texts, str(whole), tmp_path / "out", TINY, steps=60)
    assert done.explained_before < 0.5
    assert done.explained_after > done.explained_before + 0.2
    verify(tmp_path / "out")
    assert AutoModel.from_pretrained(tmp_path / "out").config.num_hidden_layers == 2
    told = json.loads((tmp_path / "out" / RECORD).read_text(encoding="utf-8"))
    assert (told["steps"], told["base"], told["config"]["kept_layers"]) == (60, "four", 1)
    assert not (tmp_path / "out.part").exists()
    before, after = weights(whole), weights(tmp_path / "out")
    for name, tensor in after.items():
        kept = "layer.1." not in name
        assert torch.equal(tensor, before[name].half()) == kept or "pooler" in name, name


class KilledError(Exception):
    """What stops a run in the test."""


def test_a_killed_run_resumes_to_the_same_weights(
    whole: Path, labelled: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distil(labelled.texts, str(whole), tmp_path / "whole", TINY, steps=10)
    true_loss, calls = distilling._Teacher.loss, 0

    def fails_in_the_seventh_step(*args: object) -> object:
        nonlocal calls
        calls += torch.is_grad_enabled()
        if calls == 7:
            raise KilledError
        return true_loss(*args)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(distilling._Teacher, "loss", fails_in_the_seventh_step)
    with pytest.raises(KilledError):
        distil(labelled.texts, str(whole), tmp_path / "cut", TINY, steps=10)
    with pytest.raises(ModelError, match=r"cut\.part holds an unfinished run with other texts or settings"):
        distil(labelled.texts, str(whole), tmp_path / "cut", replace(TINY, seed=8), steps=10)
    monkeypatch.undo()
    assert (tmp_path / "cut.part" / "checkpoint-4").is_dir()
    distil(labelled.texts, str(whole), tmp_path / "cut", TINY, steps=10)
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_only_the_new_layers_learn(whole: Path) -> None:
    small = fewer_layers(AutoModel.from_pretrained(whole), 2, 1)
    learning = {name for name, parameter in small.named_parameters() if parameter.requires_grad}
    assert learning
    assert all(name.startswith("encoder.layer.2.") for name in learning)


def test_an_encoder_without_a_list_of_layers_is_refused() -> None:
    found = torch.nn.Linear(2, 2)
    found.config = BertConfig(num_hidden_layers=3)  # type: ignore[assignment]  # a module is no model: on purpose
    with pytest.raises(ModelError, match="holds its layers in another way"):
        fewer_layers(found, 1, 1)  # type: ignore[arg-type]  # on purpose


def test_an_encoder_that_would_be_no_smaller_is_refused(whole: Path, labelled: Corpus, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"3 kept and 1 new layers are no fewer than the 4 of .*four"):
        distil(labelled.texts, str(whole), tmp_path / "out", replace(TINY, kept_layers=3), steps=1)
    assert not (tmp_path / "out.part").exists()


def test_the_command_says_what_was_gained(run: Run, whole: Path, tmp_path: Path) -> None:
    settings = [
        "max_tokens = 32", "batch_size = 8", "learning_rate = 5e-3", "warmup_share = 0.1", "weight_decay = 0.01",
        "held_out = 10", "save_every = 100", "seed = 7", "kept_layers = 1", "new_layers = 1",
    ]  # fmt: skip
    (tmp_path / "small.toml").write_text("\n".join(settings), encoding="utf-8")
    with DATA.open(encoding="utf-8") as lines:
        (tmp_path / "texts.jsonl").write_text("".join(line for line, _ in zip(lines, range(60), strict=False)))
    args = ("texts.jsonl", "--base", whole, "--config", "small.toml", "--steps", "8", "-o", "out")
    done = run("distil", *args, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["texts"], told["steps"]) == (60, 8)
    assert done.stderr.splitlines()[-1].startswith("explained of the states of held-out abstracts ")
    again = run("distil", *args, cwd=tmp_path)
    assert again.returncode == 1
    assert "exists already" in again.stderr
