"""The transformer backend: an encoder read by ONNX Runtime, and a head of plain arrays.

torch and transformers are needed to fit, not to predict. The score of a label is a sum over tokens, so each token's
share in it is known exactly (see `exoclass.attention`).
"""

from __future__ import annotations

import json
import re
import tempfile
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from exoclass.attention import LabelAttention, Singles
from exoclass.backend import QUIET, Attribution, Bools, Floats, Ints, Run
from exoclass.config import parse_config
from exoclass.encoder import load_tokenizer
from exoclass.errors import ConfigError, ModelError
from exoclass.finetuning import Precision, TransformerConfig, finetune, split, tagger
from exoclass.learning import READ_AT_ONCE, graph_reader, known_states, special_ids, to_arrays
from exoclass.onnx_model import Graph, Parity, export, halve, parity
from exoclass.processes import side_by_side
from exoclass.quantising import quantise
from exoclass.windows import Window, batches, cut, of_texts, padded

MAX_BATCH_TOKENS = 512
"""Tokens read together: with 4,096 it took a quarter longer, as states no longer fit the cache."""

SHOWN = 32
"""Texts that show which numbers a graph has to bear, when its weights become integers."""

_GRAPH, _HEAD, _TOKENIZER, _SETTINGS = "model.onnx", "head.npz", "tokenizer.json", "transformer.json"
_UNREADABLE = (
    *(OSError, EOFError, zipfile.BadZipFile, RecursionError),
    *(ValueError, LookupError, TypeError, ConfigError),
)
_Graphs = dict[Precision, tuple[bytes, Graph]]
_NOTHING: Singles = np.zeros((0, 0), dtype=np.float32)
_NOWHERE: Ints = np.zeros((0, 2), dtype=np.int64)


class TransformerBackend:
    """A BERT-like encoder with one head over all labels.

    Parameters
    ----------
    config
        Hyper-parameters, stored as given.

    Attributes
    ----------
    graph_
        The encoder as an ONNX graph.
    head_
        What scores its states.
    tokenizer_
        Its tokenizer.
    special_
        Ids of the first, the last and the padding token.
    precision_, parity_
        Of the graph: "int8", "fp16" or "fp32", and how the small one compared with single precision, if one was made.
    """

    name: ClassVar[str] = "transformer"
    Config: ClassVar[type[TransformerConfig]] = TransformerConfig
    packages: ClassVar[tuple[str, ...]] = ("numpy", "scipy", "torch", "transformers", "onnxruntime")

    def __init__(self, config: TransformerConfig) -> None:
        self.config = config
        self._recent: dict[str, tuple[Ints, Singles]] = {}
        self._run = QUIET  # what it was fitted in: other folds may have read the texts that it is to score
        self.parity_: Parity | None = None

    def reusable(self) -> dict[str, Any] | None:
        """Return the graph, if the encoder in it stayed as it was; it has passed the gate."""
        return None if self.config.encoder_epochs else {"graphs": {self.precision_: (self._bytes, self.graph_)}}

    def fit(self, texts: Sequence[str], Y: Bools, mask: Bools, *, single: Sequence[int] = (), run: Run = QUIET) -> Self:
        """Fine-tune, export and make small; see `exoclass.backend.Backend.fit`.

        An encoder that stays as it is becomes a graph first, and the head learns from what this graph reads. The graph
        stays in single precision, with a warning, if the small one fails the parity gate on the texts kept aside.
        """
        config, learns = self.config, bool(self.config.encoder_epochs)
        dev, learnt = split(len(texts), config)
        aside = [texts[number] for number in dev]
        shown = [texts[number] for number in np.sort(learnt)[:SHOWN]]
        tokenizer = load_tokenizer(config.base)
        self.tokenizer_, self.special_ = tokenizer.backend_tokenizer, special_ids(tokenizer)
        self._run = QUIET if learns else run
        tune = partial(finetune, texts, Y, mask, single=single, run=run)
        if learns:
            tuned = tune(config)
            graphs: _Graphs = self._export(tuned.model.encoder, shown)
        else:  # the encoder is the same in all folds
            shared = {} if run.shared is None else run.shared
            if "graphs" not in shared:
                shared["graphs"] = self._export(tagger(config, Y.shape[1])[0].encoder, shown)
            graphs = shared["graphs"]
        for precision in graphs:
            self._use(*graphs[precision], precision)
            if not learns:
                tuned = tune(replace(config, precision=precision), read=graph_reader(self._states))
            self.head_ = to_arrays(tuned.model.head)
            exact = graphs.get("fp32")
            if exact is None or precision == "fp32" or self._passes(exact, aside, Y[dev], mask[dev], single):
                break
        if run.parent is not None and run.kept is not None:
            # All labels are learnt, whatever is kept: some of them alone would be learnt in another way.
            self.parity_, self.head_ = run.parent.parity_, self.head_.keeping(run.kept, run.parent.head_)
        return self

    def _export(self, encoder: Any, texts: Sequence[str]) -> _Graphs:  # noqa: ANN401 - see `export`
        """Return the encoder as a small graph, if one is wanted, and in "fp32"; the texts show what it has to bear."""
        with tempfile.TemporaryDirectory(prefix="exoclass-") as folder:
            exact, small = Path(folder, "exact.onnx"), Path(folder, "small.onnx")
            export(encoder, exact)
            if self.config.precision == "int8":
                quantise(exact, small, [ids for _, ids in self._batches(self._cut(texts))])
            elif self.config.precision == "fp16":
                halve(exact, small)
            paths: dict[Precision, Path] = {self.config.precision: small} if small.exists() else {}
            return {name: (path.read_bytes(), Graph(path)) for name, path in (paths | {"fp32": exact}).items()}

    def _passes(
        self, exact: tuple[bytes, Graph], texts: Sequence[str], Y: Bools, mask: Bools, single: Sequence[int]
    ) -> bool:
        """Return whether the parity gate allows the graph in use to stand for the exact one, on these texts."""
        small = self._bytes, self.graph_, self.precision_
        self._use(*exact, "fp32")
        before = self.scores(texts)
        self._use(*small)
        self.parity_ = parity(before, self.scores(texts), Y, mask, single)
        if not self.parity_.holds:
            warnings.warn(
                f"weights in {self.precision_} would shift a probability by {self.parity_.shift:.3f} and "
                f"cost a label {100 * self.parity_.f1_loss:.1f} points of F1, so the model stays in fp32",
                stacklevel=3,
            )
        return self.parity_.holds

    def with_columns(self, columns: Sequence[int | None], *, single: Sequence[int] = ()) -> Self:
        """Return a model that has these columns of this one; see `exoclass.backend.Backend.with_columns`."""
        other = type(self)(self.config)
        other.tokenizer_, other.special_, other.parity_ = self.tokenizer_, self.special_, self.parity_
        other._use(self._bytes, self.graph_, self.precision_)
        other.head_ = self.head_.with_columns(columns)
        return other

    def scores(self, texts: Sequence[str]) -> Floats:
        """Return raw scores, shape (n, n_labels)."""
        self._recent = dict(zip(texts, self._read(texts), strict=True))  # `attribute` is asked for these texts next
        sums = [self._recent[text][1].sum(axis=0, dtype=np.float64) for text in texts]
        return np.asarray(np.reshape(sums, (len(texts), len(self.head_.bias))) + self.head_.bias)

    def attribute(self, text: str, columns: Sequence[int]) -> Attribution:
        """Return the share of every word, parts between white space taken together, in the scores of `columns`."""
        spans, shares = self._recent.get(text) or self._read([text])[0]
        chosen = list(columns)
        base = self.head_.bias[chosen]
        if not len(spans):
            none = np.zeros((0, 2), dtype=np.int64)
            return Attribution(none, none[:, 0], np.zeros((len(chosen), 0)), base)
        words, owner = _words(text, spans)
        weights = np.zeros((len(chosen), len(words)))
        np.add.at(weights.T, owner, shares[:, chosen].astype(np.float64))
        names = [text[start:end].casefold() for start, end in words]
        terms = {name: number for number, name in enumerate(dict.fromkeys(names))}
        return Attribution(words, np.array([terms[name] for name in names]), weights, base)

    def save(self, folder: Path) -> None:
        """Write ``model.onnx``, ``head.npz``, ``tokenizer.json`` and ``transformer.json`` (settings)."""
        (folder / _GRAPH).write_bytes(self._bytes)
        np.savez(folder / _HEAD, **{field.name: getattr(self.head_, field.name) for field in fields(LabelAttention)})
        self.tokenizer_.save(str(folder / _TOKENIZER))
        told = {
            "config": asdict(self.config), "special": self.special_, "precision": self.precision_,
            "parity": self.parity_ and asdict(self.parity_),
        }  # fmt: skip
        (folder / _SETTINGS).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")

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
            with np.load(folder / _HEAD, allow_pickle=False) as arrays:
                backend.head_ = LabelAttention(**{field.name: arrays[field.name] for field in fields(LabelAttention)})
            backend.tokenizer_ = Tokenizer.from_str((folder / _TOKENIZER).read_text(encoding="utf-8"))
            content = (folder / _GRAPH).read_bytes()
            if told.get("parity"):
                backend.parity_ = parse_config(told["parity"], Parity, str(folder / _SETTINGS))
        except _UNREADABLE as error:
            raise ModelError(f"{folder} holds no usable transformer: {error}", "Train or download it again.") from error
        except Exception as error:  # what tokenizers raises for a faulty file is a bare Exception
            raise ModelError(f"{folder / _TOKENIZER} is no tokenizer", "Train or download the model again.") from error
        backend._use(content, Graph(folder / _GRAPH), str(told.get("precision")))
        states = backend.graph_.states(np.array([[first, last]]))
        if not backend.head_.fits_itself or states.shape[-1:] != backend.head_.queries.shape[-1:]:
            raise ModelError(f"{folder}: graph and head do not fit each other", "Train or download it again.")
        return backend

    def _use(self, content: bytes, graph: Graph, precision: str) -> None:
        self._bytes, self.graph_, self.precision_ = content, graph, precision

    def _read(self, texts: Sequence[str]) -> list[tuple[Ints, Singles]]:
        """Return the tokens of each text: where they stand, and their shares, shape (n_tokens, n_labels)."""
        return [
            found
            for start in range(0, len(texts), READ_AT_ONCE)
            for found in self._read_some(texts[start : start + READ_AT_ONCE])
        ]

    def _read_some(self, texts: Sequence[str]) -> list[tuple[Ints, Singles]]:
        windows, known = self._cut(texts), known_states(self.precision_, self._run)
        new = [window for window in windows if texts[window.text] not in known]
        spans = of_texts(windows, [window.spans for window in windows])
        states = of_texts(new, self._states(new))
        where = [np.concatenate(spans.get(number, [_NOWHERE])) for number in range(len(texts))]
        read = [
            known[text].float().numpy() if text in known else np.concatenate(states.get(number, [_NOTHING]))
            for number, text in enumerate(texts)
        ]
        return list(zip(where, side_by_side(self.head_.shares, read), strict=True))

    def _cut(self, texts: Sequence[str]) -> list[Window]:
        return cut(texts, self.tokenizer_, self.config.max_tokens)

    def _batches(self, windows: Sequence[Window]) -> list[tuple[list[int], Ints]]:
        """Return numbers of windows that are read together, and their token ids."""
        return [
            (batch, padded([windows[number] for number in batch], *self.special_)[0])
            for batch in batches(windows, MAX_BATCH_TOKENS, padding=False)
        ]

    def _states(self, windows: Sequence[Window]) -> list[Singles]:
        """Return the states of the tokens of each window, shape (n_tokens, width)."""
        found: list[Singles] = [_NOTHING] * len(windows)
        read = self._batches(windows)
        for (batch, _), states in zip(read, side_by_side(self.graph_.states, [ids for _, ids in read]), strict=True):
            for number, own in zip(batch, states, strict=True):
                found[number] = own[1:-1]  # the first and the last token stand for no characters
        return found


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
