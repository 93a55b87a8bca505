"""The transformer backend beyond the contract of every backend: what it learns from, reads, explains and refuses."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from conftest import tiny_transformer

from exoclass import learning, transformer
from exoclass.backend import Bools, Floats, Run
from exoclass.classifier import Classifier
from exoclass.corpus import Corpus
from exoclass.errors import CorpusError, ModelError
from exoclass.finetuning import TransformerConfig, Tuned, finetune, tagger
from exoclass.learning import TextData, special_ids, torch_reader
from exoclass.onnx_model import Parity
from exoclass.taxonomy import Taxonomy
from exoclass.trainconfig import TrainConfig
from exoclass.training import train
from exoclass.transformer import TransformerBackend
from exoclass.windows import cut

WORDS = ("collagen", "melanoma")


@pytest.fixture(scope="module")
def config(tiny_encoder: Path) -> TransformerConfig:
    return tiny_transformer(tiny_encoder, max_tokens=16)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    filler = "vesicles were given to mice and the treated groups were studied for days".split()
    generator = np.random.default_rng(2)
    # Were the other words in all texts, and this one always the last, they and its place would tell as much as it does.
    chosen = [[*generator.choice(filler, 6, replace=False), WORDS[row % 2]] for row in range(48)]
    return [" ".join(generator.permutation(words)) for words in chosen]


@pytest.fixture(scope="module")
def Y() -> Bools:  # noqa: N802 - the name that the design gives a label matrix
    return np.array([[row % 2 == 0, row % 2 == 1] for row in range(48)])


@pytest.fixture(scope="module")
def fitted(config: TransformerConfig, texts: list[str], Y: Bools) -> TransformerBackend:
    # What a layer above knows of a word, its neighbours may tell as well; so great a penalty makes the epochs count.
    words = replace(config, read_layers=(0,), head_penalty=10.0, head_dropout=0.0, encoder_epochs=25)
    return TransformerBackend(words).fit(texts, Y, np.ones_like(Y), single=[0, 1])


def test_a_choice_of_one_is_learnt_by_softmax(fitted: TransformerBackend, texts: list[str], Y: Bools) -> None:
    assert (fitted.scores(texts).argmax(axis=1) == Y.argmax(axis=1)).mean() > 0.9


def test_a_long_text_is_read_to_its_end(fitted: TransformerBackend) -> None:
    filler = "vesicles were given to mice " * 30
    without, at_the_end = fitted.scores([filler, f"{filler} {'melanoma ' * 40}"])
    assert at_the_end[1] > without[1] + 0.1


def test_the_tokens_of_all_windows_of_a_text_are_attended_to_together(fitted: TransformerBackend) -> None:
    text = "melanoma " * 8
    windows = cut([text], fitted.tokenizer_, fitted.config.max_tokens)
    assert len(windows) > 1
    shares = fitted.head_.shares(np.concatenate(fitted._states(windows)))
    assert fitted.scores([text])[0] == pytest.approx(shares.sum(axis=0) + fitted.head_.bias, rel=1e-5)


def test_the_word_that_decides_is_the_evidence(fitted: TransformerBackend) -> None:
    text = "Vesicles were given to (melanoma) mice"
    found = fitted.attribute(text, [1])
    start, end = found.spans[found.weights[0].argmax()]
    assert text[start:end] == "melanoma"


def test_leaving_out_the_evidence_lowers_the_score_more_than_leaving_out_any_other_word(
    fitted: TransformerBackend,
) -> None:
    words = "vesicles were given to melanoma mice".split()
    whole = fitted.scores([" ".join(words)])[0, 1]
    without = fitted.scores([" ".join(words[:n] + words[n + 1 :]) for n in range(len(words))])[:, 1]
    assert words[int((whole - without).argmax())] == "melanoma"


def test_evidence_of_a_text_just_scored_needs_no_second_reading(
    fitted: TransformerBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted.scores(["melanoma mice"])
    monkeypatch.setattr(fitted, "graph_", None)
    assert fitted.attribute("melanoma mice", [0, 1]).weights.shape == (2, 2)


def test_too_few_texts_are_refused(config: TransformerConfig, texts: list[str], Y: Bools) -> None:
    with pytest.raises(CorpusError, match="3 texts are too few"):
        TransformerBackend(config).fit(texts[:3], Y[:3], np.ones_like(Y[:3]))


def test_a_loss_that_is_no_number_is_one_line(config: TransformerConfig, texts: list[str], Y: Bools) -> None:
    with pytest.raises(ModelError, match=r"the loss .*is no number\. Lower the learning rates"):
        TransformerBackend(replace(config, learning_rate=1e30)).fit(texts, Y, np.ones_like(Y))


def test_it_stops_when_nothing_is_gained(config: TransformerConfig, texts: list[str], Y: Bools) -> None:
    lines: list[str] = []
    still = replace(
        config, learning_rate=1e-12, query_learning_rate=1e-12, value_learning_rate=1e-12, patience=2, head_dropout=0.0,
        epochs=9, encoder_epochs=0,
    )  # fmt: skip
    TransformerBackend(still).fit(texts, Y, np.ones_like(Y), run=Run(lines.append))
    assert len(lines) < 9
    assert lines[1].startswith("the head alone: loss on 5 texts kept aside 0.")
    assert lines[2].startswith("head, epoch 1 of 9: loss on 5 texts kept aside 0.")


@pytest.mark.parametrize("precision", ["int8", "fp16"])
@pytest.mark.parametrize("gate", [Parity(0.0, 0.0), Parity(0.2, 0.0)])
def test_the_small_graph_is_used_only_if_the_gate_lets_it(
    config: TransformerConfig, texts: list[str], Y: Bools, gate: Parity, precision: Literal["int8", "fp16"],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.setattr(transformer, "parity", lambda *_: gate)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        short = replace(config, precision=precision, encoder_epochs=1)
        backend = TransformerBackend(short).fit(texts, Y, np.ones_like(Y))
    assert backend.precision_ == (precision if gate.holds else "fp32")
    backend.save(tmp_path)
    assert TransformerBackend.load(tmp_path).parity_ == gate
    told = [str(warning.message) for warning in caught if "stays in fp32" in str(warning.message)]
    assert told == ([] if gate.holds else [told[0]])
    assert gate.holds or "shift a probability by 0.200" in told[0]


@pytest.mark.parametrize("name", ["model.onnx", "head.npz", "tokenizer.json", "transformer.json"])
def test_a_damaged_file_is_refused(fitted: TransformerBackend, name: str, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(ModelError):
        TransformerBackend.load(tmp_path)


def test_a_head_for_another_graph_is_refused(fitted: TransformerBackend, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    with np.load(tmp_path / "head.npz", allow_pickle=False) as arrays:
        narrow = {name: array[..., :5] if array.ndim == 3 else array for name, array in arrays.items()}
    np.savez(tmp_path / "head.npz", **narrow)
    with pytest.raises(ModelError, match="do not fit each other"):
        TransformerBackend.load(tmp_path)


def test_a_classifier_with_it_is_trained_saved_and_predicts(
    config: TransformerConfig, tiny_config: TrainConfig, labelled: Corpus, taxonomy: Taxonomy, tmp_path: Path
) -> None:
    settings = replace(tiny_config, backend="transformer", model=replace(config, encoder_epochs=1, max_tokens=64))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="labels without a positive example")
        clf, reports = train(labelled, taxonomy, settings)
    assert [axis.id for axis in reports[0].axes] == ["scope", "disease", "mechanism"]
    clf.save_pretrained(tmp_path / "model")
    again = Classifier.from_pretrained(tmp_path / "model")
    records = [item.record for item in labelled][:3]
    assert [p.tags for p in again.predict(records)] == [p.tags for p in clf.predict(records)]


def data_of(tuned: Tuned, texts: list[str], Y: Bools) -> TextData:
    encoder = tuned.model.encoder
    windows = cut(texts, tuned.tokenizer.backend_tokenizer, 16)
    return TextData(
        texts, windows, Y, Y, torch_reader(encoder, special_ids(tuned.tokenizer), half=False), encoder.width
    )


def scores_of(tuned: Tuned, texts: list[str], Y: Bools) -> Floats:
    """Return what torch says."""
    return np.asarray(data_of(tuned, texts, Y).scores(tuned.model.head, np.arange(len(texts))).mean(dim=1))


def test_without_epochs_only_a_head_is_fitted_on_the_means(
    config: TransformerConfig, texts: list[str], Y: Bools
) -> None:
    tuned = finetune(texts, Y, np.ones_like(Y), replace(config, encoder_epochs=0), single=[0, 1])
    start = tagger(config, 2)[0].state_dict()
    moved = {name for name, tensor in tuned.model.state_dict().items() if not torch.equal(tensor, start[name])}
    assert {name for name in moved if "pooler" not in name} == {
        f"head.{part}" for part in ("values", "bias", "mean", "scale")
    }
    assert (scores_of(tuned, texts, Y).argmax(axis=1) == Y.argmax(axis=1)).mean() > 0.9


def test_a_head_learns_to_attend_while_the_encoder_stays(config: TransformerConfig, texts: list[str], Y: Bools) -> None:
    tuned = finetune(texts, Y, np.ones_like(Y), replace(config, epochs=12, encoder_epochs=0, head_penalty=10.0))
    start = tagger(config, 2)[0].state_dict()
    moved = {name for name, tensor in tuned.model.state_dict().items() if not torch.equal(tensor, start[name])}
    assert "head.queries" in moved
    assert all(name.startswith("head.") or "pooler" in name for name in moved)


def test_the_layers_that_are_not_frozen_learn_after_the_head(
    config: TransformerConfig, texts: list[str], Y: Bools
) -> None:
    lines: list[str] = []
    both = replace(config, epochs=2, encoder_epochs=1, frozen_layers=1)
    tuned = finetune(texts, Y, np.ones_like(Y), both, run=Run(lines.append))
    start = tagger(config, 2)[0].state_dict()
    moved = {name for name, tensor in tuned.model.state_dict().items() if not torch.equal(tensor, start[name])}
    assert any(".layer.1." in name for name in moved)
    assert not any(".layer.0." in name or ".embeddings." in name for name in moved)
    stages = [line.partition(":")[0] for line in lines if ", epoch" in line]
    assert stages == ["head, epoch 1 of 2", "head, epoch 2 of 2", "encoder and head, epoch 1 of 1"]


def test_fits_that_share_encodings_read_no_text_twice(config: TransformerConfig, texts: list[str], Y: Bools) -> None:
    still, known = replace(config, epochs=12, encoder_epochs=0), dict[str, torch.Tensor]()
    first = finetune(texts, Y, np.ones_like(Y), still, run=Run(shared={"states in fp32": known}))
    assert set(known) == set(texts)
    again = finetune(texts, Y, np.ones_like(Y), still, run=Run(shared={"states in fp32": known}))
    assert torch.equal(first.model.head.queries, again.model.head.queries)
    known.update({text: torch.zeros_like(known[text]) for text in known})  # what is in them shows that they are read
    other = finetune(texts, Y, np.ones_like(Y), still, run=Run(shared={"states in fp32": known}))
    assert not torch.equal(first.model.head.values, other.model.head.values)


def test_fits_share_the_graph_of_an_encoder_that_stays_as_it_is(
    config: TransformerConfig, texts: list[str], Y: Bools
) -> None:
    still, run = replace(config, epochs=12, encoder_epochs=0), Run(shared={})
    one, other = (TransformerBackend(still).fit(texts, Y, np.ones_like(Y), run=run) for _ in range(2))
    assert one.graph_ is other.graph_
    learning = Run(shared={})
    TransformerBackend(replace(config, encoder_epochs=1)).fit(texts, Y, np.ones_like(Y), run=learning)
    assert not learning.shared  # an encoder that learns reads each text anew


def test_a_head_learns_from_what_the_graph_reads_and_no_text_is_read_again(
    config: TransformerConfig, texts: list[str], Y: Bools, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = Run(shared={})
    backend = TransformerBackend(replace(config, encoder_epochs=0)).fit(texts, Y, np.ones_like(Y), run=run)
    backend.save(tmp_path)
    monkeypatch.setattr(backend.graph_, "states", None)
    assert backend.scores(texts) == pytest.approx(TransformerBackend.load(tmp_path).scores(texts), abs=0.02)


def test_where_the_gate_refuses_the_small_graph_the_head_learns_from_the_exact_one(
    config: TransformerConfig, texts: list[str], Y: Bools, monkeypatch: pytest.MonkeyPatch
) -> None:
    still = replace(config, epochs=2, encoder_epochs=0, head_penalty=10.0)
    exact = TransformerBackend(still).fit(texts, Y, np.ones_like(Y))
    monkeypatch.setattr(transformer, "parity", lambda *_: Parity(0.2, 0.0))
    with pytest.warns(UserWarning, match="stays in fp32"):
        refused = TransformerBackend(replace(still, precision="int8")).fit(texts, Y, np.ones_like(Y))
    assert np.array_equal(refused.scores(texts), exact.scores(texts))
    monkeypatch.setattr(transformer, "parity", lambda *_: Parity(0.0, 0.0))
    small = TransformerBackend(replace(still, precision="int8")).fit(texts, Y, np.ones_like(Y))
    assert not np.array_equal(small.head_.values, exact.head_.values)


def test_a_text_without_a_word_has_states(config: TransformerConfig, Y: Bools) -> None:
    data = data_of(Tuned(*tagger(config, 2)), ["", "mice"], Y[:2])
    assert data.means(np.array([0])).tolist() == [[0.0] * 64]
    assert data.means(np.array([1, 0])).shape == (2, 64)


def test_layers_that_are_not_there_are_one_line(config: TransformerConfig) -> None:
    with pytest.raises(ModelError, match=r"read_layers \[1, 3\] are not in an encoder of 2 layers"):
        tagger(replace(config, read_layers=(1, 3)), 2)


def test_texts_beyond_what_fits_into_memory_are_read_anew(
    config: TransformerConfig, texts: list[str], Y: Bools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "MOST_KNOWN", 6400)
    still, known = replace(config, epochs=12, encoder_epochs=0), dict[str, torch.Tensor]()
    tuned = finetune(texts, Y, np.ones_like(Y), still, run=Run(shared={"states in fp32": known}))
    assert 0 < sum(state.numel() for state in known.values()) <= 6400
    assert ((scores_of(tuned, texts, Y) > 0) == Y).mean() > 0.9
