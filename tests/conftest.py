"""What many tests share: the shipped taxonomy, labelled records, a tiny real model, a way to run exoclass."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import eutils_server
import pytest
from eutils_server import Server
from hypothesis import HealthCheck, settings

from exoclass.classifier import Classifier
from exoclass.corpus import Corpus
from exoclass.finetuning import TransformerConfig
from exoclass.library import Library
from exoclass.records import Record
from exoclass.taxonomy import Taxonomy
from exoclass.trainconfig import TrainConfig
from exoclass.training import train

ROOT = Path(__file__).parent.parent
DATA = ROOT / "data" / "exosome_therapy.jsonl"
TINY = ROOT / "tests" / "fixtures" / "tiny.toml"
PER_SCOPE = 12

ABSTRACT = (
    "Chronic wounds are slow to close. Exosomes from mesenchymal stem cells were injected around skin wounds of "
    "diabetic mice. Closure was faster, and new vessels grew in the wound bed (P < 0.05). The vesicles carried "
    "microRNA that restrained inflammation. Exosomes may become a cell-free therapy for wound healing."
)


# No test may fail because the machine is slow.
settings.register_profile("exoclass", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("exoclass")


class Run(Protocol):
    """Runs ``python -m exoclass`` with the given arguments and returns what it wrote and its exit code."""

    def __call__(
        self, *args: str | Path, stdin: str = "", cwd: Path | None = None, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]: ...


def make_record(
    title: str = "Exosomes of stem cells speed wound healing in diabetic mice",
    abstract: str = ABSTRACT,
    *,
    pmid: str | None = None,
    doi: str | None = None,
    source: str = "",
    flags: tuple[str, ...] = (),
) -> Record:
    """Return a record about the therapy of wounds, or with whatever title and abstract are given."""
    return Record(title=title, abstract=abstract, pmid=pmid, doi=doi, source=source, flags=flags)


def clean_environment() -> dict[str, str]:
    """Return the environment without anything that changes how Python or exoclass behave."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "EXOCLASS", "COV"))}
    return kept | {"NO_COLOR": "1", "LC_ALL": "C.UTF-8", "TERM": "dumb"}


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Let what tests start be interrupted: a shell's background jobs ignore that, and so do all that they start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def taxonomy() -> Taxonomy:
    """Return the shipped taxonomy."""
    return Taxonomy.load()


@pytest.fixture(scope="session")
def labelled(taxonomy: Taxonomy) -> Corpus:
    """Return the first records of each scope in the shipped labelled set, in the order of the file."""
    seen: Counter[str] = Counter()
    chosen = []
    for item in Corpus.load([DATA], taxonomy):
        [scope] = [label.id for label in taxonomy.labels if label.axis == "scope" and label.id in item.labels] or [""]
        seen[scope] += 1
        if scope and seen[scope] <= PER_SCOPE:
            chosen.append(item)
    return Corpus(tuple(chosen))


@pytest.fixture(scope="session")
def tiny_config() -> TrainConfig:
    """Return the configuration of the tiny model."""
    return TrainConfig.load(TINY)


@pytest.fixture(scope="session")
def tiny_model(
    labelled: Corpus, taxonomy: Taxonomy, tiny_config: TrainConfig, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the folder of a real model trained on `labelled`; tests that change it copy it first."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="labels without a positive example")  # few records, many labels
        clf, _ = train(labelled, taxonomy, tiny_config)
    clf.save_pretrained(folder)
    return folder


def tiny_transformer(base: str | Path, **changes: object) -> TransformerConfig:
    """Return hyper-parameters with which an encoder as small as `tiny_encoder` learns in a second."""
    values: dict[str, Any] = {
        "base": str(base), "max_tokens": 24, "read_layers": (0, -1), "frozen_layers": 0, "heads": 2, "epochs": 0,
        "encoder_epochs": 12, "patience": 12, "batch_size": 8, "learning_rate": 3e-3, "query_learning_rate": 3e-2,
        "value_learning_rate": 3e-2, "layer_decay": 0.9, "weight_decay": 0.01, "head_weight_decay": 0.01,
        "head_penalty": 0.01, "head_dropout": 0.1, "warmup_share": 0.1, "max_positive_weight": 4.0, "dev_share": 0.1,
        "precision": "fp32", "seed": 3,
    }  # fmt: skip
    return TransformerConfig(**values | changes)


@pytest.fixture(scope="session")
def tiny_encoder(labelled: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a real BERT of two narrow layers with random weights and a vocabulary of its own."""
    import torch
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("encoders") / "tiny-bert"
    words = BertWordPieceTokenizer(lowercase=True)
    words.train_from_iterator(labelled.texts, vocab_size=800, show_progress=False)
    words.enable_truncation(12)  # as in checkpoints on the hub: exoclass has to read on all the same
    words.enable_padding(length=12)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words._tokenizer, model_max_length=64, pad_token="[PAD]", unk_token="[UNK]",
        cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]",
    )  # fmt: skip
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64,
    )  # fmt: skip
    BertForMaskedLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def clf() -> Classifier:
    """Return the shipped classifier."""
    return Classifier.from_pretrained()


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """Return a new library."""
    with Library.open(tmp_path / "x.db") as opened:
        yield opened


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Return a server that speaks E-utilities, asked directly and not through a proxy."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with eutils_server.serve() as running:
        yield running


@pytest.fixture
def record() -> Record:
    """Return one record with title and abstract."""
    return make_record()


@pytest.fixture(scope="session")
def run() -> Run:
    """Return a function that runs exoclass in a process of its own."""

    def call(
        *args: str | Path, stdin: str = "", cwd: Path | None = None, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "exoclass", *map(str, args)],
            input=stdin,
            cwd=cwd,
            env=clean_environment() | (env or {}),
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    return call
