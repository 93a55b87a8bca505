"""Continued pretraining: an encoder reads unlabelled abstracts and learns to fill in hidden words.

Masked-language-model pretraining goes on as in Gururangan et al. 2020 (domain-adaptive pretraining) with whole words
hidden. transformers' Trainer does the loop, the checkpoints and the resuming; what is ours is the packing of abstracts
into blocks and a head that is applied to hidden words alone, which halves the work of a small encoder.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exoclass.config import load_config, shipped
from exoclass.encoder import (
    half_precision,
    load_masked_lm,
    load_tokenizer,
    read_vocabulary,
    replace_vocabulary,
    save_encoder,
)
from exoclass.errors import CorpusError, ModelError

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

RECORD = "adapt.json"
"""What was done, beside the weights."""

_HIDDEN = -100  # torch's and transformers' mark for "no label here"


@dataclass(frozen=True, slots=True)
class AdaptConfig:
    """The whole content of ``configs/adapt.toml``, where each value has its reason."""

    max_tokens: int
    batch_size: int
    mask_probability: float
    learning_rate: float
    warmup_share: float
    weight_decay: float
    held_out: int
    save_every: int
    seed: int

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
    blocks, held = _blocks(chosen, tokenizer, config, work, _digest(chosen, base, config, steps, vocabulary))
    collator = _collator(tokenizer, config)
    before = _perplexity(model, held, collator, config.batch_size)
    progress(f"{len(blocks):,} blocks of {config.max_tokens} tokens; held-out perplexity {before:,.1f}")
    _train(model, blocks, collator, work, config, steps=steps, bar=bar, progress=progress)
    after = _perplexity(model, held, collator, config.batch_size)
    result = Adapted(len(chosen), len(blocks), steps, round(before, 2), round(after, 2))
    told = {"base": Path(base).name, "config": asdict(config), "vocabulary": vocabulary and vocabulary.name}
    save_encoder(out, model, tokenizer, RECORD, told | asdict(result), force=force)
    shutil.rmtree(work, ignore_errors=True)
    return result


def _digest(texts: list[str], base: str, config: AdaptConfig, steps: int, vocabulary: Path | None) -> str:
    """Return what tells one run from another, so that a checkpoint is never taken up by a different one."""
    settings = json.dumps([base, asdict(config), steps, str(vocabulary)])
    return hashlib.sha256("\0".join([settings, *texts]).encode(errors="surrogatepass")).hexdigest()


def _blocks(
    texts: list[str], tokenizer: PreTrainedTokenizerFast, config: AdaptConfig, work: Path, digest: str
) -> tuple[Dataset, Dataset]:
    """Return training and held-out blocks, tokenised once and kept in `work`."""
    from datasets import Dataset, disable_progress_bars, load_from_disk

    mark = work / "run.json"
    if mark.is_file():
        if json.loads(mark.read_text(encoding="utf-8")) != digest:
            raise ModelError(
                f"{work} holds an unfinished run with other texts or settings",
                "Remove it, or repeat that run as it was.",
            )
        return load_from_disk(str(work / "blocks")), load_from_disk(str(work / "held"))
    if len(texts) < 2 * config.held_out:
        raise CorpusError(
            f"{len(texts)} abstracts are too few when {config.held_out} are held out",
            "Give it more text, or a configuration with a smaller held_out.",
        )
    # Every k-th text is held out, so that all sources have their share.
    every = len(texts) // config.held_out
    held = [text for row, text in enumerate(texts) if row % every == 0][: config.held_out]
    learnt = (text for row, text in enumerate(texts) if row % every or row >= every * config.held_out)
    disable_progress_bars()
    parts = []
    for name, part in (("blocks", learnt), ("held", iter(held))):
        rows = list(pack(part, tokenizer, config.max_tokens))
        if len(rows) < config.batch_size:
            raise CorpusError("the texts are too short to fill one batch", "Give it more text.")
        Dataset.from_dict({key: [row[key] for row in rows] for key in rows[0]}).save_to_disk(str(work / name))
        parts.append(load_from_disk(str(work / name)))
    mark.write_text(json.dumps(digest), encoding="utf-8")  # last: what it marks is whole
    return parts[0], parts[1]


def pack(texts: Iterable[str], tokenizer: PreTrainedTokenizerFast, max_tokens: int) -> Iterator[dict[str, Any]]:
    """Yield blocks of exactly `max_tokens` tokens, texts one after another with a separator between them.

    Each block has ``input_ids`` and ``offset_mapping`` (where in its text each token stands, by which the collator
    sees what is one word). The rest that does not fill a block is left out.
    """
    first, last = (tokenizer.cls_token_id, (0, 0)), (tokenizer.sep_token_id, (0, 0))
    waiting: list[tuple[int, tuple[int, int]]] = []
    for text in texts:
        found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        waiting += [*zip(found["input_ids"], found["offset_mapping"], strict=True), last]
        while len(waiting) >= max_tokens - 2:
            block = [first, *waiting[: max_tokens - 2], last]
            del waiting[: max_tokens - 2]
            yield {"input_ids": [token for token, _ in block], "offset_mapping": [span for _, span in block]}


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


def _perplexity(model: PreTrainedModel, held: Dataset, collator: Any, batch_size: int) -> float:  # noqa: ANN401
    import torch

    model.eval()
    total = count = 0.0
    with torch.inference_mode():
        for start in range(0, len(held), batch_size):
            batch = dict(collator([held[row] for row in range(start, min(start + batch_size, len(held)))]))
            batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
            hidden = int((batch["labels"] != _HIDDEN).sum())
            total += float(_loss(model, batch)) * hidden
            count += hidden
    return math.exp(min(total / max(count, 1), 50.0))


def _train(
    model: PreTrainedModel,
    blocks: Dataset,
    collator: Any,  # noqa: ANN401 - the class is made when transformers is loaded
    work: Path,
    config: AdaptConfig,
    *,
    steps: int,
    bar: bool,
    progress: Callable[[str], None],
) -> None:
    import torch
    from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments
    from transformers.trainer_utils import get_last_checkpoint

    class Watch(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:  # noqa: ANN401
            loss = float((logs or {}).get("loss", 0.0))
            if not math.isfinite(loss):
                raise ModelError(f"the loss is no number at step {state.global_step}", "Lower learning_rate.")
            if loss and not bar:
                progress(f"step {state.global_step:,} of {steps:,}, loss {loss:.3f}")

    class MaskedTrainer(Trainer):
        def compute_loss(self, model: Any, inputs: dict[str, Any], *_: Any, **__: Any) -> Any:  # noqa: ANN401
            return _loss(model, inputs)

    gpu = torch.cuda.is_available()
    half = torch.cuda.is_bf16_supported() if gpu else half_precision(model)
    arguments = TrainingArguments(
        output_dir=str(work), max_steps=steps, per_device_train_batch_size=config.batch_size,
        learning_rate=config.learning_rate, weight_decay=config.weight_decay, lr_scheduler_type="linear",
        warmup_steps=max(1, round(config.warmup_share * steps)), save_steps=config.save_every, save_total_limit=2,
        logging_steps=20, logging_nan_inf_filter=False, seed=config.seed, data_seed=config.seed, bf16=half,
        use_cpu=half and not gpu, dataloader_pin_memory=gpu, remove_unused_columns=False, report_to="none",
        disable_tqdm=not bar, optim="adamw_torch_fused",
    )  # fmt: skip
    trainer = MaskedTrainer(
        model=model, args=arguments, train_dataset=blocks, data_collator=collator, callbacks=[Watch()]
    )
    trainer.remove_callback(PrinterCallback)  # it writes to stdout, which is for data
    try:
        trainer.train(resume_from_checkpoint=get_last_checkpoint(str(work)))
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise ModelError(
            "the memory is full", "Use a configuration with a smaller batch_size or max_tokens."
        ) from error
