"""Supervised warm-up: an encoder learns the MeSH headings of indexed abstracts before it sees our labels.

Two kinds of columns are learnt together: our disease labels, as far as headings give them through the MeSH trees, and
the most frequent headings themselves, which say what happened to whom (mice, apoptosis, cohort studies). The head is
thrown away; headings are never model input.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from exoclass import checkpoints
from exoclass.backend import Bools, Run
from exoclass.config import load_config, shipped
from exoclass.encoder import save_encoder
from exoclass.errors import CorpusError
from exoclass.finetuning import TransformerConfig, finetune
from exoclass.mesh import DiseaseHeadings, heading_key
from exoclass.records import Record

RECORD = "warm-up.json"
"""What was done, beside the weights."""


@dataclass(frozen=True, slots=True)
class WarmUpConfig:
    """The whole content of ``configs/warm-up.toml``, where each value has its reason."""

    min_records: int
    max_headings: int
    transformer: TransformerConfig

    @classmethod
    def load(cls, path: Path | None = None) -> WarmUpConfig:
        """Read a configuration, by default the shipped one; raises `ConfigError`."""
        return load_config(path or shipped("configs/warm-up.toml"), cls)


@dataclass(frozen=True, slots=True)
class Targets:
    """What is learnt from indexed records: columns, and which hold, shape (n_records, n_columns)."""

    columns: tuple[str, ...]
    Y: Bools


@dataclass(frozen=True, slots=True)
class WarmedUp:
    """What `warm_up` did."""

    records: int
    unindexed: int
    labels: int
    headings: int


def targets(records: Iterable[Record], headings: DiseaseHeadings, config: WarmUpConfig) -> Targets:
    """Return the disease labels and the frequent headings of indexed records.

    Raises
    ------
    CorpusError
        If no label and no heading is frequent enough to be learnt.
    """
    given = [
        {*(f"disease:{label}" for term in record.mesh_terms for label in headings.labels(term))}
        | {f"mesh:{heading_key(term)}" for term in record.mesh_terms}
        for record in records
    ]
    counts = Counter(name for names in given for name in names)
    common = sorted(
        (name for name, count in counts.items() if config.min_records <= count <= len(given) // 2),
        key=lambda name: (-counts[name], name),
    )
    labels = [name for name in common if name.startswith("disease:")]
    columns = labels + [name for name in common if name.startswith("mesh:")][: config.max_headings]
    if not columns:
        raise CorpusError(
            f"no heading stands on {config.min_records} of the {len(given):,} indexed records",
            "Give it more records, or a configuration with a smaller min_records.",
        )
    return Targets(tuple(columns), np.array([[name in names for name in columns] for names in given], dtype=bool))


def warm_up(
    records: Iterable[Record],
    headings: DiseaseHeadings,
    base: str,
    out: Path,
    config: WarmUpConfig,
    *,
    force: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> WarmedUp:
    """Train an encoder on the headings of records and save it, half precision, to a new folder.

    Checkpoints lie in ``OUT.part`` until all is done; a run that was stopped goes on from there.

    Raises
    ------
    CorpusError
        If there are too few indexed records.
    ModelError
        If `base` is no encoder or the loss is no number.
    """
    read = list(records)
    indexed = [record for record in read if record.mesh_terms]
    if not indexed:
        raise CorpusError(
            f"none of {len(read):,} records has MeSH headings",
            "Give them as a list in a key named mesh, or export MEDLINE or XML from PubMed.",
        )
    found = targets(indexed, headings, config)
    result = WarmedUp(
        records=len(indexed),
        unindexed=len(read) - len(indexed),
        labels=sum(name.startswith("disease:") for name in found.columns),
        headings=sum(name.startswith("mesh:") for name in found.columns),
    )
    progress(
        f"{result.records:,} indexed records, {result.labels} disease labels, {result.headings} headings; "
        f"{result.unindexed:,} records without headings are left out"
    )
    work = Path(f"{out}.part")
    tuned = finetune(
        [record.text for record in indexed], found.Y, np.ones_like(found.Y),
        replace(config.transformer, base=base), run=Run(progress, work),
    )  # fmt: skip
    told = {"base": Path(base).name, "config": asdict(config), "trees": headings.tree.files}
    save_encoder(out, tuned.model.encoder.encoder, tuned.tokenizer, RECORD, told | asdict(result), force=force)
    checkpoints.clear(work)
    return result
