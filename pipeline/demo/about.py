"""What the demo says about itself."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from pipeline.demo.screen import Screen
from pipeline.demo.stage import Stack


def introduce(screen: Screen, place: Path) -> None:
    """What is going to happen."""
    screen.heading("NutriCoach Telemetry: one incident, from the first failed menu to the page, and back to normal")
    screen.say(
        "A menu service asks Ollama, then Claude, then its templates. All three fail for a while; somebody must be told. Three minutes."
    )
    screen.say("Ollama and Claude are away all the time, so Fallback Share High fires, too: a warning for the product team.")
    screen.say(
        "Events go: menu service → gateway → Kafka → workers → panes.v1 (counts of ten seconds) → alerter → notifier → Slack, PagerDuty."
    )
    screen.heading(f"The whole stack starts, as with `telemetry up`; its state and logs are in {place}")
    screen.say(f"{'elapsed':>9} {'failing':>9}  (since the start, and since the first failed menu)", "dim")


def say_what_was_real(screen: Screen, rows: str, stretch: str, stand_ins: Collection[str]) -> None:
    """Which parts a user would run, and which are there for the demo. `rows`: how many item rows of the `stretch` of time."""
    screen.heading("Real")
    screen.say(
        "  the broker (Apache Kafka), the warehouse (the ClickHouse engine), gateway, two workers, alerter, notifier, commands and timers"
    )
    screen.say(f"  {rows} item rows of a shop, replayed: Online Retail II, {stretch}")
    screen.say("  the errors: connections to Ollama and Claude are opened and refused, the templates are a file that is gone for a while")
    screen.say("  the durations, as measured; the notifications, over HTTP as Slack and PagerDuty take them")
    screen.heading("Simulated")
    screen.say("  the people who ask for menus: their requests are generated")
    if stand_ins:
        screen.say(f"  the receivers {', '.join(stand_ins)}: stand-ins on this machine, since the settings have no address for them")
    screen.say("  the incident is staged, and so is the person who acknowledges it")
    screen.say(
        "  the patience: as shipped, the CEO is paged five minutes after a critical incident that nobody acknowledges, here after 30 s"
    )


def say_how_to_go_on(screen: Screen, place: Path, stack: Stack) -> None:
    """The stack is left running: how to look at it, and how to stop it."""
    screen.heading("The stack goes on running; the stand-ins for Slack and PagerDuty ended with this command")
    screen.say(f"  telemetry status --data-dir {place}")
    screen.say(f"  telemetry alerts list --all --data-dir {place}")
    query = "SELECT * FROM error_rate WHERE metric = 'menu_generation' AND window_s = 60 ORDER BY window_start FORMAT PrettyCompact"
    screen.say(f"  curl '{stack.clickhouse.url}/?database=telemetry' -d \"{query}\"")
    screen.say(f"  telemetry demo --verify --data-dir {place}   compares the numbers again")
    screen.say(f"  telemetry down --data-dir {place}            stops it")
