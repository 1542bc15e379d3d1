"""`telemetry demo`: the whole system on this machine, with one incident."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from pipeline.cli.options import DataDir, state_dir

if TYPE_CHECKING:
    from pipeline.demo.receivers import Kind
    from pipeline.demo.screen import Screen
    from pipeline.demo.stage import Stack, WatchedRule
    from pipeline.runtime.clock import Clock

RULE: Final = "Menu Generation Critical"
#: Of a critical incident, so that the demo need not last for as long as the shipped one.
RESPONSE_TIME_S: Final = 30
WORKERS: Final = 2


def demo(
    *,
    speed: Annotated[float, Parameter(help="Replay the item rows so many times as fast as they happened.")] = 6.0,
    keep: Annotated[bool, Parameter(negative="", help="Leave the stack running, to look at it.")] = False,
    verify: Annotated[bool, Parameter(negative="", help="Only compare again, on the stack that `demo --keep` left on --data-dir.")] = False,
    data_dir: DataDir = None,
) -> int:
    """See it work: a stack of its own, real data and live traffic, and one incident from the first failure to the resolution.

    At the end each number as the alerter saw it stands beside the same number by SQL from `events`. It takes three minutes. Exit 0
    only when every step was observed and every number agrees. Without --data-dir it works in a directory for itself alone.

    Example: `telemetry demo`, `telemetry demo --keep`, `telemetry demo --verify --data-dir DIR`
    """
    from pipeline.demo.about import say_how_to_go_on
    from pipeline.demo.screen import Screen, console
    from pipeline.runtime.clock import SystemClock
    from pipeline.runtime.errors import ConfigurationError

    if speed <= 0:
        raise ConfigurationError("--speed must be greater than 0")
    if verify and data_dir is None:
        raise ConfigurationError("--verify compares the stack of an earlier demo: name its directory with --data-dir")
    clock = SystemClock()
    screen = Screen(console(), clock)
    if verify:
        from pipeline.demo.play import compare_again

        return asyncio.run(compare_again(_stack(state_dir(data_dir)), _rule(), screen, clock))
    place = Path(tempfile.mkdtemp(prefix="telemetry-demo-")) if data_dir is None else state_dir(data_dir)
    try:
        code = _on_a_stack_of_its_own(place, speed, screen, clock, keep=keep)
    except KeyboardInterrupt:
        if data_dir is None:
            shutil.rmtree(place, ignore_errors=True)
        screen.say("Interrupted: everything is stopped.")
        raise
    if keep:
        say_how_to_go_on(screen, place, _stack(place))
    elif data_dir is None and code == 0:
        shutil.rmtree(place)
    if code:
        screen.say(f"The logs are in {place / 'logs'}.")
    return code


def _on_a_stack_of_its_own(place: Path, speed: float, screen: Screen, clock: Clock, *, keep: bool) -> int:
    """Start the stack, play, stop the stack; with `keep` it is stopped only when the demo is interrupted."""
    from pipeline.demo.about import introduce
    from pipeline.demo.play import FROM, TO, Play, Rows
    from pipeline.demo.receivers import StandIns
    from pipeline.demo.retail import write_items
    from pipeline.embedded.up import UpOptions, make_directories, run_detached
    from pipeline.runtime.errors import Stop, TelemetryError

    rule, file = _rule(), place / "item-rows.ndjson"
    make_directories(place)
    _interrupt_on_any_signal()
    with closing(StandIns(_receivers_without_address(), clock)) as stand_ins, ThreadPoolExecutor(1) as pool:
        os.environ.update(stand_ins.environment | _shorter_response_time(place))  # the roles have them from here
        introduce(screen, place)
        written = pool.submit(write_items, file, FROM, TO)
        run_detached(UpOptions(place, WORKERS, auto_ports=True, host_events=False), screen.event)  # all that is counted is sent here
        ended_by_itself = False
        try:
            rows = Rows(file, written.result(), speed)
            code = asyncio.run(Play(_stack(place), rule, stand_ins, rows, screen, clock).run())
            ended_by_itself = True
        except TelemetryError as error:
            ended_by_itself = True
            raise Stop(f"{error}; the logs are in {place / 'logs'}") from error
        finally:
            if not (keep and ended_by_itself):
                _stop(place)
    return code


def _stop(place: Path) -> None:
    from pipeline.embedded.stopping import stop_stack

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is being stopped already, and takes at most 10 s
    stop_stack(place)


def _interrupt_on_any_signal() -> None:
    """SIGTERM and SIGHUP end the demo as Ctrl-C does."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))


def _rule() -> WatchedRule:
    from alerting.config.load import configured
    from pipeline.demo.stage import WatchedRule
    from pipeline.runtime.errors import ConfigurationError
    from pipeline.runtime.settings import load_settings

    rule = next((rule for rule in configured(load_settings()).rules if rule.name == RULE), None)
    if rule is None:
        raise ConfigurationError(f"the demo is about the rule {RULE}, which TELEMETRY_ALERTING__CONFIG_DIR does not have")
    return WatchedRule(rule.name, rule.condition.text, rule.longest_window_ms, rule.gates.min_events, rule.keep_firing_for_ms)


def _shorter_response_time(place: Path) -> dict[str, str]:
    """The settings that make alerter and notifier read a copy of the shipped files, if they would read those."""
    from alerting.config.load import CONFIG_DIR
    from pipeline.runtime.settings import load_settings

    if load_settings().alerting.config_dir is not None:
        return {}
    folder = place / "alerting"
    shutil.copytree(CONFIG_DIR, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    file = folder / "escalation.yaml"
    file.write_text(file.read_text("utf-8").replace(" 5m", f" {RESPONSE_TIME_S}s"), "utf-8")
    return {"TELEMETRY_ALERTING__CONFIG_DIR": str(folder)}


def _receivers_without_address() -> dict[str, Kind]:
    """Those that need a stand-in, by name: whoever has an address in the settings is really told."""
    from alerting.config.load import configured
    from alerting.notify.receivers import has_address
    from pipeline.runtime.settings import load_settings

    settings = load_settings()
    kinds = {name: receiver.kind for name, receiver in configured(settings).receivers.items()}
    without = {name: kind for name, kind in kinds.items() if not has_address(kind, settings.receiver(name))}
    return {name: kind for name, kind in without.items() if kind in {"slack", "pagerduty"}}


def _stack(place: Path) -> Stack:
    from pipeline.cli.address import resolve
    from pipeline.demo.stage import Stack

    target = resolve(place)
    keys = target.settings.gateway.write_keys
    settings = target.settings
    return Stack(
        place, settings.kafka.bootstrap_servers, settings.clickhouse, target.gateway_url, keys[0].get_secret_value() if keys else None
    )
