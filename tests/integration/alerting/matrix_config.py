"""The shipped configuration with its times scaled down: conditions, thresholds, channels and steps are the shipped ones."""

from __future__ import annotations

import math
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import yaml

from alerting.config.load import CONFIG_DIR
from schemas.alert import Severity

_MS_PER_UNIT: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
#: What a gateway accepted in a minute is known 70 s after its beginning: no loss is known in the newest minute.
_LONGEST_WINDOWS: Final = {"data_loss": "2m"}
#: An hour's uses of a feature are 60 times those of the minute that is looked at here.
_SCALED_GATES: Final = {"Feature Usage Drop": {"min_expected": 10}}


def at_most(duration: str, limit: str) -> str:
    """The shorter of two durations, as written in the files."""
    return min(duration, limit, key=_ms)


def shipped_rules() -> dict[str, dict[str, Any]]:
    """The rules as they are written, by name."""
    return {rule["name"]: rule for path in sorted((CONFIG_DIR / "rules").glob("*.yaml")) for rule in _read(path)["rules"]}


def told_at_once(rule: str) -> set[str]:
    """Whom the files name for the first step: the channels of the rule, and those of its severity without delay."""
    written = shipped_rules()[rule]
    steps = _read(CONFIG_DIR / "escalation.yaml")["severities"][written["severity"]]["steps"]
    return {*written["channels"], *(target for step in steps if step["after"] == "0s" for target in step["targets"])}


def severity_of(rule: str) -> Severity:
    severity: Severity = shipped_rules()[rule]["severity"]
    return severity


def write_config(directory: Path, *, digest_in_s: float) -> Path:
    """Windows of a minute, `for` and `keep_firing_for` of seconds, no waiting for others; what is told daily comes in the next full minute
    that is at least `digest_in_s` away."""
    (directory / "rules").mkdir(parents=True)
    rules = [_scaled(rule) for rule in shipped_rules().values()]
    (directory / "rules" / "all.yaml").write_text(yaml.safe_dump({"rules": rules}, sort_keys=False))
    policy = _read(CONFIG_DIR / "escalation.yaml")
    digest = datetime.fromtimestamp(math.ceil((time.time() + digest_in_s) / 60) * 60, UTC).astimezone(ZoneInfo(policy["timezone"]))
    for chain in policy["severities"].values():
        if "digest" in chain:
            chain["digest"] = digest.strftime("%H:%M")
    (directory / "escalation.yaml").write_text(yaml.safe_dump(policy, sort_keys=False))
    routes = _read(CONFIG_DIR / "routes.yaml")
    for times in (routes["groups"], *routes["groups"]["severities"].values()):
        times |= {name: at_most(times[name], "1s") for name in ("wait", "interval")}
    (directory / "routes.yaml").write_text(yaml.safe_dump(routes, sort_keys=False))
    return directory


def _scaled(rule: dict[str, Any]) -> dict[str, Any]:
    scaled = rule | {"condition": re.sub(r"(\w+)((?:\{[^}]*\})?)\[(\w+)\]", _window, rule["condition"])}
    for name, limit in (("window", "1m"), ("for", "10s"), ("keep_firing_for", "10s")):
        if name in rule:
            scaled[name] = at_most(rule[name], limit)
    gates = rule.get("gates", {}) | _SCALED_GATES.get(rule["name"], {})
    return scaled | ({"gates": gates} if gates else {})


def _window(match: re.Match[str]) -> str:
    quantity, selection, window = match.groups()
    return f"{quantity}{selection}[{at_most(window, _LONGEST_WINDOWS.get(quantity, '1m'))}]"


def _ms(duration: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([a-z]+)", duration).groups()  # type: ignore[union-attr]  # it has passed `rules check`
    return int(number) * _MS_PER_UNIT[unit]


def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    return document
