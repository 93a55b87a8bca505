"""Every rule by which a record is known again, or kept apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ABSTRACT, make_record

from exoclass.library import Library
from exoclass.library.identity import changes, keys_of, merge
from exoclass.records import Record

WHEN = "2025-11-01T00:00:00Z"
TITLE = "Exosomes of stem cells speed wound healing in diabetic mice"
OTHER = (
    "Plasma was taken from patients before surgery. Vesicles were isolated by chromatography and their proteins were "
    "measured. Two markers told tumours from benign lesions, with an area under the curve of 0.9."
)
FIRST = make_record(pmid="1", doi="10.1/a")


def article(pmid: str | None = None, doi: str | None = None, **fields: object) -> Record:
    return replace(make_record(pmid=pmid, doi=doi), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("first", "second", "outcome", "by"),
    [
        (FIRST, FIRST, "known", "pmid"),
        (FIRST, replace(FIRST, source="other.ris:9"), "known", "pmid"),
        (FIRST, replace(FIRST, flags=("supersedes",)), "known", "pmid"),
        (FIRST, replace(FIRST, title="Another title", abstract=OTHER, doi="10.1/b"), "revised", "pmid"),
        (FIRST, replace(FIRST, flags=("retracted",)), "retracted", "pmid"),
        (FIRST, article(None, "10.1/A"), "duplicate", "doi"),
        (article(None, "10.1/a"), article(None, "10.1/A"), "known", "doi"),
        (article(None, "10.1/a"), article("1", "10.1/a"), "revised", "doi"),  # it has a PMID now
        (FIRST, article(None, "10.1/a", title=TITLE + ": a trial"), "duplicate", "doi"),
        (FIRST, article(None, "10.1/a", title=TITLE.replace("speed", "accelerate")), "duplicate", "doi"),
        (article("1"), article(None, None), "duplicate", "text"),
        (article(), article(title=TITLE.upper() + "."), "known", "text"),
        (article(), article(), "known", "text"),
        (article("1"), article(None, "10.1/a"), "revised", "text"),  # it has a DOI now
        (article(abstract="", authors=("Wu K",)), article(abstract="", authors=("Wu K",)), "known", "text"),
    ],
)  # fmt: skip
def test_the_same_paper_is_known_again(tmp_path: Path, first: Record, second: Record, outcome: str, by: str) -> None:
    with Library.open(tmp_path / "x.db") as library:
        library.add([first], when=WHEN)
        [added] = library.add([second], when=WHEN).items
        assert (added.record_id, added.outcome, added.by) == (1, outcome, by)
        assert len(library.ids()) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (FIRST, article("2", "10.1/a")),  # all but the PMID agrees
        (article(None, "10.1/a", flags=("book",)), article(None, "10.1/a", title=TITLE + " and rats")),  # chapters
        (article(None, "10.1/a"), article(None, "10.1/a", title="Vesicles", abstract=OTHER)),  # a supplement
        (FIRST, article(None, "10.1/a", title=TITLE.replace("mice", "rats"), abstract=OTHER)),  # likewise
        (FIRST, article(None, "10.1/a", title=TITLE.replace("mice", "rats"), abstract="")),
        (article(None, "10.1101/a"), article(None, "10.1/b")),  # preprint and publication
        (article(abstract="", title="Editorial", year=2020), article(abstract="", title="Editorial", year=2021)),
        (article(abstract="", title="Editorial"), article(abstract="", title="Editorial", authors=("Wu K",))),
        (article(None, "10.1/a", title="", flags=("book",)), article(None, "10.1/a", abstract=OTHER)),
    ],
)  # fmt: skip
def test_another_paper_is_kept_apart_and_pointed_at(tmp_path: Path, first: Record, second: Record) -> None:
    with Library.open(tmp_path / "x.db") as library:
        library.add([first], when=WHEN)
        [added] = library.add([second], when=WHEN).items
        assert (added.record_id, added.outcome, added.near) == (2, "new", (1,))


def test_of_many_under_one_doi_the_one_with_the_text_is_found(tmp_path: Path) -> None:
    chapters = [
        article(None, "10.1/book", title=f"Chapter {number}", abstract=f"{ABSTRACT} {number}", flags=("book",))
        for number in range(200)
    ]
    with Library.open(tmp_path / "x.db") as library:
        assert library.add(chapters, when=WHEN).counts == {"new": 200}
        again = library.add([*chapters, *chapters], when=WHEN)
        assert again.counts == {"known": 400}
        assert again.ids("known") == tuple(range(1, 201))


def test_letters_alone_make_the_text_key() -> None:
    assert keys_of(article()).text == keys_of(article(abstract=ABSTRACT.upper().replace(" ", "  "))).text
    assert keys_of(article(title="???", abstract="…")).text is None
    assert keys_of(article()).text == article().key
    assert keys_of(article(None, "10.1/A")).doi == "10.1/a"


def test_what_an_export_lacks_is_not_taken_away() -> None:
    full = article("1", "10.1/a", journal="J", year=2020, mesh_terms=("Mice",), authors=("Wu K",))
    assert merge(full, Record(title=TITLE, abstract="", pmid="1", flags=("no_abstract",))) == full


def test_a_retraction_is_never_undone() -> None:
    assert merge(article("1", flags=("retracted",)), article("1")).flags == ("retracted",)


def test_an_abstract_that_came_late_takes_the_flag_away() -> None:
    bare = article("1", abstract="", flags=("no_abstract",))
    after = merge(bare, article("1"))
    assert (after.abstract, after.flags, changes(bare, after)) == (ABSTRACT, (), ("abstract", "flags"))


def test_a_plain_language_abstract_does_not_replace_the_proper_one() -> None:
    plain = article("1", abstract="Wounds heal faster.", flags=("other_abstract",))
    assert merge(article("1"), plain) == article("1")
    assert merge(plain, article("1")) == article("1")


def test_a_copy_without_pmid_fills_gaps_only() -> None:
    stored = article("1")
    copy = article(None, "10.1/a", title="Title as the publisher has it", journal="J")
    assert merge(stored, copy) == replace(stored, doi="10.1/a", journal="J")


def test_the_greater_version_wins() -> None:
    second = article("1", version=2, title="Second version")
    assert merge(second, article("1")) == second
    assert merge(article("1"), second) == second
