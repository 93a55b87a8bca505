"""Encoders from folders: what loads, what is refused, and another vocabulary that keeps what was known."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from exoclass.encoder import SPECIAL, load_masked_lm, load_tokenizer, read_vocabulary, replace_vocabulary
from exoclass.errors import InputError, ModelError

LETTERS = [*"abcdefghijklmnopqrstuvwxyz0123456789.,-()/"]


def embeddings(model: PreTrainedModel) -> torch.Tensor:
    weight = model.get_input_embeddings().weight
    assert isinstance(weight, torch.Tensor)
    return weight


def vocabulary(folder: Path, *words: str) -> Path:
    path = folder / "vocab.txt"
    path.write_text("\n".join([*words, *LETTERS, *(f"##{letter}" for letter in LETTERS), *SPECIAL]), encoding="utf-8")
    return path


def test_the_tokenizer_marks_continued_words(tiny_encoder: Path) -> None:
    pieces = load_tokenizer(str(tiny_encoder)).tokenize("Exosomes qqq")
    assert any(piece.startswith("##") for piece in pieces)
    assert pieces[0][0] == "e", "it should be uncased"


def test_dropout_is_off(tiny_encoder: Path) -> None:
    model = load_masked_lm(str(tiny_encoder)).train()
    batch = load_tokenizer(str(tiny_encoder))(["Exosomes heal wounds"], return_tensors="pt")
    assert torch.equal(model(**batch).logits, model(**batch).logits)


@pytest.mark.parametrize("load", [load_tokenizer, load_masked_lm])
def test_a_folder_that_is_no_model_is_refused_with_a_remedy(load: object, tmp_path: Path) -> None:
    assert callable(load)
    (tmp_path / "notes.txt").write_text("nothing", encoding="utf-8")
    with pytest.raises(ModelError, match=r"holds no usable encoder.*config\.json"):
        load(str(tmp_path))


def test_a_hub_name_without_network_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"the hub's checkpoint nobody/nothing .*network") as caught:
        load_tokenizer("nobody/nothing")
    assert "\n" not in str(caught.value)


def test_a_vocabulary_gets_its_special_pieces_first(tmp_path: Path) -> None:
    pieces = read_vocabulary(vocabulary(tmp_path, "exosome", "exosome"))
    assert pieces[:5] == list(SPECIAL)
    assert len(pieces) == len(set(pieces))


def test_a_vocabulary_that_spells_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("a\nb\n", encoding="utf-8")
    with pytest.raises(InputError, match="cannot spell 'c'"):
        read_vocabulary(tmp_path / "v.txt")
    with pytest.raises(InputError, match="cannot be read"):
        read_vocabulary(tmp_path / "none.txt")


def test_a_new_word_starts_at_the_mean_of_its_pieces_and_a_known_piece_stays(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    tokenizer, model = load_tokenizer(str(tiny_encoder)), load_masked_lm(str(tiny_encoder))
    before = embeddings(model).detach().clone()
    word = "exosomalness"
    parts = tokenizer.convert_tokens_to_ids(tokenizer.tokenize(word))
    pieces = read_vocabulary(vocabulary(tmp_path, word))
    new = replace_vocabulary(model, tokenizer, pieces)
    after = embeddings(model)
    assert torch.allclose(after[pieces.index(word)], before[parts].mean(dim=0))
    assert torch.equal(after[pieces.index("a")], before[tokenizer.convert_tokens_to_ids("a")])
    assert new.tokenize(f"{word} b") == [word, "b"]
    assert new.mask_token_id == pieces.index("[MASK]")


def test_the_prediction_head_follows_the_vocabulary(tiny_encoder: Path, tmp_path: Path) -> None:
    tokenizer, model = load_tokenizer(str(tiny_encoder)), load_masked_lm(str(tiny_encoder))
    pieces = read_vocabulary(vocabulary(tmp_path, "exosome"))
    new = replace_vocabulary(model, tokenizer, pieces)
    logits = model(**new(["exosome"], return_tensors="pt")).logits
    assert logits.shape[-1] == len(pieces)
    assert model.get_output_embeddings().weight is embeddings(model)
