"""Labelled records: what is read from which format, what is wrong with a file, and who goes into which split."""

from __future__ import annotations

import csv
import gzip
import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import DATA, make_record

from exoclass.corpus import FAULTS, Corpus, Finding, LabeledRecord, read_labeled
from exoclass.errors import CorpusError, InputError
from exoclass.splits import SPLITS, split_of
from exoclass.taxonomy import Taxonomy

ROW: dict[str, Any] = {
    "pmid": "90000001",
    "title": "Vesicles close wounds",
    "abstract": "Wounds of mice closed.",
    "scope": "therapy",
    "disease": ["skin_wound"],
    "mechanism": ["regeneration_repair", "angiogenesis"],
    "unsure": [],
    "annotators": ["a1", "a2"],
    "guideline": "1.0",
}


def row(number: int = 1, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - values of JSON
    """Return a sound row with its own PMID; a value of ... removes its key."""
    merged = ROW | {"pmid": str(90000000 + number)} | changes
    return {key: value for key, value in merged.items() if value is not ...}


def jsonl(folder: Path, *rows: dict[str, Any] | str, name: str = "labels.jsonl") -> Path:
    path = folder / name
    lines = [item if isinstance(item, str) else json.dumps(item, ensure_ascii=False) for item in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def table(folder: Path, *rows: dict[str, Any], delimiter: str = ",") -> Path:
    path = folder / "labels.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def read(path: Path, taxonomy: Taxonomy) -> tuple[Corpus, list[Finding]]:
    return read_labeled([path], taxonomy)


def labelled_group(group: str) -> LabeledRecord:
    empty: frozenset[str] = frozenset()
    return LabeledRecord(make_record(group), empty, empty, empty, group)


def test_a_json_line_is_read_whole(tmp_path: Path, taxonomy: Taxonomy) -> None:
    [item] = Corpus.load([jsonl(tmp_path, row(unsure=["neoplasms"]))], taxonomy)
    assert item.record.title == "Vesicles close wounds"
    assert item.record.source == f"{tmp_path / 'labels.jsonl'}:1"
    assert item.labels == {"therapy", "skin_wound", "regeneration_repair", "angiogenesis"}
    assert item.unsure == {"neoplasms"}
    assert item.annotated == {"scope", "disease", "mechanism"}
    assert (item.annotators, item.guideline, item.group) == (("a1", "a2"), "1.0", "pmid:90000001")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("joint", ["; ", "|", ";"])
def test_a_table_means_the_same_as_json_lines(tmp_path: Path, taxonomy: Taxonomy, delimiter: str, joint: str) -> None:
    flat = row(disease="skin_wound", mechanism=joint.join(ROW["mechanism"]), unsure="neoplasms", annotators="a1; a2")
    [from_table] = Corpus.load([table(tmp_path, flat, delimiter=delimiter)], taxonomy)
    [from_json] = Corpus.load([jsonl(tmp_path, row(unsure=["neoplasms"]))], taxonomy)
    assert replace(from_table.record, source="") == replace(from_json.record, source="")
    assert replace(from_table, record=from_json.record) == from_json


def test_the_names_of_columns_are_read_without_case(tmp_path: Path, taxonomy: Taxonomy) -> None:
    path = table(tmp_path, {"PMID": "1", "Title": "T", "Abstract": "A.", "Scope": "not_ev", " Disease ": ""})
    [item] = Corpus.load([path], taxonomy)
    assert item.labels == {"not_ev"}


def test_a_cell_of_several_lines_keeps_them_and_the_next_row_its_number(tmp_path: Path, taxonomy: Taxonomy) -> None:
    flat = {"pmid": "1", "title": "T", "abstract": "First.\nSecond.", "scope": "therapy"}
    path = table(tmp_path, flat, flat | {"pmid": "2", "scope": "wrong"})
    corpus, [finding] = read(path, taxonomy)
    assert "First." in corpus[0].record.abstract
    assert "Second." in corpus[0].record.abstract
    assert finding.position == f"{path}:4"


def test_a_packed_file_is_read(tmp_path: Path, taxonomy: Taxonomy) -> None:
    packed = tmp_path / "labels.gz"
    packed.write_bytes(gzip.compress(jsonl(tmp_path, row()).read_bytes()))
    assert len(Corpus.load([packed], taxonomy)) == 1


def test_several_files_make_one_corpus(tmp_path: Path, taxonomy: Taxonomy) -> None:
    paths = [jsonl(tmp_path, row(number), name=f"{number}.jsonl") for number in (1, 2)]
    assert [item.record.pmid for item in Corpus.load(paths, taxonomy)] == ["90000001", "90000002"]


def test_the_shipped_labelled_set_has_no_fault(taxonomy: Taxonomy) -> None:
    _, findings = read(DATA, taxonomy)
    assert [finding for finding in findings if finding.kind in FAULTS] == []


@pytest.mark.parametrize("value", [None, "", ...])
def test_a_missing_axis_is_masked(tmp_path: Path, taxonomy: Taxonomy, value: object) -> None:
    Y, mask = Corpus.load([jsonl(tmp_path, row(mechanism=value))], taxonomy).binarize(taxonomy)
    assert not Y[0, taxonomy.columns("mechanism")].any()
    assert not mask[0, taxonomy.columns("mechanism")].any()
    assert mask[0, taxonomy.columns("scope")].all()
    assert mask[0, taxonomy.columns("disease")].all()


def test_an_empty_cell_of_a_table_is_masked(tmp_path: Path, taxonomy: Taxonomy) -> None:
    path = table(tmp_path, {"title": "T", "abstract": "A.", "scope": "therapy", "disease": "", "mechanism": ""})
    _, mask = Corpus.load([path], taxonomy).binarize(taxonomy)
    assert mask.sum() == len(taxonomy.columns("scope"))


def test_unsure_is_masked_and_neither_yes_nor_no(tmp_path: Path, taxonomy: Taxonomy) -> None:
    corpus = Corpus.load([jsonl(tmp_path, row(unsure=["neoplasms", "angiogenesis"], mechanism=[]))], taxonomy)
    Y, mask = corpus.binarize(taxonomy)
    hidden = [taxonomy.ids[column] for column in np.flatnonzero(~mask[0])]
    assert sorted(hidden) == ["angiogenesis", "neoplasms"]
    assert not Y[0, taxonomy.column("neoplasms")]


def test_labels_stand_in_the_columns_of_the_taxonomy(tmp_path: Path, taxonomy: Taxonomy) -> None:
    corpus = Corpus.load([jsonl(tmp_path, row(), row(2, scope="not_ev", disease=None, mechanism=None))], taxonomy)
    Y, _ = corpus.binarize(taxonomy)
    assert [{taxonomy.ids[column] for column in np.flatnonzero(line)} for line in Y] == [
        {"therapy", "skin_wound", "regeneration_repair", "angiogenesis"},
        {"not_ev"},
    ]


def test_a_label_without_examples_keeps_its_column(tmp_path: Path, taxonomy: Taxonomy) -> None:
    Y, mask = Corpus.load([jsonl(tmp_path, row())], taxonomy).binarize(taxonomy)
    assert Y.shape == mask.shape == (1, len(taxonomy.labels))


FINDINGS: list[tuple[str, dict[str, Any], str]] = [
    ("unknown_label", {"scope": "terapy"}, "there is no label 'terapy'. Did you mean therapy"),
    ("unknown_label", {"disease": ["skin"]}, "there is no label 'skin'"),
    ("unknown_label", {"unsure": ["nothing_such"]}, "there is no label 'nothing_such'"),
    ("unknown_label", {"disease": ["angiogenesis"]}, "angiogenesis is a label of mechanism, not of disease"),
    ("not_labelled", {"scope": None, "disease": None, "mechanism": None}, "no axis is labelled"),
    ("unreadable", {"disease": 5}, "labels should be text or a list of texts, not 5"),
    ("unreadable", {"disease": [5]}, "labels should be text or a list of texts, not [5]"),
    ("unreadable", {"disease": {"skin_wound": 1}}, "labels should be text or a list"),
    ("unreadable", {"title": ..., "abstract": ...}, "it has neither a title nor an abstract key"),
    ("unreadable", {"title": {"a": 1}}, "'title' has to be text"),
    ("empty_abstract", {"abstract": ""}, "there is no abstract"),
    ("axis_rule", {"disease": []}, "disease is annotated but no label holds"),
    ("axis_rule", {"scope": ["therapy", "delivery_platform"]}, "scope takes one label, not delivery_platform, therapy"),
    ("axis_rule", {"scope": "biomarker_diagnostic"}, "mechanism does not apply to scope biomarker_diagnostic"),
    (
        "axis_rule",
        {"disease": ["no_specific_disease", "skin_wound"]},
        "no_specific_disease stands alone, but no_specific_disease, skin_wound are given",
    ),
    (
        "axis_rule",
        {"disease": ["neoplasms", "cardiovascular", "nervous_system", "respiratory", "liver", "eye", "skin_wound"]},
        "disease takes at most 6 labels, not 7",
    ),
    ("axis_rule", {"unsure": ["skin_wound"]}, "skin_wound is both given and unsure"),
]


@pytest.mark.parametrize(("kind", "changes", "message"), FINDINGS, ids=[message for _, _, message in FINDINGS])
def test_what_is_wrong_is_found_with_file_and_line(
    tmp_path: Path, taxonomy: Taxonomy, kind: str, changes: dict[str, Any], message: str
) -> None:
    path = jsonl(tmp_path, row(1), "", row(2, **changes), row(3))
    corpus, [finding] = read(path, taxonomy)
    assert (finding.kind, finding.position) == (kind, f"{path}:3")
    assert finding.message.startswith(message)
    assert len(corpus) == (2 if kind in FAULTS else 3)


@pytest.mark.parametrize("line", ["{", "[1]", "nonsense", '"text"', "[" * 100_000])
def test_a_line_that_is_no_object_is_found(tmp_path: Path, taxonomy: Taxonomy, line: str) -> None:
    path = jsonl(tmp_path, row(1), line, row(2))
    corpus, [finding] = read(path, taxonomy)
    assert (finding.kind, finding.position) == ("unreadable", f"{path}:2")
    assert len(corpus) == 2


def test_a_row_of_a_table_with_too_few_cells_is_found(tmp_path: Path, taxonomy: Taxonomy) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("title,abstract,scope\nT,A.,therapy\nT2,A.\nT3,B.,not_ev\n", encoding="utf-8")
    corpus, [finding] = read(path, taxonomy)
    assert finding == Finding("unreadable", f"{path}:3", "2 cells where the header has 3")
    assert len(corpus) == 2


def test_sound_rows_have_no_finding(tmp_path: Path, taxonomy: Taxonomy) -> None:
    path = jsonl(tmp_path, row(1), row(2, scope="not_ev", disease=None, mechanism=None))
    assert read(path, taxonomy)[1] == []


def test_a_repeated_record_with_the_same_labels_is_a_warning(tmp_path: Path, taxonomy: Taxonomy) -> None:
    path = jsonl(tmp_path, row(), row(2), row(title="Another title"))
    corpus, [finding] = read(path, taxonomy)
    assert (finding.kind, finding.position) == ("duplicate", f"{path}:3")
    assert f"pmid:90000001 was labelled before at {path}:1" in finding.message
    assert [item.record.title for item in corpus] == ["Vesicles close wounds"] * 2
    assert finding.kind not in FAULTS


@pytest.mark.parametrize(
    ("changes", "apart"),
    [
        ({"disease": ["neoplasms"]}, "neoplasms, skin_wound"),
        ({"unsure": ["eye"]}, "eye"),
        ({"mechanism": []}, "angiogenesis, regeneration_repair"),
    ],
)
def test_a_repeated_record_with_other_labels_is_a_fault(
    tmp_path: Path, taxonomy: Taxonomy, changes: dict[str, Any], apart: str
) -> None:
    path = jsonl(tmp_path, row(), row(**changes))
    _, findings = read(path, taxonomy)
    [finding] = [finding for finding in findings if finding.kind in FAULTS]
    assert (finding.kind, finding.position) == ("conflict", f"{path}:2")
    assert finding.message.endswith(f"with other labels: {apart}")


def test_a_record_repeated_in_another_file_is_found(tmp_path: Path, taxonomy: Taxonomy) -> None:
    first, second = jsonl(tmp_path, row(), name="a.jsonl"), jsonl(tmp_path, row(), name="b.jsonl")
    _, [finding] = read_labeled([first, second], taxonomy)
    assert finding.position == f"{second}:1"
    assert str(first) in finding.message


def test_an_axis_annotated_once_and_missing_once_is_a_conflict(tmp_path: Path, taxonomy: Taxonomy) -> None:
    path = jsonl(tmp_path, row(disease=[], mechanism=None), row(disease=None, mechanism=None))
    _, findings = read(path, taxonomy)
    assert findings[-1].message.endswith("other axes")


def test_loading_stops_at_a_fault_and_counts_the_others(tmp_path: Path, taxonomy: Taxonomy) -> None:
    path = jsonl(tmp_path, row(), row(2, scope="x"), row(3, scope="y"), row(4, scope="z"))
    with pytest.raises(CorpusError) as caught:
        Corpus.load([path], taxonomy)
    assert str(caught.value).startswith(f"{path}:2: there is no label 'x'")
    assert "(and 2 more faults)" in str(caught.value)
    assert "exoclass check" in caught.value.remedy


def test_loading_goes_on_over_warnings(tmp_path: Path, taxonomy: Taxonomy) -> None:
    assert len(Corpus.load([jsonl(tmp_path, row(abstract=""), row(2, disease=[]))], taxonomy)) == 2


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_an_empty_file_is_refused(tmp_path: Path, taxonomy: Taxonomy, content: bytes) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match="empty"):
        Corpus.load([path], taxonomy)


@pytest.mark.parametrize("header", ["title,abstract", "pmid;title;mechanism"])
def test_a_table_without_label_columns_is_refused(tmp_path: Path, taxonomy: Taxonomy, header: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f"{header}\n1,2\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"labels\.csv has no scope or disease column"):
        Corpus.load([path], taxonomy)


def test_a_table_of_nothing_but_its_header_is_refused(tmp_path: Path, taxonomy: Taxonomy) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("title,abstract,scope\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="there is no labelled record"):
        Corpus.load([path], taxonomy)


def test_a_header_with_an_open_quotation_mark_is_refused(tmp_path: Path, taxonomy: Taxonomy) -> None:
    path = tmp_path / "labels.csv"
    path.write_text('title,"abstract,scope\n' + "T,A.,therapy\n" * 20_000, encoding="utf-8")
    with pytest.raises(InputError, match=r"labels\.csv"):
        Corpus.load([path], taxonomy)


def test_a_truncated_packed_file_is_refused(tmp_path: Path, taxonomy: Taxonomy) -> None:
    path = tmp_path / "labels.gz"
    rows = [row(number, abstract=random.Random(number).randbytes(3000).hex()) for number in range(20)]
    packed = gzip.compress(jsonl(tmp_path, *rows).read_bytes())
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(InputError, match=r"labels\.gz"):
        Corpus.load([path], taxonomy)


def test_a_missing_file_is_refused(tmp_path: Path, taxonomy: Taxonomy) -> None:
    with pytest.raises(InputError, match="none"):
        Corpus.load([tmp_path / "none.jsonl"], taxonomy)


def test_a_slice_of_a_corpus_is_a_corpus(labelled: Corpus) -> None:
    part = labelled[2:5]
    assert isinstance(part, Corpus)
    assert list(part) == [labelled[2], labelled[3], labelled[4]]
    assert part.texts == labelled.texts[2:5]


def test_the_fingerprint_does_not_hang_on_the_order(labelled: Corpus) -> None:
    assert Corpus(labelled.items[::-1]).fingerprint == labelled.fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": frozenset({"therapy"})},
        {"unsure": frozenset({"eye"})},
        {"annotated": frozenset({"scope"})},
        {"record": make_record("Another")},
        {"group": "another"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_the_fingerprint_changes_with_all_that_is_learnt_from(changes: dict[str, Any]) -> None:
    item = LabeledRecord(make_record(), frozenset(), frozenset(), frozenset({"scope", "disease"}), "g")
    assert Corpus((replace(item, **changes),)).fingerprint != Corpus((item,)).fingerprint


GROUPS = [f"pmid:{number}" for number in range(3000)]


def test_the_splits_have_their_shares() -> None:
    counts = Counter(map(split_of, GROUPS))
    shares = [counts[split] / len(GROUPS) for split in SPLITS]
    assert shares == pytest.approx([0.7, 0.1, 0.2], abs=0.03)


@pytest.mark.parametrize(
    ("group", "split"),
    [("pmid:1", "train"), ("pmid:2", "train"), ("pmid:9", "train"), ("doi:10.1/a", "dev"), ("doi:10.1/1", "test")],
)
def test_a_paper_stays_in_its_split_for_good(group: str, split: str) -> None:
    assert split_of(group) == split  # written down: another rule would move papers between the splits of old models


def test_adding_and_reordering_records_never_moves_one(labelled: Corpus) -> None:
    before = {item.group: split for split in SPLITS for item in labelled[:40].select(split)}
    shuffled = list(labelled.items)
    random.Random(4).shuffle(shuffled)
    after = {item.group: split for split in SPLITS for item in Corpus(tuple(shuffled)).select(split)}
    assert {group: after[group] for group in before} == before


def test_every_record_is_in_exactly_one_split(labelled: Corpus) -> None:
    parts = [item for split in SPLITS for item in labelled.select(split)]
    assert sorted(map(id, parts)) == sorted(map(id, labelled))
    assert len(labelled.select("train", "dev")) == len(labelled.select("train")) + len(labelled.select("dev"))


def test_records_of_one_paper_are_never_split_apart(tmp_path: Path, taxonomy: Taxonomy) -> None:
    rows = [row(number, group=f"paper-{number % 25}") for number in range(100)]
    corpus = Corpus.load([jsonl(tmp_path, *rows)], taxonomy)
    homes: dict[str, set[str]] = {}
    for split in SPLITS:
        for item in corpus.select(split):
            homes.setdefault(item.group, set()).add(split)
    assert len(homes) == 25
    assert {len(splits) for splits in homes.values()} == {1}
    folds: dict[str, set[int]] = {}
    for item, fold in zip(corpus, corpus.folds(5, seed=13), strict=True):
        folds.setdefault(item.group, set()).add(int(fold))
    assert {len(numbers) for numbers in folds.values()} == {1}


@pytest.mark.parametrize("n_folds", [1, 2, 5, 10])
def test_folds_are_of_like_size(n_folds: int) -> None:
    corpus = Corpus(tuple(labelled_group(group) for group in GROUPS))
    counts = np.bincount(corpus.folds(n_folds, seed=13), minlength=n_folds)
    assert len(counts) == n_folds
    assert counts / len(GROUPS) == pytest.approx([1 / n_folds] * n_folds, abs=0.03)


def test_the_fold_of_a_record_does_not_hang_on_the_others(labelled: Corpus) -> None:
    assert np.array_equal(labelled[10:30].folds(5, seed=13), labelled.folds(5, seed=13)[10:30])


def test_another_seed_gives_other_folds(labelled: Corpus) -> None:
    assert not np.array_equal(labelled.folds(5, seed=13), labelled.folds(5, seed=14))


def test_folds_are_independent_of_the_splits() -> None:
    train = [group for group in GROUPS if split_of(group) == "train"]
    folds = Corpus(tuple(labelled_group(group) for group in train)).folds(5, seed=13)
    assert np.bincount(folds, minlength=5) / len(train) == pytest.approx([0.2] * 5, abs=0.03)
