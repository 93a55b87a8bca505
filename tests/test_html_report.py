"""``exoclass evaluate --html``: one page that needs nothing else, with the same figures as ``--json``."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import lxml.html
import pytest
from conftest import ABSTRACT, DATA, Run

from exoclass.classifier import Classifier
from exoclass.corpus import Corpus
from exoclass.diagnosis import Diagnosis, diagnose
from exoclass.html_report import render
from exoclass.markup import VOID
from exoclass.taxonomy import Taxonomy

HOSTILE = '<script>alert("x")</script> & <img src=http://example.org/x.png onerror=alert(1)> \x00\x1b'
SENTENCE = "Exosomes <b>healed</b> the wounds & new vessels grew."
WRONG = {
    "title": HOSTILE,
    "abstract": f"{ABSTRACT} {SENTENCE}",
    "pmid": "12345678",
    "scope": "not_ev",
    "disease": None,
    "mechanism": None,
}


@dataclass(frozen=True)
class Page:
    """One run with ``--html`` and ``--json``."""

    data: Path
    file: Path
    text: str
    tree: lxml.html.HtmlElement
    scores: dict[str, Any]
    stderr: str


@pytest.fixture(scope="module")
def page(run: Run, labelled: Corpus, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("html")
    wanted = {int(item.record.source.rpartition(":")[2]) for item in labelled}
    lines = DATA.read_text(encoding="utf-8").splitlines(keepends=True)
    data, file = folder / "a <b> & c.jsonl", folder / "report.html"
    chosen = [line for number, line in enumerate(lines, start=1) if number in wanted or number % 8 == 0]
    data.write_text("".join([*chosen, json.dumps(WRONG) + "\n"]), encoding="utf-8")
    done = run("evaluate", data, "-m", tiny_model, "--json", "--html", file)
    assert done.returncode == 0, done.stderr
    text = file.read_text(encoding="utf-8")
    return Page(data, file, text, lxml.html.document_fromstring(text), json.loads(done.stdout), done.stderr)


@pytest.fixture(scope="module")
def diagnosis(tiny_model: Path, page: Page, taxonomy: Taxonomy) -> Diagnosis:
    return diagnose(Classifier.from_pretrained(tiny_model), Corpus.load([page.data], taxonomy), name="again")


@pytest.fixture(scope="module")
def whole(tiny_model: Path, page: Page, taxonomy: Taxonomy) -> str:
    """Return a page that shows every mistake, that of the hostile record among them."""
    corpus = Corpus.load([page.data], taxonomy)
    return render(diagnose(Classifier.from_pretrained(tiny_model), corpus, name=HOSTILE, most=10_000), taxonomy)


def values(element: lxml.html.HtmlElement) -> list[float]:
    return [float(data.get("value", "nan")) for data in element.iter("data")]


class Balance(HTMLParser):
    """Fails where an end tag does not close the element that was opened last."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_one_whole_document(page: Page) -> None:
    balance = Balance()
    balance.feed(page.text)
    assert balance.open == []
    assert page.text.startswith("<!doctype html>\n<html")
    assert [child.tag for child in page.tree] == ["head", "body"]
    assert "report written to" in page.stderr


def test_ids_are_unique_and_every_inner_link_leads_somewhere(page: Page) -> None:
    ids = [str(found) for found in page.tree.xpath("//@id")]
    assert len(ids) == len(set(ids))
    inner = [str(link)[1:] for link in page.tree.xpath("//a/@href") if str(link).startswith("#")]
    assert inner
    assert set(inner) <= set(ids)


def test_nothing_is_loaded_and_nothing_runs(whole: str) -> None:
    tree = lxml.html.document_fromstring(whole)
    tags = {element.tag for element in tree.iter() if isinstance(element.tag, str)}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form", "image", "use"}
    links = {str(link) for link in tree.xpath("//@href") if not str(link).startswith("#")}
    assert all(link.startswith("https://pubmed.ncbi.nlm.nih.gov/") for link in links)
    assert "https://pubmed.ncbi.nlm.nih.gov/12345678/" in links
    names = {str(name) for element in tree.iter() for name in element.attrib}
    assert not {name for name in names if name.startswith("on") or name in {"src", "srcset", "action", "xlink:href"}}
    style = "".join(element.text_content() for element in tree.iter("style"))
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'" in str(tree.xpath("//meta[@http-equiv]/@content"))


def test_what_the_data_say_is_text_and_never_markup(whole: str, page: Page) -> None:
    tree = lxml.html.document_fromstring(whole)
    assert "<script" not in whole
    assert "<img" not in whole
    titles = [element.text_content() for element in tree.xpath("//details[@class='mistake']/summary/b")]
    assert any(title.startswith('<script>alert("x")</script> & <img src=http') for title in titles)
    assert any(SENTENCE in element.text_content() for element in tree.xpath("//p[@class='abstract']"))
    assert tree.xpath("//header/p")[0].text_content() == HOSTILE.replace("\x00\x1b", "\ufffd\ufffd")
    assert "a <b> & c.jsonl" in page.tree.xpath("//header/p")[0].text_content()


def test_the_headline_figures_are_those_of_json(page: Page) -> None:
    for axis in page.scores["axes"]:
        [card] = page.tree.xpath(f"//*[@id='card-{axis['id']}']")
        f1 = [axis[kind][end] for kind in ("micro_f1", "macro_f1") for end in ("value", "low", "high")]
        accuracy = [axis["accuracy"]] if axis["accuracy"] is not None else []
        assert values(card) == [*f1, *accuracy, axis["calibration_error"], axis["review_share"], axis["annotated"]]
        shown = [float(data.text_content()) for data in card.xpath(".//data")[:4]]
        assert shown == pytest.approx(values(card)[:4], abs=0.00056)


def test_the_figures_of_each_label_are_those_of_json(page: Page) -> None:
    for label in page.scores["labels"]:
        [row] = page.tree.xpath(f"//*[@id='figures-{label['id']}']")
        names = ("support", "annotated", "precision", "recall", "f1", "average_precision", "calibration_error")
        expected = [label[name] for name in names] + [label["review_share"]]
        expected[4] = label["f1"]["value"]
        assert values(row) == [figure for figure in expected if figure is not None]
        assert label["id"] in row.text_content()


def test_each_label_with_positives_has_a_bar_with_its_interval(page: Page) -> None:
    present = {label["id"]: label for label in page.scores["labels"] if label["support"]}
    rows = page.tree.xpath("//table[@class='bars']/tbody/tr")
    assert {str(row.get("id")) for row in rows} == {f"label-{label_id}" for label_id in present}
    for row in rows:
        label = present[str(row.get("id")).removeprefix("label-")]
        f1 = [label["f1"][end] for end in ("value", "low", "high")]
        assert values(row) == [figure for figure in [*f1, label["support"]] if figure is not None]
        width = float(row.xpath(".//rect[@class='bar']/@width")[0])
        assert width == pytest.approx(100 * label["f1"]["value"], abs=0.01)


def test_bars_stand_by_falling_support(page: Page) -> None:
    for table in page.tree.xpath("//table[@class='bars']"):
        support = [values(row)[-1] for row in table.xpath("./tbody/tr")]
        assert support == sorted(support, reverse=True)


def test_the_confusion_table_has_the_counts_of_json(page: Page) -> None:
    rows = page.tree.xpath("//table[@class='heat']/tbody/tr")
    assert [[int(cell.text_content()) for cell in row.xpath("./td")] for row in rows] == page.scores["confusion"]


def test_labels_never_predicted_are_named(page: Page) -> None:
    named = [code.text_content() for code in page.tree.xpath("//*[@id='never']//code")]
    assert named == page.scores["never_predicted"]


def test_each_axis_has_both_kinds_of_plot_for_all_labels_and_for_some(page: Page) -> None:
    for axis in page.scores["axes"]:
        [section] = page.tree.xpath(f"//section[@id='{axis['id']}']")
        curves, plots = section.xpath(".//div[@class='plots']")
        assert 1 < len(curves) == len(plots) <= 8
        for figure in [*curves, *plots]:
            assert figure.xpath("./svg/@aria-label")
        assert curves[0].xpath(".//path[@class='curve']")
        assert plots[0].xpath(".//circle")


def test_the_page_says_what_was_evaluated_on_what(page: Page, diagnosis: Diagnosis, taxonomy: Taxonomy) -> None:
    said = page.tree.xpath("//*[@id='source']")[0].text_content()
    for fact in (diagnosis.model, diagnosis.digest, diagnosis.data, taxonomy.fingerprint, "learned for each label"):
        assert fact
        assert fact in said


def test_records_seen_in_training_are_warned_of(page: Page, diagnosis: Diagnosis, taxonomy: Taxonomy) -> None:
    seen, n = page.scores["seen_in_training"], page.scores["n_records"]
    [warning] = page.tree.xpath("//p[@class='warning']")
    assert f"trained on {seen} of these {n} records" in warning.text_content()
    assert 'class="warning"' not in render(replace(diagnosis, seen=0), taxonomy)


def test_the_meaning_is_told_in_two_sentences(page: Page) -> None:
    [meaning] = page.tree.xpath("//section/p[not(@class)]")[:1]
    text = meaning.text_content()
    assert text.count(". ") == 1
    assert text.endswith(".")
    accuracy = next(axis["accuracy"] for axis in page.scores["axes"] if axis["accuracy"] is not None)
    assert f"{100 * accuracy:.0f} get the scope" in text


def test_evidence_is_marked_where_it_stands(page: Page, diagnosis: Diagnosis) -> None:
    shown = page.tree.xpath("//details[@class='mistake']")
    mistakes = [mistake for group in diagnosis.mistakes for mistake in group.worst]
    assert len(shown) == len(mistakes) == 40
    assert page.text.count("<mark>") > 20
    for element, mistake in zip(shown, mistakes, strict=True):
        marks = [mark.text_content() for mark in element.iter("mark")]
        assert marks == ([mistake.evidence.sentence] if mistake.evidence else [])
        assert values(element)[0] == round(mistake.probability, 4)


def test_the_same_evaluation_gives_the_same_bytes(diagnosis: Diagnosis, page: Page, taxonomy: Taxonomy) -> None:
    name = page.scores["name"]
    again = render(replace(diagnosis, report=replace(diagnosis.report, name=name)), taxonomy)
    assert again == page.text


def test_an_evaluation_without_errors_or_confusion_is_a_page_too(diagnosis: Diagnosis, taxonomy: Taxonomy) -> None:
    report = replace(diagnosis.report, confusion=(), scope_labels=(), never_predicted=())
    groups = tuple(replace(group, count=0, worst=()) for group in diagnosis.mistakes)
    text = render(replace(diagnosis, report=report, mistakes=groups, threshold=0.4), taxonomy)
    tree = lxml.html.document_fromstring(text)
    assert "No decision was wrong." in tree.xpath("//*[@id='mistakes']")[0].text_content()
    assert not tree.xpath("//*[@id='confusion']")
    assert "0.4 for all labels" in tree.xpath("//*[@id='source']")[0].text_content()


def test_a_file_is_replaced_only_with_force(run: Run, page: Page, tiny_model: Path, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    target.write_text("mine", encoding="utf-8")
    refused = run("evaluate", page.data, "-m", tiny_model, "--html", target)
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert "--force" in refused.stderr
    assert target.read_text(encoding="utf-8") == "mine"
    done = run("evaluate", page.data, "-m", tiny_model, "--html", target, "--force")
    assert done.returncode == 0, done.stderr
    assert target.read_text(encoding="utf-8") == page.text
    assert list(tmp_path.iterdir()) == [target]


def test_a_place_that_cannot_be_written_is_one_line(run: Run, page: Page, tiny_model: Path, tmp_path: Path) -> None:
    done = run("evaluate", page.data, "-m", tiny_model, "--html", tmp_path / "none" / "r.html")
    assert done.returncode == 1
    assert "cannot be written" in done.stderr.splitlines()[-1]
