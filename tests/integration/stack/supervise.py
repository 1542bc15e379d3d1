"""Runs a stack of stand-in roles in a process of its own: `python supervise.py DATA_DIR`, the roles as JSON on standard input.

Progress and "ready" are lines on standard output; the last line of an error, too, with its exit code.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pipeline.embedded.plan import Addresses, Plan, RoleSpec, StepSpec
from pipeline.embedded.up import hold_and_run
from pipeline.runtime.errors import Stop


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(data_dir: Path, given: dict[str, list[dict[str, object]]]) -> None:
    def specs(kind: str) -> tuple[RoleSpec, ...]:
        return tuple(RoleSpec(**{**role, "command": tuple(role["command"]), "env": {}}) for role in given[kind])  # type: ignore[arg-type]

    steps = tuple(StepSpec(**{**step, "command": tuple(step["command"]), "env": {}}) for step in given["steps"])  # type: ignore[arg-type]
    plan = Plan(
        Addresses("127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3", "http://127.0.0.1:4"), specs("servers"), steps, specs("roles")
    )
    try:
        hold_and_run(data_dir, lambda: plan, say, lambda: say("ready"))
    except Stop as error:
        say(str(error))
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.load(sys.stdin))
