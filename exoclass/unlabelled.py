"""Learning from unlabelled text: abstracts packed into blocks, and a loop that goes on where it was stopped.

transformers' Trainer does the loop, the checkpoints and the resuming.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exoclass.encoder import half_precision
from exoclass.errors import CorpusError, ModelError

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


@dataclass(frozen=True, slots=True)
class Schedule:
    """How to learn; each value is explained in the file that it comes from."""

    max_tokens: int
    batch_size: int
    learning_rate: float
    warmup_share: float
    weight_decay: float
    held_out: int
    save_every: int
    seed: int


def digest_of(texts: list[str], config: Schedule, *settings: object) -> str:
    """Return what tells one run from another, so that a checkpoint is never taken up by a different one."""
    told = json.dumps([asdict(config), *map(str, settings)])
    return hashlib.sha256("\0".join([told, *texts]).encode(errors="surrogatepass")).hexdigest()


def blocks_of(
    texts: list[str], tokenizer: PreTrainedTokenizerFast, config: Schedule, work: Path, digest: str
) -> tuple[Dataset, Dataset]:
    """Return training and held-out blocks (see `pack`), tokenised once and kept in `work`.

    Parameters
    ----------
    digest
        What tells this run from others; see `digest_of`.

    Raises
    ------
    CorpusError
        If there is too little text.
    ModelError
        If `work` belongs to another run.
    """
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


def batches(
    blocks: Dataset, collate: Callable[..., dict[str, Any]], config: Schedule, model: PreTrainedModel
) -> Iterator[dict[str, Any]]:
    """Yield blocks batch by batch, in their order, where the model is."""
    for start in range(0, len(blocks), config.batch_size):
        batch = collate([blocks[row] for row in range(start, min(start + config.batch_size, len(blocks)))])
        yield {name: tensor.to(model.device) for name, tensor in batch.items()}


def learn(
    model: PreTrainedModel,
    blocks: Dataset,
    collate: Callable[..., dict[str, Any]],
    loss_of: Callable[[Any, dict[str, Any]], Any],
    work: Path,
    config: Schedule,
    *,
    steps: int,
    bar: bool,
    progress: Callable[[str], None],
) -> None:
    """Let a model learn from blocks, in place; a run that was stopped goes on from its last checkpoint in `work`.

    Parameters
    ----------
    collate
        Makes a batch of tensors of some blocks.
    loss_of
        Gives the loss of a model on a batch, a torch tensor.
    steps
        How many batches to learn from; the learning rate falls to zero over them.
    bar
        Show a progress bar on stderr.

    Raises
    ------
    ModelError
        If the loss is no number, or the memory is full.
    """
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

    class OurTrainer(Trainer):
        def compute_loss(self, model: Any, inputs: dict[str, Any], *_: Any, **__: Any) -> Any:  # noqa: ANN401
            # Trainer readies the forward pass of the model alone for half precision, and a loss may call its parts.
            with torch.autocast(model.device.type, torch.bfloat16, enabled=half):
                return loss_of(model, inputs)

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
    trainer = OurTrainer(model=model, args=arguments, train_dataset=blocks, data_collator=collate, callbacks=[Watch()])
    trainer.remove_callback(PrinterCallback)  # it writes to stdout, which is for data
    try:
        trainer.train(resume_from_checkpoint=get_last_checkpoint(str(work)))
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise ModelError(
            "the memory is full", "Use a configuration with a smaller batch_size or max_tokens."
        ) from error
