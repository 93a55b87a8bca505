"""The plain Hugging Face text-classification pipeline, measured as a yardstick for the speed of exoclass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING, Any

from exoclass.speed import Speed, speed_of, timed

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

MAX_TOKENS = 512
"""Longest text that the pipeline reads: what BERT-like encoders were pretrained with; the rest is cut off."""


@dataclass(frozen=True, slots=True)
class BatchSpeed:
    """How fast the pipeline went with one batch size."""

    batch_size: int
    speed: Speed


@dataclass(frozen=True, slots=True)
class PipelineResult:
    """What was measured of the Hugging Face text-classification pipeline, on the CPU in single precision.

    Parameters
    ----------
    tokens_per_record
        Mean, special tokens included, before anything is cut off.
    truncated
        How many records were longer than `max_tokens`.
    weight_bytes
        Of the parameters in memory.
    """

    base: str
    n_labels: int
    threads: int
    weight_bytes: int
    max_tokens: int
    tokens_per_record: float
    truncated: int
    batches: tuple[BatchSpeed, ...]
    best: BatchSpeed


def measure_pipeline(
    base: str,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    texts: Sequence[str],
    sizes: Sequence[int],
    repeats: int,
    progress: Callable[[str], None],
) -> PipelineResult:
    """Measure the pipeline with what `exoclass.encoder.load_sequence_classifier` returned, each batch size in turn.

    Every label gets a sigmoid probability, as from exoclass; a text longer than the encoder reads is cut off.

    Raises
    ------
    ModelError
        If a text did not get a score for each label.
    """
    import torch
    from transformers import pipeline

    longest = min(tokenizer.model_max_length, int(getattr(model.config, "max_position_embeddings", 512)), MAX_TOKENS)
    lengths = [len(ids) for ids in tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]]
    n_labels = int(model.config.num_labels or 0)
    tag: Any = pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")
    wanted = {"top_k": None, "function_to_apply": "sigmoid", "truncation": True, "max_length": longest}

    def work(texts: Sequence[str], size: int) -> int:
        return sum(len(scores) == n_labels for scores in tag(list(texts), batch_size=size, **wanted))

    work(texts[: max(sizes)], max(sizes))  # what is set up at the first call is not counted
    runs: dict[int, list[tuple[float, float]]] = {size: [] for size in sizes}
    for number in range(1, repeats + 1):
        for size in sizes:
            progress(f"pipeline on {base}, run {number} of {repeats}: batches of {size}")
            runs[size].append(timed(partial(work, texts, size), len(texts)))
    found = tuple(BatchSpeed(size, speed_of(taken, len(texts))) for size, taken in runs.items())
    return PipelineResult(
        base=base,
        n_labels=n_labels,
        threads=torch.get_num_threads(),
        weight_bytes=sum(weights.numel() * weights.element_size() for weights in model.parameters()),
        max_tokens=longest,
        tokens_per_record=round(fmean(lengths), 1),
        truncated=sum(length > longest for length in lengths),
        batches=found,
        best=max(found, key=lambda batch: batch.speed.per_second),
    )
