"""`telemetry rules`: whether the rule files are right, what they say, and what they would have done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from pipeline.cli.backtest import backtest
from pipeline.cli.options import Format

if TYPE_CHECKING:
    from alerting.config.load import AlertingConfig
    from alerting.engine.rule import Rule

app = App(name="rules", help="The alert rules.")
app.command(backtest)

_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))


@app.command
def check(
    directory: Annotated[Path | None, Parameter(help="A folder with rules/*.yaml, escalation.yaml and routes.yaml.")] = None,
    *,
    format: Format = "text",
) -> int:
    """Read the rule files as the alerter does; exit 2 with file, line and column when one is wrong.

    Example: `telemetry rules check`, `telemetry rules check my-alerting/`, `telemetry rules check --format json`
    """
    from alerting.config.load import configured, load_config
    from pipeline.runtime.settings import load_settings

    config = load_config(directory) if directory is not None else configured(load_settings())
    if format == "json":
        import orjson

        print(orjson.dumps([as_document(rule) for rule in config.rules]).decode())
    else:
        print("\n".join(as_text(config)))
    return 0


def as_document(rule: Rule) -> dict[str, Any]:
    """A rule as JSON: what the file says, every default filled in, durations in ms."""
    return {**rule.model_dump(mode="json", exclude={"condition"}), "condition": rule.condition.text}


def as_text(config: AlertingConfig) -> list[str]:
    """Lines for people: the rules by severity, worst first, and a last one that says that all is well."""
    lines: list[str] = []
    for severity in ("critical", "high", "medium", "low"):
        rules = [rule for rule in config.rules if rule.severity == severity]
        if not rules:
            continue
        lines.append(severity.upper())
        width = max(len(rule.name) for rule in rules)
        for rule in rules:
            lines += [f"  {rule.name:{width}}  {rule.condition.text}", f"  {'':{width}}  {_manner(rule)}"]
        lines.append("")
    lines.append(f"ok: {len(config.rules)} rules, {len(config.receivers)} receivers")
    return lines


def _manner(rule: Rule) -> str:
    """How it is judged and who is told at once: `over 1m, for 5m, by host -> slack-ops, pagerduty`."""
    windows = dict.fromkeys(rule.window_ms_of(comparison) for comparison in rule.condition.comparisons)
    said = [f"over {' and '.join(duration(window) for window in windows if window)}"] if any(windows) else []
    said += [f"for {duration(rule.for_ms)}"] if rule.for_ms else []
    said += [f"by {', '.join(rule.by)}"] if rule.by else []
    return f"{', '.join(said)} -> {', '.join(rule.channels)}".lstrip()


def duration(ms: int) -> str:
    """As rule files write it, in the largest unit that leaves no rest: `90s`, `2m`, `7d`."""
    unit, size = next((unit, size) for unit, size in _UNITS if ms % size == 0)
    return f"{ms // size}{unit}"
