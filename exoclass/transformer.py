"""The transformer backend: a fine-tuned encoder, read by ONNX Runtime.

torch and transformers are needed to fit, not to predict. The score of a label is the mean of the scores of the
tokens, so each token's share in it is known exactly (see `exoclass.finetuning`).
"""

from __future__ import annotations

import json
import re
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from exoclass.backend import QUIET, Attribution, Bools, Floats, Ints, Run
from exoclass.config import parse_config
from exoclass.errors import ConfigError, ModelError
from exoclass.finetuning import TransformerConfig, finetune
from exoclass.learning import inner_mask, special_ids
from exoclass.onnx_model import Graph, export, parity, quantise
from exoclass.windows import Window, batches, cut, padded

MAX_BATCH_TOKENS = 4096
"""Tokens read together, padding included: more gains nothing on a CPU."""

_GRAPH, _TOKENIZER, _SETTINGS = "model.onnx", "tokenizer.json", "transformer.json"


class TransformerBackend:
    """A fine-tuned BERT-like encoder with one linear head over all labels.

    Parameters
    ----------
    config
        Hyper-parameters, stored as given.

    Attributes
    ----------
    graph_
        The fitted model as an ONNX graph.
    tokenizer_
        Its tokenizer.
    special_
        Ids of the first, the last and the padding token.
    base_
        Shape (n_labels,): the scores of a text without any token.
    precision_, parity_
        Of the graph: "int8" or "fp32", and how it compares with the torch model.
    """

    name: ClassVar[str] = "transformer"
    Config: ClassVar[type[TransformerConfig]] = TransformerConfig

    def __init__(self, config: TransformerConfig) -> None:
        self.config = config
        self._recent: dict[str, tuple[list[Window], list[np.ndarray]]] = {}
        self._encoded: dict[str, Any] = {}

    def fit(self, texts: Sequence[str], Y: Bools, mask: Bools, *, single: Sequence[int] = (), run: Run = QUIET) -> Self:
        """Fine-tune, export and quantise; see `exoclass.backend.Backend.fit`.

        The graph stays in full precision, with a warning, if the small one fails the parity gate on the texts kept
        aside.
        """
        tuned = finetune(texts, Y, mask, self.config, single=single, run=run)
        self.tokenizer_, self.special_ = tuned.tokenizer.backend_tokenizer, special_ids(tuned.tokenizer)
        self.base_ = np.array(tuned.model.head.bias.tolist())  # type: ignore[union-attr,operator]  # nn.Module hides it
        if self.config.epochs == 0 and self.config.precision == "fp32":  # then a score is the head of an encoding
            self._encoded = run.encodings or {}
            self._head = np.array(tuned.model.head.weight.tolist())  # type: ignore[union-attr,operator]  # as above
        dev = list(tuned.dev)
        with tempfile.TemporaryDirectory(prefix="exoclass-") as folder:
            exact, small = Path(folder, "exact.onnx"), Path(folder, "small.onnx")
            export(tuned.model, exact)
            self._use(exact.read_bytes(), Graph(exact), "fp32")
            if self.config.precision == "int8":
                before = self.scores([texts[number] for number in dev])
                quantise(exact, small)
                full = (self._bytes, self.graph_)
                self._use(small.read_bytes(), Graph(small), "int8")
                after = self.scores([texts[number] for number in dev])
                self.parity_ = parity(before, after, Y[dev], mask[dev], single)
                if not self.parity_.holds:
                    warnings.warn(
                        f"8-bit weights would shift a probability by {self.parity_.shift:.3f} and cost a label "
                        f"{100 * self.parity_.f1_loss:.1f} points of F1, so the model stays in full precision",
                        stacklevel=2,
                    )
                    self._use(*full, "fp32")
        return self

    def scores(self, texts: Sequence[str]) -> Floats:
        """Return raw scores, shape (n, n_labels): means over the tokens of each text."""
        if texts and all(text in self._encoded for text in texts):  # the folds of a cross-validation know each other's
            encodings = np.stack([self._encoded[text].numpy() for text in texts]).astype(np.float64)
            return np.asarray(encodings @ self._head.T + self.base_)
        windows, tokens = self._read(texts)
        sums, counts = np.zeros((len(texts), len(self.base_))), np.zeros((len(texts), 1))
        self._recent = {}  # `attribute` is asked for these texts next, and need not read them again
        for window, found in zip(windows, tokens, strict=True):
            sums[window.text] += found.sum(axis=0, dtype=np.float64)
            counts[window.text] += len(found)
            kept = self._recent.setdefault(texts[window.text], ([], []))
            kept[0].append(window)
            kept[1].append(found)
        return np.where(counts > 0, sums / np.maximum(counts, 1), self.base_)

    def attribute(self, text: str, columns: Sequence[int]) -> Attribution:
        """Return the share of every word, parts between white space taken together, in the scores of `columns`."""
        windows, tokens = self._recent.get(text) or self._read([text])
        chosen = list(columns)
        base = self.base_[chosen]
        if not windows:
            none = np.zeros((0, 2), dtype=np.int64)
            return Attribution(none, none[:, 0], np.zeros((len(chosen), 0)), base)
        spans = np.concatenate([window.spans for window in windows])
        shares = (np.concatenate(tokens)[:, chosen].astype(np.float64) - base) / len(spans)
        words, owner = _words(text, spans)
        weights = np.zeros((len(chosen), len(words)))
        np.add.at(weights.T, owner, shares)
        names = [text[start:end].casefold() for start, end in words]
        terms = {name: number for number, name in enumerate(dict.fromkeys(names))}
        return Attribution(words, np.array([terms[name] for name in names]), weights, base)

    def save(self, folder: Path) -> None:
        """Write ``model.onnx``, ``tokenizer.json`` and ``transformer.json`` (settings and the head's bias)."""
        (folder / _GRAPH).write_bytes(self._bytes)
        self.tokenizer_.save(str(folder / _TOKENIZER))
        told = {"config": asdict(self.config), "special": self.special_, "base": self.base_.tolist()}
        content = json.dumps(told | {"precision": self.precision_}, indent=1)
        (folder / _SETTINGS).write_text(content + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        ModelError
            If a file is missing or does not fit the others.
        """
        from tokenizers import Tokenizer

        try:
            told = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
            backend = cls(parse_config(told["config"], TransformerConfig, str(folder / _SETTINGS)))
            first, last, padding = (int(number) for number in told["special"])
            backend.special_ = (first, last, padding)
            backend.base_ = np.array([float(number) for number in told["base"]])
            backend.tokenizer_ = Tokenizer.from_str((folder / _TOKENIZER).read_text(encoding="utf-8"))
            content = (folder / _GRAPH).read_bytes()
        except (OSError, ValueError, LookupError, TypeError, RecursionError, ConfigError) as error:
            raise ModelError(f"{folder} holds no usable transformer: {error}", "Train or download it again.") from error
        except Exception as error:  # what tokenizers raises for a faulty file is a bare Exception
            raise ModelError(f"{folder / _TOKENIZER} is no tokenizer", "Train or download the model again.") from error
        backend._use(content, Graph(folder / _GRAPH), str(told.get("precision")))
        found = backend.graph_.run(np.array([[first, last]]), np.ones((1, 2), dtype=np.int64))
        if found.shape[-1:] != backend.base_.shape or not np.isfinite(backend.base_).all():
            raise ModelError(f"{folder}: graph and settings do not fit each other", "Train or download it again.")
        return backend

    def _use(self, content: bytes, graph: Graph, precision: str) -> None:
        self._bytes, self.graph_, self.precision_ = content, graph, precision

    def _read(self, texts: Sequence[str]) -> tuple[list[Window], list[np.ndarray]]:
        """Return the windows of the texts and the scores of their tokens, each of shape (n_tokens, n_labels)."""
        windows = cut(texts, self.tokenizer_, self.config.max_tokens)
        found: list[np.ndarray] = [np.empty(0)] * len(windows)
        for batch in batches(windows, MAX_BATCH_TOKENS):
            ids, mask = padded([windows[number] for number in batch], *self.special_)
            scores = self.graph_.run(ids, mask)
            for row, number in enumerate(batch):
                found[number] = scores[row, inner_mask(mask[row : row + 1])[0] > 0]
        return windows, found


def _words(text: str, spans: Ints) -> tuple[Ints, Ints]:
    """Return the words that tokens stand in, shape (n_words, 2), and the word of each token.

    A word is what stands between white space, without punctuation at its ends.
    """
    places = np.array([match.span() for match in re.finditer(r"\S+", text)])
    used, owner = np.unique(np.searchsorted(places[:, 0], spans[:, 0], side="right") - 1, return_inverse=True)
    words = places[used]
    for row, (start, end) in enumerate(words):
        if inner := re.search(r"\w.*\w|\w", text[start:end]):
            words[row] = start + inner.start(), start + inner.end()
    return words, owner
