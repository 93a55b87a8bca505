"""What is written, format by format, from predictions made by hand; the JSON line is held against its public schema."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from exoclass.readers import read
from exoclass.readers.normalise import build_record
from exoclass.records import Evidence, Prediction, Record, Tag
from exoclass.taxonomy import Taxonomy
from exoclass.writers import SCHEMA_VERSION, WRITERS, View, to_line

SCHEMA = json.loads((ROOT / "configs" / "prediction.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

PAPER = Record(
    title="Exosomes heal wounds",
    abstract="Wounds closed faster. Vessels grew.",
    pmid="90000001",
    doi="10.5555/ev.1",
    journal="J Vesicles",
    year=2021,
    authors=("Berg, Ida", "Okoro, Chidi"),
    keywords=("exosomes", "wound healing"),
    mesh_terms=("Exosomes", "Wound Healing"),
    source="x.nbib:1",
)
YES = Tag("skin_wound", 0.91, "yes", Evidence("Wounds closed faster.", ("wounds", "closed")))
REVIEW = Tag("endocrine_metabolic", 0.42, "review", Evidence("Vessels grew.", ("vessels",)))
NO = Tag("liver", 0.01, "no")
MECHANISM = Tag("angiogenesis", 0.88, "yes", Evidence("Vessels grew.", ("vessels", "grew")))
THERAPY = Tag("therapy", 0.97, "yes")


def make(
    record: Record = PAPER, scope: Tag = THERAPY, *, mechanism: tuple[Tag, ...] | None = (MECHANISM,)
) -> Prediction:
    return Prediction(
        record=record,
        scope=scope,
        tags={"disease": (YES, REVIEW, NO), "mechanism": mechanism},
        model="tiny:0123456789ab",
        taxonomy="843ca012a648",
        flags=record.flags,
        all_scopes=(scope, Tag("not_ev", 0.03, "no")),
    )


BIOMARKER = make(scope=Tag("biomarker_diagnostic", 0.6, "review"), mechanism=None)
BARE = make(Record(title="", abstract="Vesicles.", source="-:1", flags=("non_english",)), mechanism=())


@pytest.fixture(scope="module")
def labels() -> Taxonomy:
    return Taxonomy.load()


def written(format: str, *predictions: Prediction, view: View | None = None) -> str:
    out = io.StringIO()
    WRITERS[format](predictions, out, view or View(), Taxonomy.load())
    return out.getvalue()


def lines(*predictions: Prediction, view: View | None = None) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written("jsonl", *predictions, view=view).splitlines()]


def rows(*predictions: Prediction, view: View | None = None, format: str = "csv") -> list[dict[str, str]]:
    text = written(format, *predictions, view=view)
    return list(csv.DictReader(io.StringIO(text), delimiter="," if format == "csv" else "\t"))


def fields(*predictions: Prediction, view: View | None = None) -> list[tuple[str, str]]:
    text = written("ris", *predictions, view=view)
    return [(line[:2], line[6:]) for line in text.splitlines() if line]


# ---------------------------------------------------------------------------------------------------- JSON Lines


@pytest.mark.parametrize("all_scores", [False, True])
@pytest.mark.parametrize("axes", [("disease", "mechanism"), ("disease",), ("mechanism",)])
@pytest.mark.parametrize("only", [frozenset(), frozenset({"skin_wound"})], ids=["all labels", "one label"])
@pytest.mark.parametrize("prediction", [make(), BIOMARKER, BARE], ids=["therapy", "biomarker", "bare"])
def test_every_line_follows_the_public_schema(
    prediction: Prediction, only: frozenset[str], axes: tuple[str, ...], all_scores: bool
) -> None:
    [line] = lines(prediction, view=View(axes=axes, labels=only, all_scores=all_scores))
    VALIDATOR.validate(line)


def test_the_line_and_the_schema_have_the_same_version() -> None:
    assert SCHEMA["properties"]["schema"]["const"] == SCHEMA_VERSION


def test_one_line_per_record_in_order() -> None:
    assert [line["pmid"] for line in lines(make(), BARE, make())] == ["90000001", None, "90000001"]


def test_a_line_tells_which_paper_it_is() -> None:
    [line] = lines(make())
    assert (line["pmid"], line["doi"], line["title"], line["source"]) == (
        "90000001", "10.5555/ev.1", "Exosomes heal wounds", "x.nbib:1"
    )  # fmt: skip


def test_yes_and_review_are_shown_and_no_is_not() -> None:
    [line] = lines(make())
    assert [(tag["id"], tag["decision"]) for tag in line["disease"]] == [
        ("skin_wound", "yes"),
        ("endocrine_metabolic", "review"),
    ]


def test_all_scores_shows_the_labels_decided_no_and_every_scope() -> None:
    [line] = lines(make(), view=View(all_scores=True))
    assert [tag["id"] for tag in line["disease"]] == ["skin_wound", "endocrine_metabolic", "liver"]
    assert [tag["id"] for tag in line["scopes"]] == ["therapy", "not_ev"]


def test_without_all_scores_there_is_one_scope() -> None:
    [line] = lines(make())
    assert line["scope"] == {"id": "therapy", "probability": 0.97, "decision": "yes"}
    assert "scopes" not in line


def test_an_axis_that_was_not_asked_for_is_absent() -> None:
    [line] = lines(make(), view=View(axes=("mechanism",)))
    assert "disease" not in line
    assert line["mechanism"]


def test_only_the_labels_asked_for_are_shown() -> None:
    [line] = lines(make(), view=View(labels=frozenset({"endocrine_metabolic"})))
    assert [tag["id"] for tag in line["disease"]] == ["endocrine_metabolic"]
    assert line["mechanism"] == []


def test_an_axis_that_does_not_apply_is_null_and_one_without_tags_is_empty() -> None:
    biomarker, bare = lines(BIOMARKER, BARE)
    assert biomarker["mechanism"] is None
    assert bare["mechanism"] == []


def test_the_evidence_goes_with_the_tag() -> None:
    [line] = lines(make())
    assert line["disease"][0]["evidence"] == {"sentence": "Wounds closed faster.", "terms": ["wounds", "closed"]}


def test_a_tag_without_evidence_says_null() -> None:
    [line] = lines(make(), view=View(all_scores=True))
    assert line["disease"][-1]["evidence"] is None


def test_letters_beyond_ascii_are_written_as_they_are() -> None:
    assert "β-catenin" in written("jsonl", make(replace(PAPER, title="β-catenin")))


def test_a_line_break_in_a_title_does_not_break_the_line() -> None:
    assert len(written("jsonl", make(replace(PAPER, title="a\nb\u2028c"))).rstrip("\n").split("\n")) == 1


def test_to_line_is_what_jsonl_writes() -> None:
    assert lines(make()) == [to_line(make(), View())]


def test_writers_stream() -> None:
    """Each format writes a prediction before it asks for the next one."""
    for writer in WRITERS.values():
        out = io.StringIO()
        sizes: list[int] = []

        def stream(out: io.StringIO = out, sizes: list[int] = sizes) -> Any:  # noqa: ANN401 - an iterator of predictions
            for _ in range(3):
                sizes.append(len(out.getvalue()))
                yield make()

        writer(stream(), out, View(), Taxonomy.load())
        assert sizes[0] < sizes[1] < sizes[2]


@pytest.mark.parametrize("format", WRITERS)
def test_no_predictions_make_no_error(format: str) -> None:
    assert written(format).count("\n") == (1 if format in {"csv", "tsv"} else 0)


# ---------------------------------------------------------------------------------------------------- CSV and TSV


@pytest.mark.parametrize("format", ["csv", "tsv"])
def test_a_table_row_holds_the_tags_by_decision(format: str) -> None:
    [row] = rows(make(), format=format)
    assert (row["scope"], row["scope_decision"], row["scope_probability"]) == ("therapy", "yes", "0.9700")
    assert (row["disease"], row["disease_review"]) == ("skin_wound", "endocrine_metabolic")
    assert (row["mechanism"], row["mechanism_review"]) == ("angiogenesis", "")
    assert row["probabilities"] == "skin_wound=0.9100; endocrine_metabolic=0.4200; angiogenesis=0.8800"
    assert row["evidence"].startswith("skin_wound: Wounds closed faster. | ")


def test_several_tags_share_a_cell() -> None:
    prediction = make()
    prediction.tags["disease"] = (YES, Tag("liver", 0.8, "yes"))
    [row] = rows(prediction)
    assert row["disease"] == "skin_wound; liver"


@pytest.mark.parametrize("format", ["csv", "tsv"])
def test_commas_quotes_tabs_and_line_breaks_stay_in_their_cell(format: str) -> None:
    title = 'Vesicles, "small"\tones;\nagain'
    [row] = rows(make(replace(PAPER, title=title)), format=format)
    assert row["title"] == title
    assert row["pmid"] == "90000001"


def test_the_flags_are_in_a_table() -> None:
    [row] = rows(make(replace(PAPER, flags=("no_abstract", "retracted"))))
    assert row["flags"] == "no_abstract; retracted"


def test_an_axis_that_was_not_asked_for_leaves_its_column_empty() -> None:
    [row] = rows(make(), view=View(axes=("mechanism",)))
    assert (row["disease"], row["disease_review"]) == ("", "")
    assert row["mechanism"] == "angiogenesis"


def test_a_label_decided_no_is_in_no_cell_but_the_probabilities() -> None:
    [row] = rows(make(), view=View(all_scores=True))
    assert "liver=0.0100" in row["probabilities"]
    assert not [name for name in ("disease", "disease_review") if "liver" in row[name]]


@pytest.mark.parametrize("format", ["csv", "tsv"])
@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_spreadsheet_runs_a_title_as_a_formula(start: str, format: str) -> None:
    [row] = rows(make(replace(PAPER, title=f'{start}HYPERLINK("http://x","y")')), format=format)
    assert row["title"].startswith("'" + start)


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=80))
@settings(deadline=None, max_examples=60)
def test_any_title_survives_a_table(title: str) -> None:
    [row] = rows(make(replace(PAPER, title=title)))
    guarded = title[:1] in {"=", "+", "-", "@", "\t"}
    assert row["title"] == ("'" + title if guarded else title)


def test_a_table_can_be_read_back(tmp_path: Path) -> None:
    path = tmp_path / "tagged.csv"
    path.write_text(written("csv", make()), encoding="utf-8")
    [record] = read(path)
    assert isinstance(record, Record)
    assert (record.title, record.pmid, record.doi, record.year) == (PAPER.title, PAPER.pmid, PAPER.doi, PAPER.year)


# ---------------------------------------------------------------------------------------------------- RIS


def read_back(tmp_path: Path, *predictions: Prediction, view: View | None = None) -> list[Record]:
    path = tmp_path / "tagged.ris"
    path.write_text(written("ris", *predictions, view=view), encoding="utf-8")
    items = list(read(path))
    records = [item for item in items if isinstance(item, Record)]
    assert len(records) == len(items)
    return records


@pytest.mark.parametrize("field", ["title", "abstract", "pmid", "doi", "journal", "year", "authors"])
def test_what_ris_says_of_a_paper_is_read_back(tmp_path: Path, field: str) -> None:
    [record] = read_back(tmp_path, make())
    assert getattr(record, field) == getattr(PAPER, field)


def test_several_papers_are_read_back_from_ris(tmp_path: Path) -> None:
    papers = [replace(PAPER, pmid=str(90000000 + n), title=f"Vesicles {n}") for n in range(1, 4)]
    found = read_back(tmp_path, *map(make, papers))
    assert [(record.pmid, record.title) for record in found] == [(paper.pmid, paper.title) for paper in papers]


def test_tags_are_keywords_beside_those_of_the_paper(tmp_path: Path) -> None:
    [record] = read_back(tmp_path, make())
    assert record.keywords == (
        "exosomes",
        "wound healing",
        "Exosomes",
        "Wound Healing",
        "exoclass:scope:therapy",
        "exoclass:disease:skin_wound",
        "exoclass:review:disease:endocrine_metabolic",
        "exoclass:mechanism:angiogenesis",
    )


def test_a_scope_in_doubt_is_marked_for_review() -> None:
    assert ("KW", "exoclass:review:scope:biomarker_diagnostic") in fields(BIOMARKER)


def test_flags_are_keywords() -> None:
    assert ("KW", "exoclass:flag:non_english") in fields(BARE)


def test_labels_decided_no_are_never_keywords() -> None:
    assert not [value for tag, value in fields(make(), view=View(all_scores=True)) if tag == "KW" and "liver" in value]


def test_probabilities_are_in_a_note() -> None:
    [note] = [value for tag, value in fields(make()) if tag == "N1"]
    assert "scope therapy 0.97" in note
    assert "disease skin_wound 0.91" in note


def test_tagging_a_tagged_file_again_leaves_no_old_tags(tmp_path: Path) -> None:
    [again] = read_back(tmp_path, make())
    keywords = [value for tag, value in fields(BIOMARKER, make(again, mechanism=None)) if tag == "KW"]
    assert "exoclass:mechanism:angiogenesis" not in keywords
    assert keywords.count("exoclass:scope:therapy") == 1
    assert keywords.count("wound healing") == 2


def test_a_retracted_paper_is_still_retracted_when_read_back(tmp_path: Path) -> None:
    retracted = replace(PAPER, publication_types=("Journal Article", "Retracted Publication"), flags=("retracted",))
    [record] = read_back(tmp_path, make(retracted))
    assert record.flags == ("retracted",)


def test_a_book_is_still_a_book_when_read_back(tmp_path: Path) -> None:
    [record] = read_back(tmp_path, make(replace(PAPER, flags=("book",))))
    assert "book" in record.flags


def test_a_line_break_in_an_abstract_does_not_make_a_new_field(tmp_path: Path) -> None:
    [record] = read_back(tmp_path, make(replace(PAPER, abstract="First.\nER  - \nTY  - JOUR\nLast.")))
    assert record.abstract == "First. ER - TY - JOUR Last."


def test_every_record_has_a_beginning_and_an_end() -> None:
    tags = [tag for tag, _ in fields(make(), BARE)]
    assert tags.count("TY") == tags.count("ER") == 2
    assert (tags[0], tags[-1]) == ("TY", "ER")


WORDS = st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=120)


@given(title=WORDS, abstract=WORDS, author=WORDS)
@settings(deadline=None, max_examples=150)
def test_any_text_survives_ris(
    tmp_path_factory: pytest.TempPathFactory, title: str, abstract: str, author: str
) -> None:
    paper = build_record(file="x", line=1, title=title, abstract=abstract, authors=[author], pmid="90000001")
    if not isinstance(paper, Record):
        return
    [record] = read_back(tmp_path_factory.getbasetemp(), make(paper))
    assert (record.title, record.abstract, record.authors) == (paper.title, paper.abstract, paper.authors)


# ---------------------------------------------------------------------------------------------------- table


def test_the_list_names_labels_for_people(labels: Taxonomy) -> None:
    text = written("table", make())
    assert text.startswith("1. Exosomes heal wounds\n")
    assert "PMID 90000001 · doi 10.5555/ev.1 · x.nbib:1" in text
    for label in ("therapy", "skin_wound", "angiogenesis"):
        assert f"{labels.label(label).name}  0." in text


def test_the_list_shows_doubt_and_the_sentence() -> None:
    text = written("table", make())
    assert re.search(r"0\.42  not sure\n +“Vessels grew.”", text)
    assert re.search(r"0\.91\n +“Wounds closed faster.”", text)


def test_the_list_tells_no_tags_from_an_axis_that_does_not_apply() -> None:
    first, second = written("table", BIOMARKER, BARE).split("\n\n")[:2]
    assert "does not apply to this scope" in first
    assert re.search(r"Therapeutic mechanism +none", second)


def test_the_list_shows_flags_and_a_missing_title() -> None:
    text = written("table", BARE)
    assert text.startswith("1. (no title)\n")
    assert "[non_english]" in text


def test_the_list_is_numbered() -> None:
    heads = re.findall(r"^(\d+)\. ", written("table", make(), BARE, make()), flags=re.MULTILINE)
    assert heads == ["1", "2", "3"]
