"""An evaluation as one HTML page that needs nothing else: no network, no script, no other file."""

from __future__ import annotations

import math

from exoclass.diagnosis import Diagnosis
from exoclass.html_report.axis import axis_section
from exoclass.html_report.figures import count, figure, interval, percent
from exoclass.html_report.mistakes import mistakes_section
from exoclass.markup import Html, element, join
from exoclass.metrics import AxisScore, Interval
from exoclass.page import page, stylesheet
from exoclass.taxonomy import Taxonomy


def render(diagnosis: Diagnosis, taxonomy: Taxonomy) -> str:
    """Return the page; the same diagnosis gives the same bytes.

    Figures stand in ``<data value="…">`` with the four places that `exoclass.report.to_json` gives them.

    Parameters
    ----------
    taxonomy
        Names the labels.
    """
    report = diagnosis.report
    sections = [
        axis_section([label for label in report.labels if label.axis == curves.id], curves, taxonomy)
        for curves in diagnosis.curves
    ]
    body = element(
        "body",
        element("header", element("h1", "How well the labels are predicted"), element("p", report.name, cls="soft")),
        _contents(diagnosis, taxonomy),
        element(
            "main",
            _summary(diagnosis, taxonomy),
            *sections,
            _confusion(diagnosis, taxonomy),
            _never(diagnosis, taxonomy),
            mistakes_section(diagnosis, taxonomy),
            _source(diagnosis),
        ),
    )
    return page(f"Evaluation: {report.name}", body, stylesheet("exoclass.html_report", "report.css"))


def _contents(diagnosis: Diagnosis, taxonomy: Taxonomy) -> Html:
    links = [(axis.id, taxonomy.axis(axis.id).name) for axis in diagnosis.report.axes]
    links += [("confusion", "Confusion of scope")] if diagnosis.report.confusion else []
    links += [("never", "Never predicted"), ("mistakes", "Worst errors"), ("source", "Model and data")]
    return element("nav", *(element("a", name, href=f"#{place}") for place, name in links), aria_label="Contents")


def _summary(diagnosis: Diagnosis, taxonomy: Taxonomy) -> Html:
    report = diagnosis.report
    warning = (
        f"The model was trained on {diagnosis.seen} of these {report.n_records} records, so the figures below "
        "flatter it. Use records it has not seen, such as --split test."
    )
    return element(
        "section",
        *([element("p", warning, cls="warning")] if diagnosis.seen else []),
        element("div", *(_card(axis, taxonomy) for axis in report.axes), cls="cards"),
        element("p", _meaning(diagnosis, taxonomy)),
    )


def _card(axis: AxisScore, taxonomy: Taxonomy) -> Html:
    rows = [
        ("micro-F1", _main(axis.micro_f1)),
        ("macro-F1", _main(axis.macro_f1)),
        *([("accuracy", figure(axis.accuracy))] if axis.accuracy is not None else []),
        ("calibration error", figure(axis.calibration_error)),
        ("not sure", percent(axis.review_share)),
        ("records", count(axis.annotated)),
    ]
    pairs = [join(element("dt", name), element("dd", value)) for name, value in rows]
    title = element("h3", taxonomy.axis(axis.id).name)
    return element("div", title, element("dl", *pairs), cls="card", id=f"card-{axis.id}")


def _main(found: Interval) -> Html:
    return join(
        element("span", figure(found.value), cls="main number"),
        element("span", "95 %: ", interval(found), cls="range number"),
    )


def _meaning(diagnosis: Diagnosis, taxonomy: Taxonomy) -> str:
    """Return two plain sentences: what the figures say, and how far they can be trusted."""
    said = []
    for axis, curves in zip(diagnosis.report.axes, diagnosis.curves, strict=True):
        name, pooled = taxonomy.axis(axis.id).name.lower(), curves.pooled
        if axis.accuracy is not None and not math.isnan(axis.accuracy):
            said.append(f"of 100 papers, {100 * axis.accuracy:.0f} get the {name} that the annotators gave")
        elif not math.isnan(pooled.decided_precision) and not math.isnan(pooled.decided_recall):
            said.append(
                f"of 100 {name} labels given, {100 * pooled.decided_precision:.0f} hold, "
                f"and {100 * pooled.decided_recall:.0f} of 100 that hold are given"
            )
    first = "; ".join(said)
    return (
        f"{first[:1].upper()}{first[1:]}{'. ' if first else ''}"
        "The ranges are 95 % intervals, which tell how far a figure could move with another sample of as many papers: "
        "where a label has few positives its range is wide, and its F1 says little."
    )


def _confusion(diagnosis: Diagnosis, taxonomy: Taxonomy) -> Html:
    report = diagnosis.report
    if not report.confusion:
        return Html()
    names = [taxonomy.label(label_id).name for label_id in report.scope_labels]
    head = [element("th", "annotated ↓\npredicted →"), *(element("th", element("span", n), scope="col") for n in names)]
    rows = []
    for number, (name, counts) in enumerate(zip(names, report.confusion, strict=True)):
        cells = [_heat(count, sum(counts), column == number) for column, count in enumerate(counts)]
        rows.append(element("tr", element("th", name, scope="row"), *cells))
    table = element("table", element("thead", element("tr", *head)), element("tbody", *rows), cls="heat")
    explained = (
        "Papers by the scope that the annotators gave (row) and the one predicted (column). The shade is the share of "
        "the row: blue where right, red where wrong."
    )
    return element(
        "section",
        element("h2", "Confusion of scope"),
        element("p", explained, cls="soft"),
        element("div", table, cls="scroll"),
        id="confusion",
    )


def _heat(count: int, whole: int, right: bool) -> Html:
    if not count:
        return element("td", "0", cls="none")
    shade = f"--share: {0.12 + 0.5 * count / whole:.2f}"
    return element("td", str(count), style=shade, cls=None if right else "off", title=f"{100 * count / whole:.0f} %")


def _never(diagnosis: Diagnosis, taxonomy: Taxonomy) -> Html:
    support = {label.id: label.support for label in diagnosis.report.labels}
    items = [
        element("li", taxonomy.label(name).name, " ", element("code", name), f": {support[name]} positives here")
        for name in diagnosis.report.never_predicted
    ]
    none = element("p", "None: each label that has positives is given at least once.")
    body = element("ul", *items) if items else none
    return element("section", element("h2", "Labels never predicted although present"), body, id="never")


def _source(diagnosis: Diagnosis) -> Html:
    cut = "learned for each label" if diagnosis.threshold is None else f"{diagnosis.threshold:g} for all labels"
    rows = [
        ("Evaluated", diagnosis.report.name),
        ("Model", diagnosis.model),
        ("Model manifest, sha256", diagnosis.digest or "not saved"),
        ("Taxonomy, sha256", diagnosis.taxonomy),
        ("Records evaluated", f"{diagnosis.report.n_records:,}, of which {diagnosis.seen:,} were trained on"),
        ("Texts and labels, sha256", diagnosis.data),
        ("Thresholds", cut),
    ]
    pairs = [join(element("dt", name), element("dd", value)) for name, value in rows]
    return element("section", element("h2", "Model and data"), element("dl", *pairs, cls="source"), id="source")
