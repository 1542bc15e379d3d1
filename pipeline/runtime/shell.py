"""Faust as the shell of a role: agents, services, signals, exit status. Its own Kafka, tables, web server and monitor are off.

`telemetry worker` calls `run(app)`; `faust -A pipeline.worker worker` makes the same `RoleWorker` from the app's settings.
"""

from __future__ import annotations

import gc
import sys
from typing import Any, NoReturn

import faust
import sentry_sdk
import structlog
from faust.app import BootStrategy as FaustBootStrategy

from pipeline.runtime.errors import Stop, TelemetryError
from pipeline.runtime.logs import Redactor, configure_logs, secrets_of
from pipeline.runtime.sentry import init_sentry
from pipeline.runtime.settings import Settings

log = structlog.get_logger(__name__)

# A chunk makes tens of thousands of containers and drops them again, none of them in a cycle. The default threshold of 700 would look
# through them dozens of times; at this one a collection begins when as many containers as this outlived the last one.
_CONTAINERS_BEFORE_COLLECTION = 100_000


def collect_seldom() -> None:
    """Tell the collector that start-up is over: what it made lives as long as the process, and no collection need look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_CONTAINERS_BEFORE_COLLECTION, 10, 10)


class ShellApp(faust.App):
    """A Faust app without Faust's Kafka. Give it agents on `app.channel(maxsize=0)` and services with `app.service(instance)`.

    Agents start first, then services in the order they were given; they stop in reverse.
    """

    class BootStrategy(FaustBootStrategy):
        enable_kafka = False
        enable_web = False  # `faust worker` turns the setting on again, and would listen on 0.0.0.0:6066
        enable_sensors = False

    def __init__(self, role: str, settings: Settings, **options: Any) -> None:
        self.role, self.settings = role, settings
        super().__init__(f"nutricoach-{role}", broker="kafka://unused", store="memory://", Worker=RoleWorker, autodiscover=False, **options)

    async def on_first_start(self) -> None:
        init_sentry(self.settings, self.role)  # instead of Faust's directories for tables, made wherever the process stands

    async def on_start(self) -> None:
        self.finalize()

    async def on_shutdown(self) -> None:
        if self._consumer is not None:  # a stream makes one, which nobody ever starts or stops, and it holds an event loop
            self._consumer._thread.thread_loop.close()


class RoleWorker(faust.Worker):
    """Runs a ShellApp: JSON logs, exit status 0 after SIGTERM or SIGINT, else one line on stderr and the status of the error."""

    app: ShellApp

    def __init__(self, app: ShellApp, *services: Any, **options: Any) -> None:
        secrets = list(secrets_of(app.settings))
        configure_logs(app.role, secrets)
        self._redactor = Redactor(secrets)
        options |= {"override_logging": False, "redirect_stdouts": False, "quiet": True}
        super().__init__(app, *services, **options)
        self.spinner = None

    async def on_startup_finished(self) -> None:
        await super().on_startup_finished()
        collect_seldom()

    def execute_from_commandline(self) -> NoReturn:
        try:
            super().execute_from_commandline()
        except SystemExit as leaving:
            error = leaving.__context__ if leaving.code else None
        sentry_sdk.flush(timeout=2.0)
        if error is None:
            sys.exit(0)
        line = self._redactor.text(_line(error))
        log.critical(line, exc_info=error)
        print(f"telemetry {self.app.role}: {line}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code if isinstance(error, Stop) else 1)


def run(app: ShellApp) -> NoReturn:
    """Run `app` until a signal or an error ends it, then exit the process with the status (`RoleWorker`)."""
    RoleWorker(app).execute_from_commandline()


def _line(error: BaseException) -> str:
    if isinstance(error, TelemetryError):
        return str(error)
    return f"ended by a bug, {type(error).__name__}: {' '.join(str(error).split())[:300]} (the log has the stack)"
