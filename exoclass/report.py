"""An evaluation as JSON and as Markdown; the console and the model card show the same numbers."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from exoclass.agreement import Agreement
from exoclass.metrics import EvaluationReport, Interval


def to_json(report: EvaluationReport) -> dict[str, Any]:
    """Return the report as plain values; figures that are not defined become None."""
    found: dict[str, Any] = plain(report)
    return found


def plain(value: Any) -> Any:  # noqa: ANN401 - any frozen dataclass of ours
    """Return a result as plain values for JSON; figures that are not defined become None."""
    return _plain(asdict(value))


def agreement_to_markdown(found: Agreement) -> str:
    """Return the agreement of two annotators as Markdown tables."""
    parts = [
        f"{found.annotators[0]} and {found.annotators[1]} on {found.records} records",
        _table(
            ("axis", "records", "identical", "Krippendorff's alpha"),
            [(axis.id, str(axis.records), _percent(axis.identical), _number(axis.alpha)) for axis in found.axes],
        ),
        _table(
            ("label", "axis", "judged", "prevalence", "unsure", "Cohen's kappa"),
            [
                (
                    label.id,
                    label.axis,
                    str(label.judged),
                    _number(label.prevalence),
                    str(label.unsure),
                    _number(label.kappa),
                )
                for label in found.labels
            ],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def to_markdown(report: EvaluationReport) -> str:
    """Return the report as Markdown tables that also read well on a terminal."""
    parts = [
        f"{report.name}: {report.n_records} records; intervals are 95 % bootstrap over records.",
        _table(
            ("axis", "records", "micro-F1", "macro-F1", "accuracy", "calibration error", "not sure"),
            [
                (
                    axis.id,
                    str(axis.annotated),
                    _with_interval(axis.micro_f1),
                    _with_interval(axis.macro_f1),
                    "" if axis.accuracy is None else _number(axis.accuracy),
                    _number(axis.calibration_error),
                    _percent(axis.review_share),
                )
                for axis in report.axes
            ],
        ),
        _table(
            ("label", "axis", "positives", "P", "R", "F1", "AP", "calibration error", "not sure"),
            [
                (
                    label.id,
                    label.axis,
                    f"{label.support}/{label.annotated}",
                    _number(label.precision),
                    _number(label.recall),
                    _with_interval(label.f1),
                    _number(label.average_precision),
                    _number(label.calibration_error),
                    _percent(label.review_share),
                )
                for label in report.labels
            ],
        ),
    ]
    if report.confusion:
        rows = zip(report.scope_labels, report.confusion, strict=True)
        header = ("gold \\ predicted", *report.scope_labels)
        parts.append(_table(header, [(gold, *map(str, counts)) for gold, counts in rows]))
    if report.never_predicted:
        parts.append(f"Never predicted although present: {', '.join(report.never_predicted)}.")
    return "\n\n".join(parts) + "\n"


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [_line(header, widths), "|" + "|".join("-" * (width + 2) for width in widths) + "|"]
    return "\n".join([*lines, *(_line(row, widths) for row in rows)])


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.0f} %"


def _with_interval(value: Interval) -> str:
    if math.isnan(value.value):
        return "–"
    return f"{value.value:.3f} ({_number(value.low)}–{_number(value.high)})"


def _plain(value: Any) -> Any:  # noqa: ANN401 - walks nested plain values
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 4)
    return value
