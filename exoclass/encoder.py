"""BERT-like encoders and their tokenizers: from a folder or the hub, and with another vocabulary.

The only module that speaks to the Hugging Face hub, and only when the user named a hub checkpoint.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any, cast

from exoclass.config import shipped
from exoclass.errors import ConfigError, InputError, ModelError
from exoclass.manifest import new_folder, sha256

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""Pieces that every WordPiece vocabulary needs, in the roles that BERT gives them."""


def load_tokenizer(base: str) -> PreTrainedTokenizerFast:
    """Return the fast tokenizer of a local folder or a hub checkpoint, free to read texts of any length.

    Some checkpoints come with a tokenizer that cuts every text at 128 tokens without a word.

    Raises
    ------
    ModelError
        If there is none, or the hub cannot be reached.
    """
    from transformers import AutoTokenizer

    tokenizer = _load(lambda found: AutoTokenizer.from_pretrained(found, use_fast=True, trust_remote_code=False), base)
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(f"{base} has no fast tokenizer", "Choose a checkpoint with a tokenizer.json.")
    found: PreTrainedTokenizerFast = tokenizer
    found.backend_tokenizer.no_truncation()
    found.backend_tokenizer.no_padding()
    return found


def load_masked_lm(base: str) -> PreTrainedModel:
    """Return an encoder with its head for hidden words; a head that the checkpoint lacks starts at random.

    Raises
    ------
    ModelError
        As `load_tokenizer`, or if the checkpoint is no BERT-like encoder.
    """
    from transformers import AutoModelForMaskedLM

    model = _load(
        lambda found: AutoModelForMaskedLM.from_pretrained(found, trust_remote_code=False, use_safetensors=True),
        base,
    )
    found: PreTrainedModel = _ready(model)
    return found


def load_encoder(base: str) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Return an encoder without a head, and its tokenizer; raises `ModelError` as `load_tokenizer`."""
    from transformers import AutoModel

    model = _load(lambda found: AutoModel.from_pretrained(found, trust_remote_code=False, use_safetensors=True), base)
    return _ready(model), load_tokenizer(base)


def states_of(encoder: PreTrainedModel, layers: Sequence[int]) -> torch.nn.Module:
    """Return a module: token ids in, and attention mask where there is padding; states of some layers out.

    Layer 0 is the words as they are looked up, -1 what the encoder ends with. The output has shape (batch, length,
    `width`), the layers side by side.

    Raises
    ------
    ModelError
        If the encoder has no such layer.
    """
    import torch

    depth, width = int(encoder.config.num_hidden_layers), int(encoder.config.hidden_size)
    if not layers or not all(-1 <= layer <= depth for layer in layers):
        raise ModelError(f"read_layers {[*layers]} are not in an encoder of {depth} layers", "Mend the configuration.")

    class States(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder
            self.width = width * len(layers)

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
            found = self.encoder(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True)
            return torch.cat([found.hidden_states[layer] for layer in layers], dim=-1)

    return States()


def fewer_layers(whole: PreTrainedModel, kept: int, new: int) -> PreTrainedModel:
    """Return an encoder of the lowest layers of another, which do not learn, and copies of its last ones, which do.

    Raises
    ------
    ModelError
        If the encoder does not hold its layers in a list.
    """
    import torch

    small = copy.deepcopy(whole)
    depth = int(small.config.num_hidden_layers)
    holders = [
        (part, name)
        for part in small.modules()
        for name, child in part.named_children()
        if isinstance(child, torch.nn.ModuleList) and len(child) == depth
    ]
    if len(holders) != 1:
        raise ModelError("the encoder holds its layers in another way than BERT does", "Choose a BERT-like one.")
    [(part, name)] = holders
    layers = [*getattr(part, name)]
    for parameter in small.parameters():
        parameter.requires_grad = False
    above = layers[depth - new :]
    for layer in above:
        layer.requires_grad_(requires_grad=True)
    setattr(part, name, torch.nn.ModuleList([*layers[:kept], *above]))
    small.config.num_hidden_layers = kept + new
    return small


def load_sequence_classifier(base: str, n_labels: int) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Return an encoder with a head over labels that starts at random, and its tokenizer.

    Raises
    ------
    ModelError
        As `load_tokenizer`, or if the checkpoint is no encoder that can have such a head.
    """
    from transformers import AutoModelForSequenceClassification

    model = _load(
        lambda found: AutoModelForSequenceClassification.from_pretrained(
            found, num_labels=n_labels, ignore_mismatched_sizes=True, trust_remote_code=False,
            use_safetensors=True,
        ),
        base,
    )  # fmt: skip
    found: PreTrainedModel = model.float().eval()
    return found, load_tokenizer(base)


def _ready(model: Any) -> Any:  # noqa: ANN401 - of the class that was asked for
    """Return a model in single precision, as checkpoints may be stored in half of it, and without dropout.

    On a processor, drawing the masks of dropout takes as long as all the rest of a step.
    """
    import torch

    for part in model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    return model.float()


def multiplies_bfloat16() -> bool:
    """Return whether the processor does so in hardware.

    With AMX, a step of learning takes about half the time of single precision, with AVX-512 for bfloat16 a third.
    """
    import torch

    can = torch.cpu.get_capabilities()
    return bool(can.get("amx_bf16") or can.get("avx512_bf16"))


def half_precision(model: PreTrainedModel) -> bool:
    """Return `multiplies_bfloat16`, and ready a model to learn so: in plain matrix products.

    The backward pass of torch's fused attention is slow in bfloat16.
    """
    if found := multiplies_bfloat16():
        model.set_attn_implementation("eager")
    return found


def locate(base: str) -> str:
    """Return the folder that `base` names, one that comes with exoclass included; else `base`, a name on the hub."""
    if Path(base).is_dir():
        return base
    try:
        return str(shipped(base))
    except ConfigError:
        return base


def save_encoder(
    out: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    record: str,
    told: dict[str, Any],
    *,
    force: bool,
) -> None:
    """Write an encoder, half precision, and its tokenizer to a new folder, with a file that tells what was done."""
    with new_folder(out, force=force) as folder:
        model.half().save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        (folder / record).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def fingerprint(base: str) -> str:
    """Return what tells one encoder from another: the sha256 of its files, or its name on the hub."""
    folder = Path(locate(base))
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("tokenizer.json")]) if folder.is_dir() else []
    return " ".join(map(sha256, files)) or base


def _load(load: Callable[[str], Any], base: str) -> Any:  # noqa: ANN401 - an Auto class returns what it finds
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # its reports of unused weights mean nothing to a curator
    logging.disable_progress_bar()
    try:
        return load(locate(base))
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        where = "the folder" if Path(base).is_dir() else "the hub's checkpoint"
        remedy = (
            "Name a folder with config.json, model.safetensors and tokenizer.json."
            if Path(base).exists()
            else "Check the name and the network, or name a local folder."
        )
        raise ModelError(f"{where} {base} holds no usable encoder: {_first_line(error)}", remedy) from error
    finally:
        logging.set_verbosity(verbosity)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]


def read_vocabulary(path: Path) -> list[str]:
    """Return the pieces of a WordPiece vocabulary, one a line, with the `SPECIAL` ones first.

    Raises
    ------
    InputError
        If the file cannot be read or lacks a letter.
    """
    try:
        pieces = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}", "Name a vocabulary in UTF-8, one piece a line.") from error
    kept = [*SPECIAL, *dict.fromkeys(piece for piece in pieces if piece and piece not in SPECIAL)]
    if missing := sorted(set(ascii_lowercase) - set(kept)):
        raise InputError(
            f"{path} cannot spell {missing[0]!r}", "Name an uncased WordPiece vocabulary, one piece a line."
        )
    return kept


def replace_vocabulary(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, pieces: list[str]
) -> PreTrainedTokenizerFast:
    """Give an encoder another WordPiece vocabulary, in place, and return the tokenizer for it.

    A piece that the old vocabulary has keeps its embedding; a new one starts at the mean of the old pieces that spell
    it, so that a word the encoder knew in parts means about the same (Gee et al. 2022, fast vocabulary transfer).
    """
    import torch
    from tokenizers import BertWordPieceTokenizer
    from transformers import PreTrainedTokenizerFast

    known = tokenizer.get_vocab()
    old: torch.Tensor = cast("torch.Tensor", model.get_input_embeddings().weight).detach().clone()
    new = torch.zeros(len(pieces), old.shape[1])
    for row, piece in enumerate(pieces):
        if piece in known:
            new[row] = old[known[piece]]
            continue
        inside = piece.startswith("##")
        spelled = tokenizer.tokenize(piece.removeprefix("##"))
        names = [name if name.startswith("##") or not inside else f"##{name}" for name in spelled]
        ids = [known.get(name, known[part]) for name, part in zip(names, spelled, strict=True)]
        new[row] = old[ids].mean(dim=0) if ids else old.mean(dim=0)
    model.resize_token_embeddings(len(pieces), mean_resizing=False)
    with torch.no_grad():
        cast("torch.Tensor", model.get_input_embeddings().weight).copy_(new)
    words = BertWordPieceTokenizer({piece: row for row, piece in enumerate(pieces)}, lowercase=True)
    return PreTrainedTokenizerFast(
        tokenizer_object=words._tokenizer,
        model_max_length=tokenizer.model_max_length,
        **dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True)),
    )
