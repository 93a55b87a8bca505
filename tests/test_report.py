"""The same figures as JSON and as Markdown."""

from __future__ import annotations

import json
import math

import pytest

from exoclass.metrics import AxisScore, EvaluationReport, Interval, LabelScore
from exoclass.report import to_json, to_markdown

NAN = float("nan")


@pytest.fixture
def report() -> EvaluationReport:
    """Return a report with one label that was never predicted and one that has no positives."""
    return EvaluationReport(
        name="held-out test split",
        n_records=42,
        axes=(
            AxisScore("scope", 42, Interval(0.81234567, 0.7, 0.9), Interval(0.7, 0.6, 0.8), 0.05, 0.25, 0.83),
            AxisScore("disease", 30, Interval(NAN, NAN, NAN), Interval(0.5, NAN, NAN), NAN, NAN),
        ),
        labels=(
            LabelScore("therapy", "scope", 20, 42, 0.8, 0.9, Interval(0.847, 0.75, 0.93), 0.912, 0.041, 0.126),
            LabelScore("eye", "disease", 0, 30, NAN, NAN, Interval(NAN, NAN, NAN), NAN, NAN, 0.0),
        ),
        scope_labels=("therapy", "not_ev"),
        confusion=((18, 2), (5, 17)),
        never_predicted=("renal_urinary",),
    )


def row(markdown: str, first: str) -> list[str]:
    [line] = [line for line in markdown.splitlines() if line.startswith(f"| {first} ")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_json_is_valid_and_has_null_for_what_is_not_defined(report: EvaluationReport) -> None:
    plain = json.loads(json.dumps(to_json(report), allow_nan=False))
    assert plain["labels"][1]["precision"] is None
    assert plain["axes"][1]["micro_f1"] == {"value": None, "low": None, "high": None}


def test_json_has_every_figure_to_four_places(report: EvaluationReport) -> None:
    plain = to_json(report)
    assert plain["axes"][0]["micro_f1"] == {"value": 0.8123, "low": 0.7, "high": 0.9}
    assert (plain["name"], plain["n_records"]) == ("held-out test split", 42)
    assert plain["confusion"] == [[18, 2], [5, 17]]
    assert plain["never_predicted"] == ["renal_urinary"]
    assert plain["labels"][0]["support"] == 20


def test_markdown_says_what_was_evaluated(report: EvaluationReport) -> None:
    assert to_markdown(report).startswith("held-out test split: 42 records; intervals are 95 % bootstrap")


def test_markdown_has_a_row_per_axis(report: EvaluationReport) -> None:
    assert row(to_markdown(report), "scope") == [
        *("scope", "42", "0.812 (0.700–0.900)", "0.700 (0.600–0.800)", "0.830", "0.050", "25 %"),
    ]


def test_markdown_has_a_row_per_label(report: EvaluationReport) -> None:
    found = [line for line in to_markdown(report).splitlines() if line.startswith("| therapy ") and "scope" in line]
    cells = [cell.strip() for cell in found[0].strip("|").split("|")]
    assert cells == ["therapy", "scope", "20/42", "0.800", "0.900", "0.847 (0.750–0.930)", "0.912", "0.041", "13 %"]


def test_what_is_not_defined_is_a_dash(report: EvaluationReport) -> None:
    assert row(to_markdown(report), "eye") == ["eye", "disease", "0/30", "–", "–", "–", "–", "–", "0 %"]
    assert row(to_markdown(report), "disease") == ["disease", "30", "–", "0.500 (–––)", "", "–", "–"]


def test_markdown_has_the_confusion_of_scope(report: EvaluationReport) -> None:
    markdown = to_markdown(report)
    assert row(markdown, "gold \\ predicted") == ["gold \\ predicted", "therapy", "not_ev"]
    assert row(markdown, "not_ev") == ["not_ev", "5", "17"]


def test_markdown_names_labels_never_predicted(report: EvaluationReport) -> None:
    assert "Never predicted although present: renal_urinary." in to_markdown(report)


def test_the_columns_of_a_table_line_up(report: EvaluationReport) -> None:
    tables: list[list[str]] = [[]]
    for line in to_markdown(report).splitlines():
        if line.startswith("|"):
            tables[-1].append(line)
        elif tables[-1]:
            tables.append([])
    tables = [table for table in tables if table]
    assert len(tables) == 3
    assert [len({len(line) for line in table}) for table in tables] == [1, 1, 1]


def test_no_figure_is_lost_between_the_two(report: EvaluationReport) -> None:
    markdown = to_markdown(report)
    for label in report.labels:
        for value in (label.precision, label.recall, label.average_precision, label.calibration_error):
            assert math.isnan(value) or f"{value:.3f}" in markdown
