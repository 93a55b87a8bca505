"""Measuring models and the plain pipeline: every figure is there, and speeds count what was asked for."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import pytest
from conftest import make_record

from exoclass import benchmark as under_test
from exoclass.benchmark import Benchmark, Sample, benchmark, sample
from exoclass.classifier import Classifier
from exoclass.encoder import load_sequence_classifier
from exoclass.errors import InputError, ModelError
from exoclass.records import Deletion, Record, Reject
from exoclass.speed import Speed, describe_machine, speed_of, timed
from exoclass.taxonomy import Taxonomy

N_RECORDS = 7
RECORDS = [make_record(f"Exosomes number {number} heal wounds", pmid=str(number)) for number in range(5)]


@pytest.fixture(scope="module")
def chosen() -> Sample:
    return sample(RECORDS[:3], N_RECORDS)


@pytest.fixture(scope="module")
def measured(chosen: Sample, tiny_model: Path, tiny_encoder: Path) -> Benchmark:
    return benchmark(
        chosen, [str(tiny_model)], repeats=1, batch_size=4, pipeline=str(tiny_encoder), pipeline_batches=(1, 2)
    )


@pytest.mark.parametrize(("n", "distinct"), [(2, 2), (5, 5), (12, 5)])
def test_records_are_cut_or_repeated_to_the_number_asked_for(n: int, distinct: int) -> None:
    found = sample(RECORDS, n)
    assert (len(found.records), found.distinct) == (n, distinct)
    assert list(found.records) == (RECORDS * 3)[:n]


def test_a_stream_is_read_no_further_than_needed() -> None:
    stream = iter(RECORDS)
    sample(stream, 2)
    assert next(stream) == RECORDS[2]


def test_what_is_no_record_is_left_out_and_counted() -> None:
    items: list[Record | Reject | Deletion] = [Reject("x", "line 1", "broken"), Deletion("1", "x"), *RECORDS]
    found = sample(items, 9)
    assert (found.distinct, found.rejected) == (5, 1)


def test_no_record_is_an_error() -> None:
    with pytest.raises(InputError, match="no record to measure with"):
        sample([Reject("x", "line 1", "broken")], 3)


def test_every_figure_of_a_model_is_measured(measured: Benchmark, tiny_model: Path, taxonomy: Taxonomy) -> None:
    [model] = measured.models
    assert (model.model, model.backend) == (Classifier.from_pretrained(tiny_model).id, "tfidf")
    assert model.n_labels == len(taxonomy.labels)
    assert model.size_bytes == sum(path.stat().st_size for path in tiny_model.iterdir())
    assert model.first_result_seconds > 0
    assert model.peak_memory_bytes > 10_000_000, "numpy alone takes more"
    for speed in (model.without_evidence, model.with_evidence, model.command):
        assert len(speed.seconds) == 1
        assert speed.per_second == pytest.approx(N_RECORDS / speed.seconds[0], rel=0.05)


def test_the_pipeline_is_measured_with_each_batch_size(
    measured: Benchmark, tiny_encoder: Path, taxonomy: Taxonomy
) -> None:
    found = measured.pipeline
    assert found is not None
    assert (found.base, found.n_labels) == (str(tiny_encoder), len(taxonomy.labels))
    assert [batch.batch_size for batch in found.batches] == [1, 2]
    assert found.best in found.batches
    assert found.best.speed.per_second == max(batch.speed.per_second for batch in found.batches)
    assert found.threads > 0
    assert found.weight_bytes > 4 * 800 * 32, "its embeddings alone have that many bytes"


def test_texts_longer_than_the_encoder_reads_are_cut(measured: Benchmark) -> None:
    found = measured.pipeline
    assert found is not None
    assert found.max_tokens == 64 < found.tokens_per_record
    assert found.truncated == N_RECORDS


def test_the_run_tells_what_it_was(measured: Benchmark, chosen: Sample) -> None:
    assert (measured.n_records, measured.distinct, measured.repeats, measured.batch_size) == (N_RECORDS, 3, 1, 4)
    assert measured.words_per_record == pytest.approx(len(chosen.records[0].text.split()), abs=0.1)


def test_the_machine_is_described() -> None:
    machine = describe_machine()
    assert all(part not in (None, "") for part in astuple(machine))
    assert 1 <= machine.usable_cores <= machine.cores
    assert machine.packages["numpy"]


def test_a_speed_is_that_of_the_median() -> None:
    assert speed_of([(1.0, 1.0), (4.0, 8.0), (2.0, 1.0)], 10) == Speed(5.0, (1.0, 4.0, 2.0), 1.0)


def test_a_run_that_tags_another_number_has_no_speed() -> None:
    with pytest.raises(ModelError, match="3 of 4 records were tagged"):
        timed(lambda: 3, 4)


def test_each_run_starts_with_a_model_just_loaded(
    chosen: Sample, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int, bool]] = []
    predict = Classifier.predict

    def watched(self: Classifier, records: tuple[Record, ...], *, batch_size: int, explain: bool) -> object:
        seen.append((id(self), len(records), explain))
        kept.append(self)  # else another may get the same id
        return predict(self, records, batch_size=batch_size, explain=explain)

    kept: list[Classifier] = []
    lines: list[str] = []
    monkeypatch.setattr(Classifier, "predict", watched)
    benchmark(chosen, [str(tiny_model)], repeats=2, progress=lines.append)
    assert [(n, explain) for _, n, explain in seen] == [(N_RECORDS, False), (N_RECORDS, True)] * 2
    assert len({number for number, _, _ in seen}) == 4
    assert len(lines) == 2


def test_a_model_that_is_not_there_is_said_before_anything_is_measured(
    chosen: Sample, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "_measure", None)
    with pytest.raises(ModelError, match="there is no model 'nowhere'"):
        benchmark(chosen, [str(tiny_model), "nowhere"])


def test_a_pipeline_base_that_is_no_model_is_said_before_anything_is_measured(
    chosen: Sample, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "_measure", None)
    with pytest.raises(ModelError, match="holds no usable encoder"):
        benchmark(chosen, [str(tiny_model)], pipeline=str(tmp_path))


def test_a_fresh_process_that_fails_is_told_by_its_last_line(chosen: Sample, tmp_path: Path) -> None:
    for measure in (
        lambda args: under_test._first_result(args, tmp_path),
        lambda args: under_test._command(args, tmp_path, 1),
    ):
        with pytest.raises(ModelError, match=r"a fresh `exoclass predict` failed: .*nowhere"):
            measure([str(tmp_path / "nowhere.nbib")])


def test_the_memory_of_the_measuring_process_is_not_counted(chosen: Sample, tiny_model: Path) -> None:
    held = bytearray(b"x" * 400_000_000)
    [model] = benchmark(chosen, [str(tiny_model)], repeats=1).models
    assert len(held) > model.peak_memory_bytes


def test_a_head_for_the_labels_is_put_on_an_encoder(tiny_encoder: Path) -> None:
    model, tokenizer = load_sequence_classifier(str(tiny_encoder), 5)
    assert model(**tokenizer(["Exosomes"], return_tensors="pt")).logits.shape == (1, 5)
    assert not model.training
