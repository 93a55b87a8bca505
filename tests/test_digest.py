"""The digest as a page: complete, safe whatever the records hold, and the same in a real browser."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import lxml.html
import pytest
from conftest import ABSTRACT, make_record
from test_triage import BRAIN, FRIDAY, MARKER, MONDAY, WOUND, fill

from exoclass.classifier import Classifier
from exoclass.digest import render
from exoclass.library import Library
from exoclass.records import Evidence, Tag
from exoclass.remaining import estimate
from exoclass.taxonomy import Taxonomy
from exoclass.triage import Digest, Queue, queue

HOSTILE = '<script>alert("x")</script> & <img src=http://example.org/x.png onerror=alert(1)> \x00\x1b'
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


def digest_of(library: Library, clf: Classifier, **changes: object) -> Digest:
    return replace(Digest(queue(library, clf), MONDAY, clf.id, ("exosome*[tiab]",)), **changes)  # type: ignore[arg-type]


def tree_of(text: str) -> lxml.html.HtmlElement:
    return lxml.html.document_fromstring(text)


def test_every_paper_is_there_once_with_its_tags(library: Library, clf: Classifier, taxonomy: Taxonomy) -> None:
    fill(library, clf, WOUND, BRAIN, MARKER)
    digest = digest_of(library, clf)
    text = render(digest, taxonomy)
    tree = tree_of(text)
    links = [link for link in tree.xpath("//a/@href") if link.startswith("https:")]
    assert sorted(links) == [f"https://pubmed.ncbi.nlm.nih.gov/{pmid}/" for pmid in "123"]
    [first, *_] = tree.xpath("//article")
    item = next(item for item in digest.queue.items if item.entry.record.title in first.text_content())
    for tags in item.prediction.tags.values():
        for tag in tags or ():
            shown = f"{taxonomy.label(tag.id).name} {tag.probability:.2f}"
            assert (shown in first.text_content()) == (tag.decision != "no")
    assert render(digest, taxonomy) == text


def test_the_evidence_is_marked_where_it_stands(library: Library, clf: Classifier, taxonomy: Taxonomy) -> None:
    fill(library, clf, BRAIN)
    digest = digest_of(library, clf)
    tree = tree_of(render(digest, taxonomy))
    [item] = digest.queue.items
    wanted = {
        tag.evidence.sentence
        for tags in item.prediction.tags.values()
        for tag in tags or ()
        if tag.decision != "no" and tag.evidence
    }
    marked = {"".join(mark.xpath("text()")) for mark in tree.xpath("//mark")}
    assert marked == wanted
    [abstract] = tree.xpath("//p[@class='abstract']")
    for number in abstract.xpath(".//sup"):
        number.getparent().remove(number)
    assert abstract.text_content() == BRAIN.abstract


def test_a_sentence_within_another_is_marked_where_it_stands_alone(
    library: Library, clf: Classifier, taxonomy: Taxonomy
) -> None:
    inner, outer, title = "Exosomes heal.", "In old rats, Exosomes heal.", "Exosomes of stem cells"
    abstract = f"{outer} So do they in mice. {inner} {title} are old news."
    fill(library, clf, make_record(title, abstract, pmid="1"))
    [item] = queue(library, clf).items
    tags = tuple(
        Tag(label, 0.9, "yes", Evidence(sentence, ()))
        for label, sentence in (("cardiovascular", outer), ("skin_wound", inner), ("neoplasms", title))
    )
    prediction = replace(
        item.prediction, scope=replace(item.prediction.scope, id="therapy", decision="yes"), tags={"disease": tags}
    )
    found = Queue((replace(item, prediction=prediction),))
    tree = tree_of(render(digest_of(library, clf, queue=found), taxonomy))
    [shown] = tree.xpath("//p[@class='abstract']")
    assert shown.xpath(".//mark/text()") == [outer, inner]
    assert shown.xpath(".//mark[2]")[0].getprevious().tail == " So do they in mice. "
    assert tree.xpath("//h3//mark/text()") == [title]
    assert tree.xpath("//ol[@class='evidence']/li/text()") == [outer, inner]


def test_a_retraction_is_told_even_of_what_was_never_shown(
    library: Library, clf: Classifier, taxonomy: Taxonomy
) -> None:
    fill(library, clf, WOUND, MARKER)
    retracted = [replace(record, flags=("retracted",)) for record in (WOUND, MARKER)]
    fill(library, clf, *retracted, when=FRIDAY)
    tree = tree_of(render(digest_of(library, clf), taxonomy))
    for place in ("therapy", "other"):
        assert tree.xpath(f"//section[@id='{place}']//*[@class='flag']/text()") == ["retracted"]


def test_a_paper_in_one_line_can_be_found_from_a_print(library: Library, clf: Classifier, taxonomy: Taxonomy) -> None:
    fill(library, clf, MARKER, replace(WOUND, pmid=None, doi="10.1/a<b>"))
    tree = tree_of(render(digest_of(library, clf), taxonomy))
    [line] = tree.xpath("//ul[@class='brief']/li")
    assert line.text_content().endswith("PMID 3")
    [card] = tree.xpath("//article")
    assert "doi 10.1/a<b>" in card.text_content()
    assert card.xpath(".//h3/a/@href") == ["https://doi.org/10.1/a%3Cb%3E"]


def test_numbers_agree_with_their_nouns(library: Library, clf: Classifier, taxonomy: Taxonomy) -> None:
    fill(library, clf, WOUND)
    found = replace(queue(library, clf), waiting=1, unwanted=1)
    text = tree_of(render(digest_of(library, clf, queue=found), taxonomy)).text_content()
    assert "Monday, 2 November 2026 · 1 new paper" in text
    assert "1 more waits for the next time." in text
    assert "1 without the labels you asked for waits, too." in text
    library.mark_shown(item.entry for item in found.items)
    fill(library, clf, BRAIN)
    everything = queue(library, clf, everything=True)
    assert "2 papers, 1 new" in render(digest_of(library, clf, queue=everything), taxonomy)


def test_doubt_is_said(library: Library, clf: Classifier, taxonomy: Taxonomy) -> None:
    fill(library, clf, replace(WOUND, abstract=""))
    digest = digest_of(library, clf)
    tree = tree_of(render(digest, taxonomy))
    [section] = tree.xpath("//section[@id='unsure']")
    assert "not sure" in section.text_content()
    assert "No abstract." in section.text_content()
    assert [flag.text_content() for flag in section.xpath(".//*[@class='flag']")] == ["no abstract"]


def test_what_changed_and_what_waits_is_said(library: Library, clf: Classifier, taxonomy: Taxonomy) -> None:
    ended = replace(WOUND, title=f"{WOUND.title}.")  # as PubMed does
    fill(library, clf, ended, BRAIN)
    library.mark_shown(item.entry for item in queue(library, clf).items)
    fill(library, clf, replace(ended, flags=("retracted",)), when=FRIDAY)
    library.mark_deleted(["2"], when=FRIDAY)
    found = replace(queue(library, clf), waiting=4, unwanted=2)
    left = estimate([True, True], [0.9, 0.8], [0.5])
    text = tree_of(render(digest_of(library, clf, queue=found, remaining=left), taxonomy)).text_content()
    assert f"{WOUND.title} was retracted." in text
    assert f"{BRAIN.title} was withdrawn by PubMed." in text
    assert "4 more wait for the next time." in text
    assert "2 without the labels you asked for wait, too." in text
    assert left.line() in text


def test_a_paper_that_may_be_there_twice_is_pointed_out(library: Library, clf: Classifier, taxonomy: Taxonomy) -> None:
    first = replace(WOUND, authors=("Wu Kai",), doi="10.1/a")
    fill(library, clf, first, replace(first, pmid="77", doi="10.1/b", abstract=f"{ABSTRACT} More was found."))
    text = tree_of(render(digest_of(library, clf), taxonomy)).text_content()
    assert text.count(f"Perhaps the same paper as {WOUND.title}: titles 100% alike") == 2


def test_no_news_is_said_kindly(library: Library, clf: Classifier, taxonomy: Taxonomy) -> None:
    text = tree_of(render(digest_of(library, clf, queue=Queue()), taxonomy)).text_content()
    assert "Nothing new since you last looked." in text


def test_hostile_text_stays_text(library: Library, clf: Classifier, taxonomy: Taxonomy) -> None:
    record = replace(
        make_record(f"{HOSTILE} Exosomes heal wounds", f"{ABSTRACT} {HOSTILE}", doi=f"10.1/{HOSTILE}"),
        journal=HOSTILE, authors=(HOSTILE,) * 5, flags=(HOSTILE,),
    )  # fmt: skip
    fill(library, clf, record)
    text = render(digest_of(library, clf, asked=(HOSTILE,), model=HOSTILE), taxonomy)
    tree = tree_of(text)
    assert not tree.xpath("//script | //img | //link | //iframe | //@onerror")
    assert all(link.startswith(("#", "https://doi.org/10.1/")) for link in tree.xpath("//@href"))
    assert not set(text) & {"\x00", "\x1b"}
    assert tree.text_content().count('alert("x")') >= 6
    assert "default-src 'none'" in text


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium on this machine")
@pytest.mark.parametrize("width", [375, 1280])
def test_a_browser_shows_all_of_it_without_scrolling_sideways(
    library: Library, clf: Classifier, taxonomy: Taxonomy, tmp_path: Path, width: int
) -> None:
    fill(library, clf, WOUND, BRAIN, MARKER, make_record("A" * 300, f"{ABSTRACT} {'b' * 400}", pmid="9"))
    page = tmp_path / "digest.html"
    # The frame has the width of a phone, which a window of Chromium cannot have; the script runs outside the page.
    page.write_text(render(digest_of(library, clf), taxonomy), encoding="utf-8")
    outer = tmp_path / "outer.html"
    outer.write_text(
        f'<iframe id="f" src="digest.html" style="width:{width}px;height:900px;border:0"></iframe><script>'
        "onload = () => { const d = document.getElementById('f').contentDocument.documentElement;"
        "document.title = [d.scrollWidth, d.clientWidth, d.querySelectorAll('article').length].join(' '); }</script>",
        encoding="utf-8",
    )
    assert BROWSER is not None
    shown = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--allow-file-access-from-files", f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,1000",
         "--virtual-time-budget=5000", "--dump-dom", outer.as_uri()],
        capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip
    title = tree_of(shown.stdout).findtext(".//title")
    assert title is not None
    whole, visible, articles = map(int, title.split())
    assert whole <= visible
    assert articles == len([item for item in queue(library, clf).items if item.relevance > 0.3 or item.unsure])
