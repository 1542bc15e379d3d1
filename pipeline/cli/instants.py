"""Times that people type, and spans of time until them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from cyclopts import Parameter

from pipeline.runtime.errors import ConfigurationError

Duration = Annotated[timedelta | None, Parameter(name="--for", help="For how long: 30m, 1h, 2d.")]
Until = Annotated[str | None, Parameter(help="The end in place of --for, UTC unless it says otherwise: 2026-11-23T18:00.")]


def instant(option: str, text: str) -> datetime:
    """The time `text`, UTC unless it says otherwise. Raises ConfigurationError naming `option`."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{option}: {text!r} is not a time; write 2026-11-23 or 2026-11-23T10:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def end_of(begin: datetime, duration: timedelta | None, until: str | None, *, now: datetime) -> datetime:
    """The end that `--for` or `--until` names. Raises ConfigurationError unless it is exactly one of them, after `begin` and `now`."""
    if (duration is None) == (until is None):
        raise ConfigurationError("say how long with --for 1h, or when it ends with --until 2026-11-23T18:00")
    try:
        end = begin + duration if duration is not None else instant("--until", until or "")
    except OverflowError:
        raise ConfigurationError("--for is too long") from None
    if end <= max(begin, now):
        raise ConfigurationError(f"the end, {end.isoformat(timespec='seconds')}, must be after the beginning and after now")
    return end
