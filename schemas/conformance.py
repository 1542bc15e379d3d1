"""`python -m schemas.conformance -- COMMAND…`: whether a consumer of `alerts.v1` and `escalations.v1` keeps to the public contract.

The command is started once for each scenario. On its standard input it gets the records, one JSON object a line, in the order in which
Kafka could have given them: with duplicates, mixed up across incidents, from earlier and later versions.

    {"topic": "alerts.v1", "key": "98af…", "value": {"transition_id": …, "incident_key": …, "state": "firing", …}}

When its input ends it has 30 s to say on its standard output, as one JSON document, what it has understood, and to exit 0:

    {"open": {"98af…": {"state": "firing", "severity": "critical"}}, "pages": {"98af…": 2}}

`open` has the incidents that are not over, `pages` how many pages have been sent about each incident (none: left out or 0). All that is
needed to know is in `schemas/generated/json/alerts.v1.json` and `escalations.v1.json`.

Exit 0 when every scenario is answered as it must be; 1 when not, with a line for each promise that is broken; 2 when the command cannot
be run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Final

from schemas.scenarios import Scenario, scenarios

_TIMEOUT_S: Final = 30
_SHOWN: Final = 3


def check(command: Sequence[str], scenario: Scenario) -> str | None:
    """Play one scenario; what is wrong with the answer, in one line, or None. Raises OSError when the command cannot be started."""
    lines = "".join(f"{record.line()}\n" for record in scenario.records)
    try:
        done = subprocess.run(command, input=lines, capture_output=True, text=True, encoding="utf-8", timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer within {_TIMEOUT_S} s"
    except UnicodeDecodeError:
        return "the answer is not UTF-8"
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["without a word"]
        return f"exit {done.returncode}: {said[-1]}"
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        return "the answer is not one JSON document"
    return _difference(scenario.answer.document(), answer)


def _difference(wanted: dict[str, Any], answer: Any) -> str | None:
    if not isinstance(answer, dict) or not all(isinstance(answer.get(name), dict) for name in wanted):
        return 'the answer is not {"open": {…}, "pages": {…}}'
    found = {"open": answer["open"], "pages": {key: count for key, count in answer["pages"].items() if count}}
    wrong = [
        f"{name}[{key[:8]}] is {_text(found[name], key)}, expected {_text(wanted[name], key)}"
        for name in wanted
        for key in sorted(wanted[name].keys() | found[name].keys())
        if _known(found[name].get(key), wanted[name].get(key)) != wanted[name].get(key)
    ]
    more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    return "; ".join(wrong[:_SHOWN]) + more if wrong else None


def _known(said: Any, wanted: Any) -> Any:
    """Without what a consumer says beyond what is asked."""
    return {name: said.get(name) for name in wanted} if isinstance(said, dict) and isinstance(wanted, dict) else said


def _text(values: dict[str, Any], key: str) -> str:
    return json.dumps(values[key], ensure_ascii=False) if key in values else "missing"


def main(arguments: Sequence[str]) -> int:
    """The exit code; see the head of this file."""
    parser = argparse.ArgumentParser(prog="python -m schemas.conformance", description="Play alerts and escalations to a consumer.")
    parser.add_argument("command", nargs="+", metavar="COMMAND", help="the consumer and its arguments, after --")
    command = parser.parse_args(arguments).command
    broken = 0
    for scenario in scenarios():
        try:
            wrong = check(command, scenario)
        except OSError as error:
            print(f"schemas.conformance: {command[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201
            return 2
        broken += wrong is not None
        print(f"{scenario.name}: ok" if wrong is None else f"{scenario.name}: {scenario.promise}\n  {wrong}")  # noqa: T201
    if broken:
        print(f"schemas.conformance: {broken} of {len(scenarios())} promises are broken", file=sys.stderr)  # noqa: T201
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
