"""Whether a request comes from a program that looks at pages, by what it says of itself; its events are stored, and count for nobody.

Only what is cheap and cannot be wrong about a person: a User-Agent on the maintained list of package crawler-user-agents, a browser that
says it is driven by a program, a page's request without any User-Agent. A service that sends with an HTTP library is no bot, though the
list has those too: the list marks them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Literal

from crawleruseragents import CRAWLER_USER_AGENTS_DATA

BotReason = Literal["crawler", "headless", "webdriver", "no_user_agent"]

_LIBRARY: Final = "http-library"
_AUTOMATION: Final = "browser-automation"
#: Alternatives in one expression: fewer are searched for more often, more of them each slower.
_TOGETHER: Final = 25
#: Of a User-Agent so much is looked at, and so many are remembered: a new one costs up to 0.5 ms.
_LOOKED_AT: Final = 512
_REMEMBERED: Final = 4_096


def bot_reasons(user_agent: str | None, *, is_page: bool, webdriver: bool) -> list[BotReason]:
    """Why a request's events are a bot's, in alphabetical order; none for everybody else.

    Args:
        user_agent: the header, None without it.
        is_page: whether a page says that it sends the request, with an Origin: only browsers do, and all of them have a User-Agent.
        webdriver: whether the page says that its browser is driven (`navigator.webdriver`).
    """
    reasons = set(_of_user_agent(user_agent[:_LOOKED_AT])) if user_agent else set()
    if webdriver:
        reasons.add("webdriver")
    if is_page and not user_agent:
        reasons.add("no_user_agent")
    return sorted(reasons)


@lru_cache(_REMEMBERED)
def _of_user_agent(user_agent: str) -> tuple[BotReason, ...]:
    if any(pattern.search(user_agent) for pattern in _HEADLESS):
        return ("headless",)
    return ("crawler",) if any(pattern.search(user_agent) for pattern in _CRAWLERS) else ()


def _joined(patterns: Sequence[str]) -> list[re.Pattern[str]]:
    return [re.compile("|".join(patterns[i : i + _TOGETHER])) for i in range(0, len(patterns), _TOGETHER)]


_KNOWN: Final = [(entry["pattern"], set(entry["tags"])) for entry in CRAWLER_USER_AGENTS_DATA]
_HEADLESS: Final = _joined([pattern for pattern, tags in _KNOWN if _AUTOMATION in tags])
_CRAWLERS: Final = _joined([pattern for pattern, tags in _KNOWN if tags.isdisjoint({_AUTOMATION, _LIBRARY})])
