"""The plots of the HTML report as inline SVG; colours are those of the page (``page.css``)."""

from __future__ import annotations

import math

from exoclass.curves import Curves
from exoclass.markup import Html, element, join
from exoclass.metrics import Interval

# One small plot, in units of the viewBox; the page scales it.
_WIDTH, _HEIGHT = 200.0, 190.0
_LEFT, _TOP, _SIDE = 42.0, 9.0, 150.0
_TICKS = (0.0, 0.5, 1.0)


def interval_bar(interval: Interval, label: str) -> Html:
    """Return a bar from 0 to the value with a line over its interval; it stretches to the width it is given."""
    parts = [_line(100 * tick, 0, 100 * tick, 16, "grid") for tick in (0.25, 0.5, 0.75)]
    if not math.isnan(interval.value):
        parts.append(element("rect", x=0, y=3, width=100 * interval.value, height=10, cls="bar"))
    if not math.isnan(interval.low):
        low, high = 100 * interval.low, 100 * interval.high
        parts += [
            _line(low, 8, high, 8, "whisker"),
            _line(low, 4, low, 12, "whisker"),
            _line(high, 4, high, 12, "whisker"),
        ]
    box = element("rect", x=0, y=3, width=100, height=10, cls="track")
    return element(
        *("svg", box, *parts),
        viewBox="0 0 100 16",
        preserveAspectRatio="none",
        cls="interval",
        role="img",
        aria_label=label,
    )


def precision_recall_plot(curves: Curves, label: str) -> Html:
    """Return the precision-recall steps, the share of true cells (dashed), and a dot where the decisions lie."""
    parts = []
    if curves.annotated:
        share = curves.support / curves.annotated
        parts.append(_line(_x(0), _y(share), _x(1), _y(share), "reference"))
    if curves.recall:
        steps = "".join(f"V{_y(p):.1f}H{_x(r):.1f}" for r, p in zip(curves.recall, curves.precision, strict=True))
        parts.append(element("path", d=f"M{_x(0):.1f} {_y(curves.precision[0]):.1f}{steps}", cls="curve"))
    if not math.isnan(curves.decided_recall) and not math.isnan(curves.decided_precision):
        at = f"decisions: precision {curves.decided_precision:.3f}, recall {curves.decided_recall:.3f}"
        parts.append(_dot(curves.decided_recall, curves.decided_precision, 4.5, at))
    return _plot(join(*parts), f"precision-recall curve: {label}", "recall", "precision")


def reliability_plot(curves: Curves, label: str) -> Html:
    """Return the share of true cells against their probability, with 95 % intervals; big dots stand for many cells."""
    parts = [_line(_x(0), _y(0), _x(1), _y(1), "reference")]
    points = " ".join(f"{_x(cell.mean):.1f},{_y(cell.share):.1f}" for cell in curves.bins)
    parts += [_line(_x(cell.mean), _y(cell.low), _x(cell.mean), _y(cell.high), "error-line") for cell in curves.bins]
    parts.append(element("polyline", points=points, cls="curve thin"))
    most = max((cell.count for cell in curves.bins), default=1)
    for cell in curves.bins:
        said = f"{cell.count} cells of mean probability {cell.mean:.2f}: {cell.share:.2f} true"
        parts.append(_dot(cell.mean, cell.share, 2.2 + 3.3 * (cell.count / most) ** 0.5, said))
    return _plot(join(*parts), f"reliability plot: {label}", "probability given", "share true")


def _plot(content: Html, label: str, across: str, upward: str) -> Html:
    frame = [element("rect", x=_LEFT, y=_TOP, width=_SIDE, height=_SIDE, cls="frame")]
    for tick in _TICKS:
        if 0 < tick < 1:
            frame.append(_line(_x(tick), _y(0), _x(tick), _y(1), "grid"))
            frame.append(_line(_x(0), _y(tick), _x(1), _y(tick), "grid"))
        anchor = {0.0: "start", 1.0: "end"}.get(tick, "middle")
        frame.append(element("text", f"{tick:g}", x=_x(tick), y=_y(0) + 14, text_anchor=anchor))
        frame.append(element("text", f"{tick:g}", x=_LEFT - 5, y=_y(tick) + 3.5, text_anchor="end"))
    middle = _TOP + _SIDE / 2
    names = [
        element("text", across, x=_LEFT + _SIDE / 2, y=_y(0) + 27, text_anchor="middle"),
        element("text", upward, x=10, y=middle, text_anchor="middle", transform=f"rotate(-90 10 {middle:g})"),
    ]
    size = f"0 0 {_WIDTH:g} {_HEIGHT:g}"
    return element("svg", *frame, *names, content, viewBox=size, cls="plot", role="img", aria_label=label)


def _dot(across: float, up: float, radius: float, said: str) -> Html:
    return element("circle", element("title", said), cx=_x(across), cy=_y(up), r=radius, cls="dot")


def _line(x1: float, y1: float, x2: float, y2: float, cls: str) -> Html:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, cls=cls)


def _x(value: float) -> float:
    return _LEFT + _SIDE * value


def _y(value: float) -> float:
    return _TOP + _SIDE * (1 - value)
