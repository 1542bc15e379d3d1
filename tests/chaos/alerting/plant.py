"""Safeguards that are left out, to see that the oracle misses them."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from alerting.fence import Fence
from alerting.freeze import FreezeWatch
from alerting.notify.slack_bot import SlackBot


class Plant(StrEnum):
    """What is missing."""

    SLACK_DEDUPE = "slack-dedupe"
    FENCE = "fence"


def plant(name: str | None) -> None:
    """Take a safeguard out of this process."""
    match name and Plant(name):
        case Plant.SLACK_DEDUPE:
            _post_without_looking()
        case Plant.FENCE:
            _write_whoever_else_has_written()


def _post_without_looking() -> None:
    """As a bot does that keeps in mind only what it was told by Slack's answers."""

    async def nothing(self: SlackBot, *_: Any) -> None:
        return None

    SlackBot._look = nothing  # type: ignore[method-assign, assignment]


def _write_whoever_else_has_written() -> None:
    async def checked(self: Fence) -> None:
        return None

    Fence._check = checked  # type: ignore[method-assign]
    Fence.fresh = lambda self: None  # type: ignore[method-assign]
    FreezeWatch.frozen = property(lambda self: False)  # type: ignore[method-assign, assignment]
