"""Figures for people that a program can read back: ``<data value="0.8123">0.812</data>``."""

from __future__ import annotations

import math

from exoclass.markup import Html, element, join
from exoclass.metrics import Interval


def figure(value: float) -> Html:
    """Return a figure to three places."""
    if math.isnan(value):
        return element("span", "–", title="not defined")
    return element("data", f"{value:.3f}", value=str(round(value, 4)))


def percent(value: float) -> Html:
    """Return a share in percent."""
    if math.isnan(value):
        return element("span", "–", title="not defined")
    return element("data", f"{100 * value:.0f} %", value=str(round(value, 4)))


def interval(found: Interval) -> Html:
    """Return the ends of an interval."""
    return join(figure(found.low), "–", figure(found.high))


def count(value: int) -> Html:
    """Return a number of things."""
    return element("data", f"{value:,}", value=value)
