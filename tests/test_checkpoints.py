"""A fine-tuning run that was killed goes on from its last checkpoint and ends as if it had not been."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import tiny_transformer

from exoclass import finetuning
from exoclass.backend import Run
from exoclass.checkpoints import clear
from exoclass.errors import ModelError
from exoclass.finetuning import TransformerConfig, Tuned, finetune

TEXTS = tuple(f"vesicles {('collagen', 'melanoma')[row % 2]} were given {row} times to mice" for row in range(40))
Y = np.array([[row % 2 == 0, row % 3 == 0] for row in range(40)])


class KilledError(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def config(tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> TransformerConfig:
    monkeypatch.setattr(finetuning, "SAVED_EVERY", 4)
    # So great a penalty that the head which is fitted first says nothing, and the epochs after it count.
    return tiny_transformer(tiny_encoder, max_tokens=32, epochs=2, encoder_epochs=2, head_penalty=10.0)


def tune(
    config: TransformerConfig, work: Path | None, monkeypatch: pytest.MonkeyPatch, *, kill_at: int = 0
) -> tuple[Tuned, int]:
    """Fine-tune, and stop before step `kill_at`; return how many steps were made, too."""
    steps, set_rates = 0, finetuning._set_rates

    def counted(*args: object) -> None:
        nonlocal steps
        steps += 1
        if steps == kill_at:
            raise KilledError
        set_rates(*args)  # type: ignore[arg-type]  # passed on as they came

    with monkeypatch.context() as patched:
        patched.setattr(finetuning, "_set_rates", counted)
        return finetune(TEXTS, Y, np.ones_like(Y), config, run=Run(work=work)), steps


@pytest.mark.parametrize("kill_at", [7, 17])
def test_a_killed_run_ends_with_the_same_weights(
    config: TransformerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill_at: int
) -> None:
    whole, all_steps = tune(config, None, monkeypatch)
    with pytest.raises(KilledError):
        tune(config, tmp_path, monkeypatch, kill_at=kill_at)
    again, steps = tune(config, tmp_path, monkeypatch)
    assert all_steps - steps == (kill_at - 1) // 4 * 4, "it began anew"
    one, other = whole.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_that_is_done_is_not_repeated(
    config: TransformerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, _ = tune(config, tmp_path, monkeypatch)
    again, _ = tune(config, tmp_path, monkeypatch, kill_at=1)
    one, other = done.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_another_fit_in_the_same_folder_begins_anew_and_all_are_cleared(
    config: TransformerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tune(config, tmp_path / "out.part", monkeypatch)
    with pytest.raises(KilledError):
        tune(replace(config, seed=4), tmp_path / "out.part", monkeypatch, kill_at=1)
    (tmp_path / "out.part" / "not-ours").touch()
    clear(tmp_path / "out.part")
    assert [path.name for path in (tmp_path / "out.part").iterdir()] == ["not-ours"]
    (tmp_path / "out.part" / "not-ours").unlink()
    clear(tmp_path / "out.part")
    assert not (tmp_path / "out.part").exists()


def test_what_is_no_checkpoint_is_refused_with_a_remedy(
    config: TransformerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tune(config, tmp_path, monkeypatch)
    [file] = tmp_path.glob("*/checkpoint.safetensors")
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(ModelError, match=rf"is no checkpoint of this run. Remove {file.parent} and start again"):
        tune(config, tmp_path, monkeypatch)


def test_frozen_layers_and_words_stay_as_they_are(
    config: TransformerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free, frozen = (tune(replace(config, frozen_layers=n, patience=9), None, monkeypatch)[0] for n in (0, 1))
    start = finetuning.tagger(config, 2)[0].state_dict()
    states = [tuned.model.state_dict() for tuned in (free, frozen)]
    moved = [{name for name, tensor in state.items() if not torch.equal(tensor, start[name])} for state in states]
    assert any(".embeddings." in name for name in moved[0])
    assert any(".layer.0." in name for name in moved[0])
    assert any(".layer.1." in name for name in moved[1])
    assert {"head.queries", "head.values", "head.bias"} < moved[1]
    assert all(".layer.1." in name for name in moved[1] if ".layer." in name or ".embeddings." in name)
