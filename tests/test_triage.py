"""Triage on a real library with the shipped model: what is news, in which order, and until when."""

from __future__ import annotations

from dataclasses import replace

import pytest
from conftest import ABSTRACT, make_record

from exoclass.classifier import Classifier
from exoclass.errors import UsageError
from exoclass.library import Library
from exoclass.records import Deletion, Record, Reject
from exoclass.taxonomy import Taxonomy
from exoclass.triage import Queue, queue, relevant_scopes, tag_missing, take_in
from exoclass.wanting import Want

MONDAY, TUESDAY, FRIDAY = "2026-11-02T08:00:00Z", "2026-11-03T08:00:00Z", "2026-11-06T08:00:00Z"
WOUND = make_record(pmid="1")
BRAIN = make_record(
    "Neural stem cell exosomes reduce infarct volume after stroke in rats",
    "Rats with middle cerebral artery occlusion received exosomes from neural stem cells. Infarcts were smaller and "
    "neurons survived, because neuronal apoptosis was inhibited. Exosomes may become a therapy of ischemic stroke.",
    pmid="2",
)
MARKER = make_record(
    "Plasma exosomal miR-21 as a diagnostic biomarker of lung cancer",
    "Plasma exosomes of 120 patients with lung cancer and 80 controls were sequenced. miR-21 discriminated both with "
    "an AUC of 0.91 and may serve as a non-invasive diagnostic biomarker.",
    pmid="3",
)


def fill(library: Library, clf: Classifier, *records: Record, when: str = MONDAY) -> None:
    library.add(records, when=when)
    tag_missing(library, clf, when=when)


def pmids(found: Queue) -> list[str | None]:
    return [item.entry.record.pmid for item in found.items]


def see(library: Library, found: Queue) -> None:
    library.mark_shown(item.entry for item in (*found.items, *found.changed))


def test_the_likeliest_comes_first_and_each_only_once(library: Library, clf: Classifier) -> None:
    fill(library, clf, MARKER, WOUND, BRAIN)
    found = queue(library, clf)
    assert pmids(found)[-1] == "3"
    assert [item.news for item in found.items] == ["new"] * 3
    relevances = [item.relevance for item in found.items]
    assert relevances == sorted(relevances, reverse=True)
    assert relevances[0] > 0.5 > relevances[-1]
    see(library, found)
    assert queue(library, clf) == Queue()
    assert len(queue(library, clf, everything=True).items) == 3


def test_what_was_not_shown_yet_is_shown_again(library: Library, clf: Classifier) -> None:
    fill(library, clf, WOUND, BRAIN)
    assert pmids(queue(library, clf)) == pmids(queue(library, clf))


def test_only_what_came_since_is_new(library: Library, clf: Classifier) -> None:
    fill(library, clf, WOUND)
    see(library, queue(library, clf))
    fill(library, clf, WOUND, BRAIN, when=FRIDAY)
    assert pmids(queue(library, clf)) == ["2"]


def test_a_revision_a_retraction_and_a_withdrawal_are_news(library: Library, clf: Classifier) -> None:
    fill(library, clf, WOUND, BRAIN, MARKER)
    see(library, queue(library, clf))
    library.decide("3", "reject", when=TUESDAY)
    fill(library, clf, replace(WOUND, abstract=ABSTRACT + " A sentence was added."), when=FRIDAY)
    fill(library, clf, replace(BRAIN, flags=("retracted",)), when=FRIDAY)
    library.mark_deleted(["3"], when=FRIDAY)
    found = queue(library, clf)
    assert found.items == ()
    assert {item.entry.record.pmid: item.news for item in found.changed} == {
        "1": "revised", "2": "retracted", "3": "deleted",
    }  # fmt: skip
    see(library, found)
    assert queue(library, clf) == Queue()


def test_the_tags_follow_a_revised_text(library: Library, clf: Classifier) -> None:
    fill(library, clf, WOUND)
    before = library.predictions("1")[-1].prediction
    fill(library, clf, replace(BRAIN, pmid="1"), when=FRIDAY)
    after = library.predictions("1")[-1]
    assert not after.stale
    assert after.prediction != before
    assert tag_missing(library, clf, when=FRIDAY) == 0


def test_a_retraction_of_what_was_decided_before_it_was_shown_is_news(library: Library, clf: Classifier) -> None:
    fill(library, clf, WOUND)
    library.decide("1", "accept", when=MONDAY)
    assert queue(library, clf) == Queue()
    fill(library, clf, replace(WOUND, flags=("retracted",)), when=FRIDAY)
    assert [item.news for item in queue(library, clf).changed] == ["retracted"]


def test_a_paper_retracted_before_it_was_shown_says_so(library: Library, clf: Classifier) -> None:
    fill(library, clf, WOUND)
    fill(library, clf, replace(WOUND, flags=("retracted",)), when=FRIDAY)
    [item] = queue(library, clf).items
    assert (item.news, item.prediction.flags) == ("new", ("retracted",))


def test_what_is_decided_is_not_asked_again(library: Library, clf: Classifier) -> None:
    fill(library, clf, WOUND, BRAIN)
    library.decide("1", "reject", when=MONDAY)
    assert pmids(queue(library, clf)) == ["2"]
    assert pmids(queue(library, clf, everything=True)) == ["2"]


def test_top_leaves_the_others_for_next_time(library: Library, clf: Classifier) -> None:
    fill(library, clf, WOUND, BRAIN, MARKER)
    first = queue(library, clf, top=2)
    assert (len(first.items), first.waiting) == (2, 1)
    see(library, first)
    assert pmids(queue(library, clf)) == ["3"]


def test_wants_on_one_axis_widen_and_on_two_narrow(library: Library, clf: Classifier, taxonomy: Taxonomy) -> None:
    fill(library, clf, WOUND, BRAIN, MARKER)

    def shown(*texts: str) -> set[str | None]:
        return set(pmids(queue(library, clf, wants=[Want.parse(text, taxonomy) for text in texts])))

    assert shown("disease:skin_wound") == {"1"}
    assert shown("disease:skin_wound", "disease:nervous_system") == {"1", "2"}
    assert shown("disease:skin_wound", "scope:biomarker_diagnostic") == set()
    found = queue(library, clf, wants=[Want.parse("disease:skin_wound", taxonomy)])
    assert found.unwanted == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("disease:hart", "there is no label 'hart'"),
        ("mechanism:eye", "eye is a label of disease. Write disease:eye."),
        ("angiogenesis", "there is no label ''"),
    ],
)
def test_a_wrong_want_says_what_is_right(taxonomy: Taxonomy, text: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        Want.parse(text, taxonomy)
    assert message in str(error.value)


def test_sorting_by_doubt_and_by_time(library: Library, clf: Classifier) -> None:
    fill(library, clf, WOUND, MARKER)
    fill(library, clf, BRAIN, when=FRIDAY)
    assert pmids(queue(library, clf, sort="newest"))[0] == "2"
    doubts = [abs(item.relevance - 0.5) for item in queue(library, clf, sort="uncertainty").items]
    assert doubts == sorted(doubts)


def test_every_item_of_a_file_is_accounted_for(library: Library) -> None:
    library.add([BRAIN], when=MONDAY)
    rejects: list[Reject] = []
    items: list[Record | Reject | Deletion] = [
        WOUND,
        Reject("f.nbib", "line 3", "no title"),
        BRAIN,
        Deletion("2", "f.xml:9"),
        Deletion("77", "f.xml:9"),
    ]
    intake = take_in(library, items, when=TUESDAY, reject=rejects.append)
    assert (intake.count("new"), intake.count("known"), intake.rejected, intake.deleted) == (1, 1, 1, ("2",))
    assert [reject.position for reject in rejects] == ["line 3"]


def test_papers_that_are_perhaps_one_are_named_and_kept_apart(library: Library, clf: Classifier) -> None:
    first = replace(WOUND, doi="10.1/a", authors=("Wu Kai", "Li Na"), year=2025)
    again = replace(first, pmid="77", doi="10.1/b", title=f"{WOUND.title}.", abstract=f"{ABSTRACT} More was found.")
    fill(library, clf, first, again, BRAIN)
    found = {item.entry.record.pmid: [other.record.pmid for other in item.alike] for item in queue(library, clf).items}
    assert found == {"1": ["77"], "77": ["1"], "2": []}


def test_relevant_is_what_mechanisms_apply_to(taxonomy: Taxonomy) -> None:
    assert relevant_scopes(taxonomy) == ("therapy", "delivery_platform")
