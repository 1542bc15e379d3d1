"""Events of every type, from a seed: who, what and when, with labels few enough to keep their names."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import orjson

from tests.chaos.sent import Item
from tests.chaos.traffic_types import OTHER_TYPES

#: In an incident every menu of this provider fails; about one menu in seven is its.
BROKEN_PROVIDER: Final = "mistral"

_PROVIDERS: Final = ("ollama", "claude", BROKEN_PROVIDER, None)
_PROVIDER_WEIGHTS: Final = (40, 40, 15, 5)
_MENU_WEIGHT: Final = 30
_TYPES: Final = ("menu_generated", *OTHER_TYPES)
_TYPE_WEIGHTS: Final = (_MENU_WEIGHT, *(weight for weight, _ in OTHER_TYPES.values()))
_HEALTHY_FAILURE_RATIO: Final = 0.003
_AHEAD_MS: Final = 20 * 60_000
_MINUTE_MS: Final = 60_000
_LATE_MINUTES: Final = (25, 50, 3 * 60, 7 * 60, 48 * 60, 48 * 60 + 90)


def isoformat(ms: int, zone: timezone | None = None) -> str:
    """An instant as a publisher may write it: with Z, or with the offset of `zone`."""
    instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    text = instant.astimezone(zone or UTC).isoformat(timespec="milliseconds")
    return text if zone else text.replace("+00:00", "Z")


class Events:
    """Makes events; the same seed and the same times give the same ones."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def new_id(self) -> str:
        """A UUID of version 7's shape."""
        digits = f"{self._rng.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-7{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"

    def next(self, now_ms: int, *, broken: bool) -> Item:
        """One event that happens about now; a few say that they happened long ago, or will. `broken`: an incident is on."""
        rng = self._rng
        event_type = rng.choices(_TYPES, _TYPE_WEIGHTS)[0]
        why, occurred_ms = self._when(now_ms)
        event_id = self.new_id()
        zone = timezone(timedelta(hours=2)) if rng.random() < 0.02 else None
        event: dict[str, Any] = {
            "event_id": event_id.upper() if rng.random() < 0.01 else event_id,
            "event_type": event_type,
            "schema_version": 1,
            "occurred_at": isoformat(occurred_ms, zone),
            "source": {"service": rng.choice(("menu-api", "web", "worker")), "version": "1.4.2", "environment": "chaos"},
            **self._who(),
            "properties": self._menu(why, broken) if event_type == "menu_generated" else OTHER_TYPES[event_type][1](rng),
        }
        return event_item(event, why=why)

    def conflicting(self, item: Item) -> Item:
        """Other content under the id of `item`, for the same partition."""
        event = item.document()
        event["properties"] = event["properties"] | {"chaos_conflict": self._rng.randrange(1_000_000)}
        return Item(item.name + "!", "conflict", item.key, orjson.dumps(event), item.why)

    def _when(self, now_ms: int) -> tuple[str, int]:
        dice = self._rng.random()
        if dice < 0.004:
            return "late", now_ms - self._rng.choice(_LATE_MINUTES) * _MINUTE_MS - self._rng.randrange(_MINUTE_MS)
        if dice < 0.008:
            return "clamped", now_ms + _AHEAD_MS + self._rng.randrange(_MINUTE_MS)
        return "ordinary", now_ms - self._rng.randrange(200)

    def _who(self) -> dict[str, str]:
        dice = self._rng.random()
        user, session = f"u-{self._rng.randrange(400)}", f"s-{self._rng.randrange(400)}"
        if dice < 0.6:
            return {"user_id": user, "session_id": session}
        return {"session_id": session} if dice < 0.8 else {}

    def _outcome(self, provider: str | None, why: str, broken: bool) -> str:
        if broken and provider == BROKEN_PROVIDER and why == "ordinary":
            return "failed"
        # Late ones would be judged by the minute they say: a handful of them must not look like an incident of its own.
        failed = why == "ordinary" and self._rng.random() < _HEALTHY_FAILURE_RATIO
        return "failed" if failed else self._rng.choices(("full", "degraded"), (9, 1))[0]

    def _menu(self, why: str, broken: bool) -> dict[str, Any]:
        rng = self._rng
        provider = rng.choices(_PROVIDERS, _PROVIDER_WEIGHTS)[0]
        duration_ms = 0 if rng.random() < 0.01 else round(rng.lognormvariate(6.5, 0.5), 3)
        return {
            "recipe_count": rng.randrange(1, 8),
            "restrictions": ["vegan"][: rng.randrange(2)],
            "generation_time_ms": min(duration_ms, 8_000),
            "outcome": self._outcome(provider, why, broken),
            **({"provider": provider} if provider else {}),
        }


def event_item(event: dict[str, Any], *, why: str = "ordinary") -> Item:
    """An event as something to send, keyed by the key rule of the contract."""
    name = event["event_id"].lower()
    key = event.get("user_id") or event.get("session_id") or name
    return Item(name, "event", key.encode(), orjson.dumps(event), why)
