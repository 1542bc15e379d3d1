"""Seeded events for measuring: the same bytes on every machine for the same arguments, and what must come of them.

The mix is that of a busy evening: 45 % api_request, 25 % web_vital, 15 % recipe_view, 10 % menu_generated, 5 % feature_exposure; users
are drawn evenly; `occurred_at` runs at `per_s` events a second, up to 1.5 s late. About 345 bytes of JSON each, properties from a pool
of 2,000 per type, ids of their own. Another mix, of all event types, feeds every metric there is.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final, Literal, NamedTuple

from schemas.metrics import METRICS
from schemas.partitioning import partition_of
from tests.chaos.expected_series import THRESHOLDS, series_of
from tests.chaos.traffic_types import OTHER_TYPES

POOL_PER_TYPE: Final = 2_000
_LATE_MS: Final = 1_500
_PANE_MS: Final = 10_000

Mix = Literal["evening", "catalogue"]
_MENU_WEIGHT: Final = 10
_SHARES: Final = {"api_request": 45, "web_vital": 25, "recipe_view": 15, "menu_generated": 10, "feature_exposure": 5}
_SERVICES: Final = {"api_request": ("menu-api", "recipe-api", "user-api", "search-api"), "menu_generated": ("menu-api", "menu-batch")}
_ROUTES: Final = (
    "/v1/menus/{menu_id}",
    "/v1/menus/generate",
    "/v1/recipes/{recipe_id}",
    "/v1/recipes/{recipe_id}/ratings",
    "/v1/users/{user_id}/profile",
    "/v1/search",
    "/v1/shopping-lists/{list_id}",
    "/v1/nutrition/{menu_id}/facts",
)
_PAGES: Final = ("/", "/menu", "/menu/{menu_id}", "/recipes", "/recipes/{recipe_id}", "/profile", "/search", "/shopping-list")

#: Google's thresholds, by which the product rates a value again.

Series = tuple[str, tuple[str, ...]]
#: A series and what an event adds to its sum, in millionths.
Added = tuple[Series, int]


@dataclass(frozen=True, slots=True)
class Spec:
    """What to make: `count` events from `start_ms` on. Other seeds give other ids."""

    count: int
    start_ms: int
    users: int = 100_000
    seed: int = 4
    per_s: int = 10_000
    mix: Mix = "evening"


class Made(NamedTuple):
    """One event as Kafka gets it."""

    partition: int
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class _Template:
    """Everything of an event but its id, time and user, its type, and the series it belongs to."""

    head: bytes
    tail: bytes
    event_type: str
    series: tuple[Added, ...]


@dataclass(slots=True)
class Reckoning:
    """What the panes must hold, counted while the events are made, without any code of the product."""

    events: int = 0
    _seen: Counter[tuple[int, int]] = field(default_factory=Counter)
    _templates: dict[int, _Template] = field(default_factory=dict)

    def add(self, template: _Template, pane_start_ms: int) -> None:
        self.events += 1
        self._templates[id(template)] = template
        self._seen[(id(template), pane_start_ms)] += 1

    def panes(self) -> dict[tuple[str, tuple[str, ...], int], tuple[int, int]]:
        """(metric, label values, start in ms) to (count, sum in millionths)."""
        totals: dict[tuple[str, tuple[str, ...], int], tuple[int, int]] = {}
        for (identity, start_ms), times in self._seen.items():
            template = self._templates[identity]
            for (metric, labels), value in template.series:
                count, total = totals.get((metric, labels, start_ms), (0, 0))
                totals[(metric, labels, start_ms)] = (count + times, total + times * value)
        return totals

    def per_type(self) -> dict[tuple[str, int], int]:
        """(event type, start in ms) to count."""
        counts: Counter[tuple[str, int]] = Counter()
        for (identity, start_ms), times in self._seen.items():
            counts[(self._templates[identity].event_type, start_ms)] += times
        return dict(counts)


def events(spec: Spec, reckoning: Reckoning | None = None) -> Iterator[Made]:
    """Make them, in the order of their time; `reckoning` is told of each."""
    rng = random.Random(spec.seed)
    deck = _deck(spec.mix, rng)
    keys = [f"u-{number:06d}" for number in range(spec.users)]
    partitions = [partition_of(key) for key in keys]
    second, stamp = -1, b""
    for i in range(spec.count):
        at_ms = spec.start_ms + i * 1000 // spec.per_s - int(rng.random() * _LATE_MS)
        if at_ms // 1000 != second:
            second = at_ms // 1000
            stamp = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
        template = deck[int(rng.random() * len(deck))][int(rng.random() * POOL_PER_TYPE)]
        user = int(rng.random() * spec.users)
        if reckoning is not None:
            reckoning.add(template, at_ms - at_ms % _PANE_MS)
        yield Made(partitions[user], keys[user].encode(), _event(template, _uuid7(at_ms, rng), stamp, at_ms % 1000, user))


def _event(template: _Template, event_id: bytes, stamp: bytes, ms: int, user: int) -> bytes:
    return b'{"event_id":"%b%b"occurred_at":"%b.%03dZ","user_id":"u-%06d",%b' % (event_id, template.head, stamp, ms, user, template.tail)


def _uuid7(at_ms: int, rng: random.Random) -> bytes:
    time, noise = b"%012x" % at_ms, b"%019x" % rng.getrandbits(74)
    return b"%b-%b-7%b-%x%b-%b" % (time[:8], time[8:], noise[:3], 8 | int(noise[3:4], 16) & 3, noise[4:7], noise[7:])


def _deck(mix: Mix, rng: random.Random) -> list[list[_Template]]:
    """Pools of templates, each as often as its type's share."""
    if mix == "evening":
        pools = {event_type: [_evening(event_type, rng) for _ in range(POOL_PER_TYPE)] for event_type in _SHARES}
        return [pools[event_type] for event_type, share in _SHARES.items() for _ in range(share)]
    deck = [[_evening("menu_generated", rng) for _ in range(POOL_PER_TYPE)]] * _MENU_WEIGHT
    for event_type, (weight, properties) in OTHER_TYPES.items():
        # Where the sender's word is not what counts, peers would count something else: of those types the plain ones are taken.
        plain = event_type in _PROPERTIES
        make = partial(_evening, event_type) if plain else partial(_any_type, event_type, properties)
        deck += [[make(rng) for _ in range(POOL_PER_TYPE)]] * weight
    return deck


def _evening(event_type: str, rng: random.Random) -> _Template:
    properties, metric, labels, value = _PROPERTIES[event_type](rng)
    service = rng.choice(_SERVICES.get(event_type, ("web",)))
    if event_type == "api_request":
        labels = (service, *labels)
    added = ((metric, labels), int(Decimal(repr(value)) * 1_000_000) if value is not None else 0)
    return _template(event_type, service, properties, (added, (("events", (event_type, service)), 0)), rng)


def _any_type(event_type: str, make: Callable[[random.Random], dict[str, Any]], rng: random.Random) -> _Template:
    properties = make(rng)
    service = rng.choice(("web", "menu-api", "recipe-api", "user-api"))
    series = series_of({"event_type": event_type, "source": {"service": service}, "properties": properties})
    added = tuple(
        ((metric, tuple(dict(labels)[name] for name in METRICS[metric].labels)), int(Decimal(repr(value or 0)) * 1_000_000))
        for metric, labels, value in series
    )
    return _template(event_type, service, properties, added, rng)


def _template(event_type: str, service: str, properties: dict[str, Any], series: tuple[Added, ...], rng: random.Random) -> _Template:
    rest: dict[str, Any] = {}
    if event_type not in _SERVICES:
        rest = {"session_id": f"s-{rng.getrandbits(24):06x}"} | ({"flags": {"new-planner": rng.choice("AB")}} if rng.random() < 0.1 else {})
    elif rng.random() < 0.1:
        rest = {"trace": {"trace_id": f"{rng.getrandbits(128):032x}", "span_id": f"{rng.getrandbits(64):016x}"}}
    rest["properties"] = properties
    source = {"service": service, "version": f"1.{rng.randrange(3)}.{rng.randrange(10)}", "environment": "production"}
    head = f'","event_type":"{event_type}","schema_version":1,"source":{_json(source)},'
    return _Template(head.encode(), _json(rest)[1:].encode(), event_type, series)


_Properties = tuple[dict[str, Any], str, tuple[str, ...], float | None]


def _api_request(rng: random.Random) -> _Properties:
    route, status = rng.choice(_ROUTES), rng.choices((200, 201, 304, 404, 500, 503), (80, 8, 4, 5, 2, 1))[0]
    duration_ms = round(rng.lognormvariate(4, 0.8), 1)
    properties = {"method": rng.choice(("GET", "POST")), "route": route, "status_code": status, "duration_ms": duration_ms}
    return properties, "api_request", (route, f"{status // 100}xx"), duration_ms


def _web_vital(rng: random.Random) -> _Properties:
    name, page = rng.choice(("LCP", "INP", "CLS", "FCP", "TTFB")), rng.choice(_PAGES)
    value = round(rng.lognormvariate(-3, 1), 4) if name == "CLS" else round(rng.lognormvariate(6.5, 0.7), 1)
    good, not_poor = THRESHOLDS[name]
    rating = "good" if value <= good else "needs-improvement" if value <= not_poor else "poor"
    properties = {"name": name, "value": value, "rating": rating, "page": page, "metric_id": f"v5-{rng.getrandbits(30):09d}"}
    return properties, "web_vital", (name, page, rating), value


def _recipe_view(rng: random.Random) -> _Properties:
    recipe = f"recipe-{rng.randrange(50_000):05d}"
    return {"recipe_id": recipe, "time_spent_ms": rng.randrange(800, 240_000)}, "recipe_interaction", ("view",), None


def _menu_generated(rng: random.Random) -> _Properties:
    outcome = rng.choices(("full", "degraded", "failed"), (95, 3, 2))[0]
    duration_ms, provider = round(rng.lognormvariate(7.2, 0.5), 1), rng.choice(("ollama", "openai", "template"))
    properties = {
        "recipe_count": rng.randrange(1, 15),
        "restrictions": rng.sample(("vegan", "gluten-free", "lactose-free", "nut-free"), rng.randrange(3)),
        "generation_time_ms": duration_ms,
        "outcome": outcome,
        "provider": provider,
    }
    return properties, "menu_generation", (provider, outcome), duration_ms


def _feature_exposure(rng: random.Random) -> _Properties:
    flag, variant = rng.choice(("new-planner", "quick-search", "photo-log", "meal-swap")), rng.choice("AB")
    return {"flag": flag, "variant": variant}, "feature_exposure", (flag, variant), None


_PROPERTIES: Final = {
    "api_request": _api_request,
    "web_vital": _web_vital,
    "recipe_view": _recipe_view,
    "menu_generated": _menu_generated,
    "feature_exposure": _feature_exposure,
}


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
