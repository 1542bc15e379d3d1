"""`telemetry`: puts the commands together, and turns errors into one line and an exit code."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from cyclopts import App, CycloptsError, Group

from pipeline.cli import (  # modules of commands import nothing heavy at their top
    alerts,
    data,
    dead_letters,
    demo,
    reconcile,
    roles,
    rules,
    stack,
    tail,
    validate,
)
from pipeline.runtime.errors import ConfigurationError, Stop, TelemetryError

_INTERRUPTED = 128 + 2  # as a shell counts SIGINT


def build() -> App:
    """The command line with every command there is."""
    app = App(
        name="telemetry",
        help="Typed events to numbers that may wake a person up.\n\nExample: `telemetry up --detach`, then `telemetry status`.",
        help_format="markdown",
        version=lambda: importlib.metadata.version("nutricoach-telemetry"),
    )
    groups: dict[str, Sequence[Callable[..., int]]] = {
        "The stack": (stack.up, stack.status, stack.down, stack.doctor, stack.topics, stack.migrate, demo.demo),
        "Events": (data.publish, validate.validate, tail.tail, reconcile.reconcile),
        "One role": (roles.gateway, roles.worker, roles.alerter, roles.notifier, roles.console, roles.host),
    }
    for title, commands in groups.items():
        group = Group.create_ordered(title)
        for position, command in enumerate(commands):
            app.command(command, group=group, sort_key=position)
    for sub_app in (alerts.app, rules.app, dead_letters.app):
        app.command(sub_app)
    return app


def run(tokens: Sequence[str]) -> int:
    """The exit code: 0 ok, 1 the answer is no, 2 wrong usage or configuration; errors are one line on stderr."""
    logging.root.addHandler(logging.NullHandler())  # a library's warning is no line for the person; roles set up their own logs
    try:
        code = build()(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, KeyboardInterrupt) as error:
        line, exit_code = explain(error)
        print(f"telemetry: {line}", file=sys.stderr)
        return exit_code
    return int(code or 0)


def explain(error: BaseException) -> tuple[str, int]:
    """What a person is told of `error`, in one line, and the exit code; the stack of a bug is kept in a file."""
    text = " ".join(str(error).split())
    match error:
        case CycloptsError():
            return f"{text} (see `telemetry --help`)", ConfigurationError.exit_code
        case Stop():
            return text, error.exit_code
        case TelemetryError():
            return text, Stop.exit_code
        case KeyboardInterrupt():
            return "interrupted", _INTERRUPTED
    return f"{type(error).__name__}: {text}; this is a bug, its stack is at the end of {_keep_stack(error)}", Stop.exit_code


def main() -> NoReturn:
    """The entry point of the program."""
    sys.exit(run(sys.argv[1:]))


def _keep_stack(error: BaseException) -> Path | str:
    """Where the stack was put: a role of a running stack stands in its data directory, everybody else has the default one."""
    from pipeline.embedded.stack_state import LOCK_FILE
    from pipeline.runtime.settings import DEFAULT_DATA_DIR

    logs = (Path.cwd() if Path(LOCK_FILE).exists() else DEFAULT_DATA_DIR) / "logs"
    try:
        logs.mkdir(parents=True, exist_ok=True)
        with open(os.open(logs / "bugs.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="utf-8") as log:
            log.write("".join(traceback.format_exception(error)))
    except OSError as refused:
        return f"no file ({refused.strerror})"
    return logs / "bugs.log"


if __name__ == "__main__":
    main()
