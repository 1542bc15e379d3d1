"""Ten days of made-up business, and each metric of it in plain Python: what the views are compared with."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any
from uuid import UUID

BEGIN = datetime(2026, 10, 20, tzinfo=UTC)
#: In the evening: days of Paris have begun that those of UTC have not. Winter time began on the 25th.
WATERMARK = datetime(2026, 11, 1, 22, 30, tzinfo=UTC)
ACTIVE = {"menu_generated", "recipe_view", "recipe_save", "recipe_share", "satisfaction_rating", "nps_response"}
HOUR_S = 3600

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Event:
    id: UUID
    type: str
    at: datetime
    user: str
    properties: dict[str, Any]
    is_bot: bool

    def day(self, zone: tzinfo) -> date:
        return self.at.astimezone(zone).date()


def events() -> list[Event]:
    """In no order. Some are of bots; hours in which the calendars differ are common."""
    chance = random.Random(11)

    def one(number: int) -> Event:
        event_type, properties = _kind(chance)
        hour = chance.choice([0, 7, 12, 21, 22, 22, 23, 23])
        at = BEGIN + timedelta(days=chance.randrange(10), hours=hour, milliseconds=chance.randrange(3_600_000))
        return Event(UUID(int=number), event_type, at, f"u-{chance.randrange(40)}", properties, chance.random() < 0.1)

    return [one(number) for number in range(900)] + _after_long_absence() + _at_the_edges_of_a_week()


def _after_long_absence() -> list[Event]:
    """Of four users two come back on the 28th and on the 29th day, at the edge of a month; the others once within that time, and never."""
    first = BEGIN - timedelta(days=40)
    returns = [[], [27, 55], [28], [29]]
    at = [(user, day) for user, days in enumerate(returns) for day in (0, *days)]
    return [
        Event(UUID(int=5_000 + i), "recipe_view", first + timedelta(days=day, hours=5), f"old-{user}", {"recipe_id": "r"}, False)
        for i, (user, day) in enumerate(at)
    ]


def _at_the_edges_of_a_week() -> list[Event]:
    """Of five who sign up at once: a menu at that very instant, with one a second later, and one a week later, to the millisecond."""
    menu = {"recipe_count": 1, "restrictions": [], "generation_time_ms": 1.0, "provider": "ollama", "outcome": "full"}
    week = timedelta(days=7)
    after = [[timedelta()], [timedelta(), timedelta(seconds=1)], [week], [week - timedelta(milliseconds=1)], [timedelta(milliseconds=-1)]]
    signups = [Event(UUID(int=6_000 + i), "user_signed_up", BEGIN, f"edge-{i}", {}, False) for i in range(len(after))]
    menus = [(f"edge-{i}", BEGIN + delta) for i, deltas in enumerate(after) for delta in deltas]
    return signups + [Event(UUID(int=7_000 + i), "menu_generated", at, user, menu, False) for i, (user, at) in enumerate(menus)]


def _kind(chance: random.Random) -> tuple[str, dict[str, Any]]:
    duration_ms = round(chance.lognormvariate(7, 1.5), 3)
    menu = {"recipe_count": 1, "restrictions": [], "generation_time_ms": duration_ms, "provider": chance.choice(["ollama", "claude"])}
    recipe = {"recipe_id": "r"}
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("menu_generated", menu | {"outcome": chance.choice(["full", "full", "degraded", "failed"])}),
        ("recipe_view", recipe),
        ("recipe_save", recipe),
        ("recipe_share", recipe),
        ("satisfaction_rating", {"rating": chance.randint(1, 5)}),
        ("nps_response", {"score": chance.randint(0, 10)}),
        (
            "nutrition_accuracy",
            {"menu_id": "m", "accuracy_score": round(chance.random(), 6), "provider": chance.choice(["ollama", "claude"])},
        ),
        ("api_request", {"method": "GET", "route": chance.choice(["/a", "/b"]), "status_code": 503, "duration_ms": duration_ms}),
        ("api_request", {"method": "GET", "route": chance.choice(["/a", "/b"]), "status_code": 200, "duration_ms": 0.0}),
        ("user_signed_up", {}),
        ("onboarding_abandoned", {"step": chance.randint(1, 4), "time_spent_ms": float(chance.randrange(10_000))}),
    ]
    return chance.choice(kinds)


def people(done: Iterable[Event], event_type: str) -> list[Event]:
    return [event for event in done if event.type == event_type and not event.is_bot]


def by_day(done: Iterable[Event], zone: tzinfo) -> Iterator[tuple[date, list[Event]]]:
    days: dict[date, list[Event]] = defaultdict(list)
    for event in done:
        days[event.day(zone)].append(event)
    yield from sorted(days.items())


def by_hour(done: Iterable[Event]) -> Iterator[tuple[datetime, list[Event]]]:
    hours: dict[datetime, list[Event]] = defaultdict(list)
    for event in done:
        hours[event.at.replace(minute=0, second=0, microsecond=0)].append(event)
    yield from sorted(hours.items())


def ranked(values: Iterable[float], percent: int) -> float:
    """The value of rank ceil(percent / 100 * n)."""
    ordered = sorted(values)
    return ordered[-(-percent * len(ordered) // 100) - 1]


def has_ended(day: date, zone: tzinfo, after: timedelta = timedelta()) -> bool:
    return datetime.combine(day + timedelta(days=1), datetime.min.time(), zone).astimezone(UTC) + after <= WATERMARK


def menus_generated_daily(done: list[Event], zone: tzinfo) -> Rows:
    rows = []
    for day, menus in by_day(people(done, "menu_generated"), zone):
        full, degraded, failed = ([menu.properties["outcome"] for menu in menus].count(name) for name in ("full", "degraded", "failed"))
        rows.append((day, full + degraded, full, degraded, failed))
    return rows


def recipes_viewed_daily(done: list[Event], zone: tzinfo) -> Rows:
    return [(day, len(views)) for day, views in by_day(people(done, "recipe_view"), zone)]


def recipe_interactions_daily(done: list[Event], zone: tzinfo) -> Rows:
    rows = []
    of_recipes = [event for event in done if event.type.startswith("recipe_") and not event.is_bot]
    for day, found in by_day(of_recipes, zone):
        views, saves, shares = ([event.type for event in found].count(f"recipe_{name}") for name in ("view", "save", "share"))
        rows.append((day, views, saves, shares, saves / views if views else None, shares / views if views else None))
    return rows


def customer_satisfaction_score(done: list[Event], zone: tzinfo) -> Rows:
    rows = []
    for day, found in by_day([*people(done, "satisfaction_rating"), *people(done, "nps_response")], zone):
        ratings = [event.properties["rating"] for event in found if event.type == "satisfaction_rating"]
        scores = [event.properties["score"] for event in found if event.type == "nps_response"]
        promoters, detractors = sum(score >= 9 for score in scores), sum(score <= 6 for score in scores)
        mean = sum(ratings) / len(ratings) if ratings else None
        rows.append((day, len(ratings), mean, len(scores), promoters, detractors, _percent(promoters - detractors, len(scores))))
    return rows


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


def user_satisfaction(done: list[Event], zone: tzinfo) -> Rows:
    all_ratings = [(event.day(zone), event.properties["rating"]) for event in people(done, "satisfaction_rating")]
    rows = []
    for day in sorted({day for day, _ in all_ratings}):
        ratings = [rating for at, rating in all_ratings if day - timedelta(days=30) < at <= day]
        rows.append((day, len(ratings), sum(ratings) / len(ratings)))
    return rows


def nutrition_accuracy_daily(done: list[Event], zone: tzinfo) -> Rows:
    rows = []
    for day, found in by_day(people(done, "nutrition_accuracy"), zone):
        for provider in sorted({event.properties["provider"] for event in found}):
            scores = [event.properties["accuracy_score"] for event in found if event.properties["provider"] == provider]
            rows.append((day, provider, len(scores), sum(scores) / len(scores)))
    return rows


def onboarding_abandonment(done: list[Event], zone: tzinfo) -> Rows:
    rows = []
    for day, found in by_day(people(done, "onboarding_abandoned"), zone):
        last = {event.user: event for event in sorted(found, key=lambda event: event.at)}.values()
        for step in sorted({event.properties["step"] for event in last}):
            spent = sorted(event.properties["time_spent_ms"] for event in last if event.properties["step"] == step)
            rows.append((day, step, len(spent), spent[len(spent) // 2]))
    return rows


def conversion_signup_to_first_menu(done: list[Event], zone: tzinfo) -> Rows:
    week = timedelta(days=7)
    first: dict[str, Event] = {}
    for event in sorted(people(done, "user_signed_up"), key=lambda event: event.at):
        first.setdefault(event.user, event)
    menus = [menu for menu in people(done, "menu_generated") if menu.properties["outcome"] != "failed"]
    rows = []
    for day, signups in by_day(first.values(), zone):
        converted = sum(any(menu.user == signup.user and signup.at < menu.at < signup.at + week for menu in menus) for signup in signups)
        mature = has_ended(day, zone, week)
        rows.append((day, len(signups), converted, converted / len(signups) if mature else None, mature))
    return rows


def monthly_active_users(done: list[Event], zone: tzinfo) -> Rows:
    active = {(event.user, event.day(zone)) for event in done if event.type in ACTIVE and not event.is_bot}
    day, last = min(day for _, day in active), WATERMARK.astimezone(zone).date()
    rows = []
    while day <= last:
        recent = {user for user, at in active if day - timedelta(days=28) < at <= day}
        in_month = {user for user, at in active if day.replace(day=1) <= at <= day}
        rows.append((day, len(recent), len(in_month), has_ended(day, zone)))
        day += timedelta(days=1)
    return rows


def avg_generation_time(done: list[Event]) -> Rows:
    full = [menu for menu in people(done, "menu_generated") if menu.properties["outcome"] == "full"]
    rows = []
    for hour, menus in by_hour(full):
        durations = [menu.properties["generation_time_ms"] for menu in menus]
        rows.append((hour, HOUR_S, len(menus), sum(durations) / len(menus), ranked(durations, 95)))
    return rows


def menu_generation_latency(done: list[Event]) -> Rows:
    hours = by_hour(people(done, "menu_generated"))
    return [(hour, HOUR_S, len(menus), ranked((menu.properties["generation_time_ms"] for menu in menus), 95)) for hour, menus in hours]


def api_response_time_p95(done: list[Event]) -> Rows:
    rows = []
    for hour, found in by_hour(event for event in done if event.type == "api_request"):
        for route in ("/a", "/b"):
            if durations := [event.properties["duration_ms"] for event in found if event.properties["route"] == route]:
                rows.append((hour, HOUR_S, route, len(durations), ranked(durations, 95)))
    return rows


def _answered(done: list[Event]) -> Iterator[tuple[datetime, int, int]]:
    for hour, found in by_hour(event for event in done if event.type == "api_request"):
        yield hour, len(found), sum(event.properties["status_code"] >= 500 for event in found)


def error_rate_percentage(done: list[Event]) -> Rows:
    return [(hour, HOUR_S, requests, errors, 100 * errors / requests) for hour, requests, errors in _answered(done)]


def availability(done: list[Event]) -> Rows:
    return [(hour, HOUR_S, n, n - errors, (n - errors) / n) for hour, n, errors in _answered(done)]


DAILY: dict[str, Callable[[list[Event], tzinfo], Rows]] = {
    function.__name__: function
    for function in (
        menus_generated_daily,
        recipes_viewed_daily,
        recipe_interactions_daily,
        customer_satisfaction_score,
        user_satisfaction,
        nutrition_accuracy_daily,
        onboarding_abandonment,
        conversion_signup_to_first_menu,
        monthly_active_users,
    )
}
WINDOWED: dict[str, Callable[[list[Event]], Rows]] = {
    function.__name__: function
    for function in (avg_generation_time, menu_generation_latency, api_response_time_p95, error_rate_percentage, availability)
}
