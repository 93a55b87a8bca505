"""Continued pretraining of a tiny real encoder: it learns, resumes to the same result, and refuses clearly."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel

from exoclass import adaptation
from exoclass.adaptation import RECORD, AdaptConfig, adapt
from exoclass.corpus import Corpus
from exoclass.encoder import load_tokenizer
from exoclass.errors import CorpusError, ModelError
from exoclass.manifest import verify
from exoclass.unlabelled import pack

TINY = AdaptConfig(
    max_tokens=32, batch_size=8, mask_probability=0.2, learning_rate=5e-3, warmup_share=0.1, weight_decay=0.01,
    held_out=10, save_every=4, seed=7,
)  # fmt: skip


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_blocks_are_full_and_keep_every_token_but_the_rest(tiny_encoder: Path, labelled: Corpus) -> None:
    tokenizer = load_tokenizer(str(tiny_encoder))
    texts = labelled.texts[:5]
    blocks = list(pack(texts, tokenizer, 32))
    assert {len(block["input_ids"]) for block in blocks} == {32}
    packed = [token for block in blocks for token in block["input_ids"][1:-1]]
    wanted = [
        t for text in texts for t in [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.sep_token_id]
    ]
    assert packed == wanted[: len(packed)]
    assert len(wanted) - len(packed) < 30


def test_it_learns_and_leaves_an_encoder_in_half_precision(
    tiny_encoder: Path, labelled: Corpus, tmp_path: Path
) -> None:
    done = adapt(labelled.texts, str(tiny_encoder), tmp_path / "out", TINY, steps=60)
    assert done.perplexity_after < 0.9 * done.perplexity_before
    verify(tmp_path / "out")
    assert {tensor.dtype for tensor in weights(tmp_path / "out").values()} == {torch.float16}
    told = json.loads((tmp_path / "out" / RECORD).read_text(encoding="utf-8"))
    assert (told["steps"], told["base"]) == (60, tiny_encoder.name)
    assert not (tmp_path / "out.part").exists()
    assert AutoModel.from_pretrained(tmp_path / "out").config.num_hidden_layers == 2


class KilledError(Exception):
    """What stops a run in the test."""


def test_a_killed_run_resumes_to_the_same_weights(
    tiny_encoder: Path, labelled: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapt(labelled.texts, str(tiny_encoder), tmp_path / "whole", TINY, steps=10)
    true_loss, calls = adaptation._loss, 0

    def fails_in_the_seventh_step(*args: object) -> object:
        nonlocal calls
        calls += torch.is_grad_enabled()
        if calls == 7:
            raise KilledError
        return true_loss(*args)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(adaptation, "_loss", fails_in_the_seventh_step)
    with pytest.raises(KilledError):
        adapt(labelled.texts, str(tiny_encoder), tmp_path / "cut", TINY, steps=10)
    monkeypatch.undo()
    assert not (tmp_path / "cut").exists()
    assert (tmp_path / "cut.part" / "checkpoint-4").is_dir()
    adapt(labelled.texts, str(tiny_encoder), tmp_path / "cut", TINY, steps=10)
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_an_unfinished_run_with_other_settings_is_not_taken_up(
    tiny_encoder: Path, labelled: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patched, pytest.raises(KilledError):
        patched.setattr(adaptation, "_loss", stop)
        adapt(labelled.texts, str(tiny_encoder), tmp_path / "out", TINY, steps=10)
    with pytest.raises(ModelError, match=r"out\.part holds an unfinished run with other texts or settings"):
        adapt(labelled.texts, str(tiny_encoder), tmp_path / "out", replace(TINY, seed=8), steps=10)


def test_a_loss_that_is_no_number_stops_with_a_remedy(tiny_encoder: Path, labelled: Corpus, tmp_path: Path) -> None:
    wild = replace(TINY, learning_rate=1e30, warmup_share=0.01)
    with pytest.raises(ModelError, match=r"the loss is no number at step \d+\. Lower learning_rate"):
        adapt(labelled.texts, str(tiny_encoder), tmp_path / "out", wild, steps=60)
    assert not (tmp_path / "out").exists()


def test_too_little_text_is_refused(tiny_encoder: Path, labelled: Corpus, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="5 abstracts are too few when 10 are held out"):
        adapt(labelled.texts[:5], str(tiny_encoder), tmp_path / "out", TINY, steps=1)


def test_perplexity_of_a_model_that_knows_nothing_is_about_its_vocabulary(
    tiny_encoder: Path, labelled: Corpus, tmp_path: Path
) -> None:
    done = adapt(labelled.texts, str(tiny_encoder), tmp_path / "out", TINY, steps=1)
    size = len(load_tokenizer(str(tiny_encoder)))
    assert abs(math.log(done.perplexity_before / size)) < 0.5
