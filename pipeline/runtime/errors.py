"""The errors of the project: the class says what the caller does.

Only these cross a module's border on purpose; anything else that escapes is a bug and ends the process.
"""

from __future__ import annotations


class TelemetryError(Exception):
    """Base of all; its text is one line that says what happened and what to do."""


class Stop(TelemetryError):
    """Going on would make numbers wrong or cannot work: end the process with `exit_code` and print the line."""

    exit_code = 1


class ConfigurationError(Stop):
    """The configuration or the command line is wrong: exit 2 before anything has been done."""

    exit_code = 2


class RetryAfter(TelemetryError):
    """The other side is away or busy: the same call may succeed after `seconds`; keep the data and call again."""

    def __init__(self, message: str, seconds: float = 1.0) -> None:
        super().__init__(message)
        self.seconds = seconds


class Reject(TelemetryError):
    """This request is refused for good: answer with `code` (a stable snake_case word) and the message, do not retry."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class DeadLetter(Reject):
    """This record can never be processed: record it as one dead letter with `code` and the reason, go on with its neighbours."""
