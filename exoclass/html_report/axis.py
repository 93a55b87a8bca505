"""The part of the HTML report about one axis: bars, figures and plots of its labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from exoclass.curves import AxisCurves, Curves
from exoclass.html_report.figures import count, figure, interval, percent
from exoclass.markup import Html, element, join
from exoclass.metrics import LabelScore
from exoclass.svg import interval_bar, precision_recall_plot, reliability_plot
from exoclass.taxonomy import Taxonomy

LABEL_PLOTS = 7  # beside the pooled one: two rows of four


_BARS = "F1 of each label with its 95 % interval and, last, its number of positives, by which they are ordered."
_DRAWN = "All labels together, then those with most positives. "
_CURVE = _DRAWN + "The dot is where the decisions lie; the dashed line is the precision of guessing."
_RELIABLE = (
    "On the dashed line a probability of 0.7 is true 7 times in 10; below it the model promises too much. Up to ten "
    "bins with 95 % intervals; a larger dot stands for more decisions."
)


def axis_section(labels: Sequence[LabelScore], curves: AxisCurves, taxonomy: Taxonomy) -> Html:
    """Return bars, figures, precision-recall curves and reliability plots of one axis.

    Parameters
    ----------
    labels, curves
        The figures of its labels, and the curves of the same evaluation.
    """
    present = sorted((label for label in labels if label.support), key=lambda label: -label.support)
    absent = [taxonomy.label(label.id).name for label in labels if not label.support]
    drawn = [curves.pooled, *curves.labels[:LABEL_PLOTS]]
    return element(
        "section",
        element("h2", taxonomy.axis(curves.id).name),
        element("p", _BARS, cls="soft"),
        _bars(present, taxonomy),
        *([element("p", f"Without positives here: {', '.join(absent)}.", cls="soft")] if absent else []),
        _figures(labels, taxonomy),
        element("h3", "Precision against recall"),
        element("p", _CURVE, cls="soft"),
        _plots(drawn, precision_recall_plot, _average_precision, taxonomy),
        element("h3", "Reliability of the probabilities"),
        element("p", _RELIABLE, cls="soft"),
        _plots(drawn, reliability_plot, _positives, taxonomy),
        id=curves.id,
    )


def _bars(labels: Sequence[LabelScore], taxonomy: Taxonomy) -> Html:
    head = element(
        "tr",
        element("th", "label", scope="col"),
        element("th", element("span", element("span", "0"), element("span", "1"), cls="ends"), cls="bar-cell"),
        element("th", "F1 (95 %)", scope="col", cls="number"),
        element("th", "positives", scope="col", cls="number"),
    )
    rows = []
    for label in labels:
        name = taxonomy.label(label.id).name
        said = f"F1 of {name}: {label.f1.value:.3f}, 95 % from {label.f1.low:.3f} to {label.f1.high:.3f}"
        rows.append(
            element(
                "tr",
                element("th", name, scope="row", title=label.id),
                element("td", interval_bar(label.f1, said), cls="bar-cell"),
                element("td", figure(label.f1.value), " (", interval(label.f1), ")", cls="number"),
                element("td", count(label.support), cls="number"),
                id=f"label-{label.id}",
            )
        )
    return element("table", element("thead", head), element("tbody", *rows), cls="bars")


def _figures(labels: Sequence[LabelScore], taxonomy: Taxonomy) -> Html:
    texts = [element("th", name, scope="col") for name in ("label", "id")]
    counts = ("positives", "judged", "precision", "recall", "F1", "average precision", "calibration error", "not sure")
    head = element("tr", *texts, *(element("th", name, scope="col", cls="number") for name in counts))
    rows = []
    for label in labels:
        values = [label.precision, label.recall, label.f1.value, label.average_precision, label.calibration_error]
        cells = [
            count(label.support),
            count(label.annotated),
            *map(figure, values),
            percent(label.review_share),
        ]
        rows.append(
            element(
                "tr",
                element("th", taxonomy.label(label.id).name, scope="row"),
                element("td", element("code", label.id)),
                *(element("td", cell, cls="number") for cell in cells),
                id=f"figures-{label.id}",
            )
        )
    table = element("table", element("thead", head), element("tbody", *rows), cls="figures")
    return element("details", element("summary", "All figures of each label"), element("div", table, cls="scroll"))


def _plots(
    drawn: Sequence[Curves],
    plot: Callable[[Curves, str], Html],
    caption: Callable[[Curves], Html],
    taxonomy: Taxonomy,
) -> Html:
    found = []
    for curves in drawn:
        name = taxonomy.label(curves.id).name if curves.id else "All labels"
        title = element("figcaption", element("b", name), element("span", caption(curves)))
        found.append(element("figure", title, plot(curves, name)))
    return element("div", *found, cls="plots")


def _average_precision(curves: Curves) -> Html:
    return join("average precision ", figure(curves.average_precision))


def _positives(curves: Curves) -> Html:
    return join(f"{curves.support:,} of {curves.annotated:,} true")
