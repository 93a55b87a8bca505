"""The library by its methods, on real files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ABSTRACT, make_record
from hypothesis import given, settings
from hypothesis import strategies as st

from exoclass.errors import LibraryError, UsageError
from exoclass.library import Filter, Library
from exoclass.library.content import dump_prediction, dump_record, load_prediction, load_record
from exoclass.library.times import as_date, as_utc
from exoclass.records import Evidence, Prediction, Record, Tag

MONDAY, TUESDAY, FRIDAY = "2025-11-03T00:00:00Z", "2025-11-04T00:00:00Z", "2025-11-07T00:00:00Z"
MODEL = "tfidf@1a2b"
FULL = Record(
    title="Exosomes ² in mice", abstract=ABSTRACT, pmid="1", doi="10.1/A", journal="J", year=2020,
    authors=("Wu K", "Smith J"), keywords=("k",), publication_types=("Journal Article",), mesh_terms=("Mice",),
    version=3, source="caf\udce9.nbib:1", flags=("non_english", "book"),
)  # fmt: skip


def numbered(count: int, start: int = 1) -> list[Record]:
    return [make_record(f"Title {n}", f"{ABSTRACT} {n}", pmid=str(n)) for n in range(start, start + count)]


def predicted(record: Record, probability: float = 0.9) -> Prediction:
    evidence = Evidence("Closure was faster.", ("closure", "wound bed"))
    scope = Tag("therapy", probability, "yes", evidence)
    tags: dict[str, tuple[Tag, ...] | None] = {
        "disease": (Tag("skin", probability, "yes", evidence), Tag("heart", 0.004, "no")),
        "mechanism": None,
        "empty": (),
    }
    return Prediction(record, scope, tags, MODEL, "fp", ("truncated",), (scope, Tag("biomarker", 0.1, "no")))


@pytest.mark.parametrize("record", [FULL, Record("t", ""), Record("", "a", flags=("other_abstract",))])
def test_a_record_comes_back_equal(tmp_path: Path, record: Record) -> None:
    with Library.open(tmp_path / "x.db") as library:
        library.add([record], when=MONDAY)
    with Library.open(tmp_path / "x.db") as library:
        assert library.get(1).record == record
        assert [entry.record for entry in library.records()] == [record]


texts = st.text(max_size=30)
many = st.lists(texts, max_size=3).map(tuple)


@settings(max_examples=30)
@given(
    st.builds(
        Record, title=texts, abstract=texts, pmid=st.none() | texts, doi=st.none() | texts, journal=st.none() | texts,
        year=st.none() | st.integers(1800, 2099), authors=many, keywords=many, publication_types=many,
        mesh_terms=many, version=st.integers(1, 9), source=texts, flags=many,
    )
)  # fmt: skip
def test_any_record_survives_its_column(record: Record) -> None:
    assert load_record(dump_record(record)) == record


def test_a_prediction_survives_its_column() -> None:
    prediction = predicted(FULL)
    assert load_prediction(dump_prediction(prediction), FULL, MODEL) == prediction


def test_revisions_and_retraction_are_kept_in_order(tmp_path: Path) -> None:
    first = make_record(pmid="7")
    revised = replace(first, abstract=ABSTRACT + " More.")
    retracted = replace(revised, title="RETRACTED: " + first.title, flags=("retracted",))
    with Library.open(tmp_path / "x.db") as library:
        assert [library.add([record], when=when).items[0].outcome for record, when in
                [(first, MONDAY), (revised, TUESDAY), (revised, FRIDAY), (retracted, FRIDAY)]] == [
            "new", "revised", "known", "retracted"]  # fmt: skip
        history = library.history("7")
        assert [(event.kind, event.when, event.record) for event in history] == [
            ("added", MONDAY, first), ("revised", TUESDAY, revised), ("retracted", FRIDAY, retracted)]  # fmt: skip
        entry = library.get("7")
        assert (entry.state, entry.added, entry.changed) == ("retracted", MONDAY, FRIDAY)
        assert [entry.id for entry in library.records(Filter(state="retracted"))] == [1]


def test_only_a_changed_text_makes_predictions_stale(tmp_path: Path) -> None:
    first = make_record(pmid="7")
    with Library.open(tmp_path / "x.db") as library:
        library.add([first], when=MONDAY)
        library.save_predictions(MODEL, [predicted(first)], when=MONDAY)
        indexed = library.add([replace(first, mesh_terms=("Mice",))], when=TUESDAY).items[0]
        assert (indexed.changes, indexed.text_changed) == (("mesh_terms",), False)
        assert not library.predictions("7")[0].stale
        assert library.ids(Filter(unpredicted_by=MODEL)) == ()
        changed = library.add([replace(first, title="Another")], when=TUESDAY).items[0]
        assert changed.text_changed
        assert library.predictions("7")[0].stale
        assert library.ids(Filter(unpredicted_by=MODEL)) == (1,)


def test_a_record_that_arrives_retracted_is_new(tmp_path: Path) -> None:
    with Library.open(tmp_path / "x.db") as library:
        [added] = library.add([make_record(pmid="7", flags=("retracted",))], when=MONDAY).items
        assert (added.outcome, library.get("7").state) == ("new", "retracted")


def test_deletion_keeps_the_record_and_old_exports_do_not_undo_it(tmp_path: Path) -> None:
    with Library.open(tmp_path / "x.db") as library:
        library.add(numbered(2), when=MONDAY)
        marked = library.mark_deleted(["2", "9", "2"], when=TUESDAY)
        assert (marked.deleted, marked.already, marked.unknown) == (("2",), (), ("9",))
        assert library.mark_deleted(["2"], when=FRIDAY).already == ("2",)
        library.add(numbered(2), when=FRIDAY)
        library.add([replace(numbered(2)[1], flags=("retracted",))], when=FRIDAY)
        assert library.get("2").state == "deleted"
        assert [event.kind for event in library.history("2")] == ["added", "deleted", "retracted"]
        assert library.ids(Filter(state="live")) == (1,)


def test_the_sum_of_outcomes_is_what_was_given(tmp_path: Path) -> None:
    with Library.open(tmp_path / "x.db") as library:
        first = library.add([*numbered(1200), *numbered(3)], when=MONDAY)
        assert first.counts == {"new": 1200, "known": 3}
        assert library.add(iter(()), when=MONDAY).items == ()


def test_predictions_are_kept_per_model_and_replaced_by_the_same_one(tmp_path: Path) -> None:
    one, two = numbered(2)
    with Library.open(tmp_path / "x.db") as library:
        library.add([one, two], when=MONDAY)
        saved = library.save_predictions(MODEL, [predicted(one), predicted(make_record(pmid="99"))], when=MONDAY)
        assert (saved.saved, saved.unknown) == (1, ("pmid:99",))
        library.save_predictions("other", [replace(predicted(one, 0.2), model="other")], when=TUESDAY)
        library.save_predictions(MODEL, [predicted(one, 0.8)], when=FRIDAY)
        stored = library.predictions(1)
        assert [item.prediction for item in stored] == [
            replace(predicted(one, 0.2), model="other"),
            predicted(one, 0.8),
        ]
        assert [item.made for item in stored] == [TUESDAY, FRIDAY]
        assert library.ids(Filter(label="skin", model=MODEL, at_least=0.85)) == ()
        assert library.ids(Filter(unpredicted_by=MODEL)) == (2,)


def test_a_label_is_filtered_by_probability_the_likeliest_first(tmp_path: Path) -> None:
    records = numbered(4)
    with Library.open(tmp_path / "x.db") as library:
        library.add(records, when=MONDAY)
        pairs = zip(records, (0.6, 0.9, 0.3, 0.7), strict=True)
        library.save_predictions(MODEL, [predicted(record, p) for record, p in pairs], when=MONDAY)
        library.decide("4", "reject", when=MONDAY)
        wanted = Filter(label="skin", model=MODEL)
        assert library.ids(wanted) == (2, 4, 1)
        assert [entry.id for entry in library.records(wanted)] == [2, 4, 1]
        assert library.ids(replace(wanted, decided=False)) == (2, 1)
        assert library.ids(replace(wanted, at_least=0.1, state="live", since=MONDAY)) == (2, 4, 1, 3)
        assert library.ids(replace(wanted, label="biomarker", at_least=0.05, limit=2, offset=1)) == (3, 2)
        assert library.ids(replace(wanted, label="unheard of")) == ()


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(label="skin"),
        Filter(model=MODEL),
        Filter(label="skin", model=MODEL, at_least=0.001),
        Filter(since="soon"),
    ],
)
def test_a_filter_that_cannot_be_answered_is_refused(tmp_path: Path, wanted: Filter) -> None:
    with Library.open(tmp_path / "x.db") as library, pytest.raises(UsageError):
        library.ids(wanted)


def test_decisions_pile_up_and_the_newest_holds(tmp_path: Path) -> None:
    tags = {"scope": ["therapy"], "disease": ["skin", "diabetes"], "mechanism": []}
    with Library.open(tmp_path / "x.db") as library:
        library.add(numbered(2), when=MONDAY)
        library.decide("1", "accept", when=MONDAY)
        library.decide(1, "correct", tags=tags, note="caf\udce9 is not a heart", when=TUESDAY)
        first, second = library.decisions(1)
        assert (first.verdict, first.tags, first.when) == ("accept", {}, MONDAY)
        assert second.tags == {axis: tuple(ids) for axis, ids in tags.items()}
        assert second.note == "caf? is not a heart"
        assert library.get(1).verdict == "correct"
        assert library.get(2).verdict is None
        assert library.ids(Filter(decided=True)) == (1,)
        assert library.ids(Filter(decided=False)) == (2,)


def test_a_decision_needs_a_record_and_a_correction_needs_tags(tmp_path: Path) -> None:
    with Library.open(tmp_path / "x.db") as library:
        library.add(numbered(1), when=MONDAY)
        with pytest.raises(LibraryError, match=r"PMID 5 is not in the library\. Add"):
            library.decide("5", "accept", when=MONDAY)
        with pytest.raises(LibraryError, match="record 5 is not"):
            library.decisions(5)
        with pytest.raises(UsageError, match="corrects nothing"):
            library.decide(1, "correct", when=MONDAY)
        assert library.decisions(1) == ()


def test_since_means_added_or_changed(tmp_path: Path) -> None:
    with Library.open(tmp_path / "x.db") as library:
        library.add(numbered(3), when=MONDAY)
        library.add(numbered(1, start=4), when=FRIDAY)
        library.mark_deleted(["2"], when="2025-11-05T01:00:00+02:00")
        assert library.ids(Filter(since=TUESDAY)) == (2, 4)
        assert library.ids(Filter(since="2025-11-07", newest_first=True)) == (4,)
        assert library.ids(Filter(newest_first=True)) == (4, 2, 3, 1)


def test_records_can_be_decided_while_they_are_listed(tmp_path: Path) -> None:
    with Library.open(tmp_path / "x.db") as library:
        library.add(numbered(1100), when=MONDAY)
        for entry in library.records(Filter(decided=False)):
            library.decide(entry.id, "accept", when=TUESDAY)
        assert len(library.ids(Filter(decided=True))) == 1100


def test_known_pmids_need_not_be_fetched(tmp_path: Path) -> None:
    with Library.open(tmp_path / "x.db") as library:
        library.add(numbered(3), when=MONDAY)
        library.mark_deleted(["2"], when=MONDAY)
        assert library.known(str(n) for n in range(2, 2000)) == {"2", "3"}


@pytest.mark.parametrize("when", ["yesterday", "2025-11-03T00:00:00", "2025-13-01", ""])
def test_a_time_without_a_meaning_is_refused(when: str) -> None:
    with pytest.raises(UsageError):
        as_utc(when)


def test_times_are_compared_in_one_form() -> None:
    assert as_utc("2025-11-03T01:30:00.5+02:00") == "2025-11-02T23:30:00Z"
    with pytest.raises(UsageError, match="no date"):
        as_date("2025/31/01")


class TestSuggestions:
    TITLE = "Mesenchymal exosomes attenuate myocardial infarction in rats"

    def test_a_like_title_with_a_shared_author_is_suggested_and_not_merged(self, tmp_path: Path) -> None:
        one = replace(make_record(self.TITLE, "One.", pmid="1"), authors=("Zhang L",), year=2020, journal="Heart")
        two = replace(one, title=self.TITLE.replace("Mesenchymal", "Mesenchimal"), abstract="Two.", pmid="2", year=2021)
        stranger = replace(two, pmid="3", authors=("Okafor C",))
        with Library.open(tmp_path / "x.db") as library:
            assert library.add([one, two, stranger], when=MONDAY).counts == {"new": 3}
            [suggestion] = library.suggestions("1")
            assert suggestion.record == two
            assert suggestion.reasons == ("titles 98% alike", "same first author", "same journal")
            assert [found.record_id for found in library.suggestions(replace(one, pmid=None, abstract="x"))] == [1, 2]

    def test_a_shared_doi_or_text_is_suggested_whatever_the_title(self, tmp_path: Path) -> None:
        one = make_record("Chapter one", "One.", doi="10.1/a", flags=("book",))
        two = make_record("Of the kidney", "Two.", doi="10.1/a", flags=("book",))
        with Library.open(tmp_path / "x.db") as library:
            library.add([one, two, make_record(pmid="1"), make_record(pmid="2")], when=MONDAY)
            assert [found.reasons for found in library.suggestions(1)] == [("same DOI",)]
            assert [found.reasons for found in library.suggestions("1")] == [("same text", "titles 100% alike")]

    def test_a_common_title_without_evidence_is_not(self, tmp_path: Path) -> None:
        records = [
            replace(make_record("Exosomes in wound healing", f"Text {year}.", pmid=str(year)), year=year)
            for year in (1990, 2020)
        ]
        with Library.open(tmp_path / "x.db") as library:
            library.add(records, when=MONDAY)
            assert library.suggestions("1990") == ()

    def test_a_changed_title_is_found_by_its_new_words(self, tmp_path: Path) -> None:
        with Library.open(tmp_path / "x.db") as library:
            library.add([make_record("Provisional heading", "One.", pmid="1")], when=MONDAY)
            library.add([make_record(self.TITLE, "One.", pmid="1")], when=MONDAY)
            assert [found.record_id for found in library.suggestions(make_record(self.TITLE, "Two."))] == [1]
            assert library.suggestions(make_record("Provisional heading", "Two.")) == ()
            library.mark_deleted(["1"], when=MONDAY)
            assert library.suggestions(make_record(self.TITLE, "Two.")) == ()
