"""Times in one form, so that comparing them as text compares them in time."""

from __future__ import annotations

from datetime import UTC, date, datetime

from exoclass.errors import UsageError


def as_utc(when: str) -> str:
    """Return an ISO time as ``2025-11-26T05:01:45Z``; a bare date is its first second.

    >>> as_utc("2025-11-26T06:01:45+01:00"), as_utc("2025-11-26")
    ('2025-11-26T05:01:45Z', '2025-11-26T00:00:00Z')

    Raises
    ------
    UsageError
        If it is no such time, or does not say its time zone.
    """
    try:
        moment = datetime.fromisoformat(when)
    except ValueError as error:
        raise UsageError(f"{when!r} is no time", "Write it like 2025-11-26 or 2025-11-26T05:01:45Z.") from error
    if moment.tzinfo is None and len(when) > len("2025-11-26"):
        raise UsageError(f"{when!r} does not say its time zone", "Add a Z for UTC.")
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def as_date(day: str) -> str:
    """Return a date as ``2025-11-26``; PubMed's own way with slashes is understood too.

    >>> as_date("2025/11/26")
    '2025-11-26'

    Raises
    ------
    UsageError
        If it is no date.
    """
    try:
        return date.fromisoformat(day.replace("/", "-")).isoformat()
    except ValueError as error:
        raise UsageError(f"{day!r} is no date", "Write it like 2025-11-26.") from error
