"""Continued pretraining: an encoder reads unlabelled abstracts and learns to fill in hidden words.

Masked-language-model pretraining goes on as in Gururangan et al. 2020 (domain-adaptive pretraining) with whole words
hidden. The head is applied to hidden words alone, which halves the work of a small encoder.
"""

from __future__ import annotations

import json
import math
import shutil
import zlib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exoclass.config import load_config, shipped
from exoclass.encoder import load_masked_lm, load_tokenizer, read_vocabulary, replace_vocabulary, save_encoder
from exoclass.unlabelled import Schedule, batches, blocks_of, digest_of, learn

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

RECORD = "adapt.json"
"""What was done, beside the weights."""

_HIDDEN = -100  # torch's and transformers' mark for "no label here"


@dataclass(frozen=True, slots=True)
class AdaptConfig(Schedule):
    """The whole content of ``configs/adapt.toml``, where each value has its reason."""

    mask_probability: float

    @classmethod
    def load(cls, path: Path | None = None) -> AdaptConfig:
        """Read a configuration, by default the shipped one; raises `ConfigError`."""
        return load_config(path or shipped("configs/adapt.toml"), cls)


@dataclass(frozen=True, slots=True)
class Adapted:
    """What `adapt` did: perplexities are per hidden token of held-out abstracts."""

    texts: int
    blocks: int
    steps: int
    perplexity_before: float
    perplexity_after: float


def adapt(
    texts: Iterable[str],
    base: str,
    out: Path,
    config: AdaptConfig,
    *,
    steps: int,
    vocabulary: Path | None = None,
    force: bool = False,
    bar: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Adapted:
    """Pretrain an encoder on and save it, half precision, to a new folder.

    Tokens and checkpoints lie in ``OUT.part`` until all is done; a run that was stopped goes on from there and gives
    what it would have given.

    Parameters
    ----------
    texts
        Unlabelled abstracts.
    base
        A local folder or the name of a hub checkpoint.
    steps
        How many batches to learn from; the learning rate falls to zero over them.
    vocabulary
        A WordPiece vocabulary to use instead of the checkpoint's own.
    bar
        Show a progress bar on stderr.

    Raises
    ------
    CorpusError
        If there is too little text.
    ModelError
        If `base` is no encoder, an unfinished run in ``OUT.part`` had other settings, the loss is no number, or the
        memory is full.
    """
    from transformers import set_seed

    set_seed(config.seed)  # the head starts at random
    tokenizer, model = load_tokenizer(base), load_masked_lm(base)
    if vocabulary is not None:
        tokenizer = replace_vocabulary(model, tokenizer, read_vocabulary(vocabulary))
    work = Path(f"{out}.part")
    chosen = list(texts)
    blocks, held = blocks_of(chosen, tokenizer, config, work, digest_of(chosen, config, base, steps, vocabulary))
    collator = _collator(tokenizer, config)
    before = _perplexity(model, held, collator, config)
    progress(f"{len(blocks):,} blocks of {config.max_tokens} tokens; held-out perplexity {before:,.1f}")
    learn(model, blocks, collator, _loss, work, config, steps=steps, bar=bar, progress=progress)
    after = _perplexity(model, held, collator, config)
    result = Adapted(len(chosen), len(blocks), steps, round(before, 2), round(after, 2))
    told = {"base": Path(base).name, "config": asdict(config), "vocabulary": vocabulary and vocabulary.name}
    save_encoder(out, model, tokenizer, RECORD, told | asdict(result), force=force)
    shutil.rmtree(work, ignore_errors=True)
    return result


def _collator(tokenizer: PreTrainedTokenizerFast, config: AdaptConfig) -> Any:  # noqa: ANN401 - a class made here
    import torch
    from transformers import DataCollatorForLanguageModeling

    class Collator(DataCollatorForLanguageModeling):
        """Hides words by a draw that depends on the batch alone: the same before and after, and when a run resumes."""

        def __call__(self, features: list[dict[str, Any]], return_tensors: str | None = None) -> Any:  # noqa: ANN401
            content = json.dumps([row["input_ids"] for row in features]).encode()
            self.generator = torch.Generator().manual_seed(config.seed + zlib.crc32(content))
            return super().__call__(features, return_tensors)

    return Collator(
        tokenizer, mlm_probability=config.mask_probability, whole_word_mask=True, mask_replace_prob=1.0,
        random_replace_prob=0.0,
    )  # fmt: skip


def _loss(model: PreTrainedModel, inputs: dict[str, Any]) -> Any:  # noqa: ANN401 - a torch tensor
    """Return the mean loss over hidden tokens; the head is applied to them alone where its place is known."""
    from torch.nn.functional import cross_entropy

    labels = inputs.pop("labels")
    head = getattr(model, "cls", None) or getattr(model, "lm_head", None)
    if head is None:
        return model(**inputs, labels=labels).loss
    hidden = labels != _HIDDEN
    return cross_entropy(head(model.base_model(**inputs).last_hidden_state[hidden]), labels[hidden])


def _perplexity(model: PreTrainedModel, held: Dataset, collator: Any, config: AdaptConfig) -> float:  # noqa: ANN401
    import torch

    model.eval()
    total = count = 0.0
    with torch.inference_mode():
        for batch in batches(held, collator, config, model):
            hidden = int((batch["labels"] != _HIDDEN).sum())
            total += float(_loss(model, batch)) * hidden
            count += hidden
    return math.exp(min(total / max(count, 1), 50.0))
