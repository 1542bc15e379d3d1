"""`telemetry validate`: would a gateway take the events of a file?"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pipeline.cli.options import Format

if TYPE_CHECKING:
    from pipeline.cli.validating import Verdict

#: So many events with errors are shown one by one.
SHOWN = 20
_WARNINGS = 1_000
#: A bar is shown for what takes longer than a moment.
_BAR_FROM_BYTES = 4 << 20


def validate(file: Path, *, format: Format = "text") -> int:
    """Check events without sending them, by the gateway's own rules; exit 1 when one would be refused.

    The file has one event a line, an array of events, or one event. It is not read into memory.

    Example: `telemetry validate events.ndjson`, `telemetry validate events.json --format json`
    """
    from pipeline.cli.event_values import values_of
    from pipeline.cli.validating import verdicts

    with _opened(file) as opened, _bar(file.stat().st_size) as told:
        lines, values = values_of(opened, told)
        return _as_json(verdicts(values, lines=lines)) if format == "json" else _as_text(verdicts(values, lines=lines))


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    from pipeline.runtime.errors import ConfigurationError

    try:
        with file.open("rb") as opened:
            if opened.read(2) in (b"\x1f\x8b", b"\x28\xb5"):
                raise ConfigurationError(f"{file} is compressed; unpack it first")
            opened.seek(0)
            yield opened
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror}") from error


@contextmanager
def _bar(size: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    shown = console.is_terminal and size >= _BAR_FROM_BYTES
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not shown, transient=True) as progress:
        task = progress.add_task("checking", total=size)
        yield lambda read: progress.advance(task, read)


def _as_text(verdicts: Iterable[Verdict]) -> int:
    accepted, rejected = 0, 0
    shown: list[Verdict] = []
    for verdict in verdicts:
        accepted += not verdict.refused
        rejected += verdict.refused
        if verdict.errors and len(shown) <= SHOWN:
            shown.append(verdict)
    print(f"{accepted} accepted, {rejected} rejected")
    for verdict in shown[:SHOWN]:
        reasons = "; ".join(f"{error.field}: {error.message}".removeprefix(": ") for error in verdict.errors)
        print(
            f"line {verdict.line}: {reasons}{'' if verdict.refused else ' (accepted all the same, and counted nowhere)'}", file=sys.stderr
        )
    if len(shown) > SHOWN:
        print("… and more; --format json lists them all", file=sys.stderr)
    return 1 if rejected else 0


def _as_json(verdicts: Iterable[Verdict]) -> int:
    """Written as it is found, so that it may be longer than memory; of the warnings about accepted events only so many are kept."""
    import orjson

    accepted, rejected = 0, 0
    warnings: list[dict[str, Any]] = []
    sys.stdout.write('{"rejected":[')
    for verdict in verdicts:
        if verdict.refused:
            sys.stdout.write(("," if rejected else "") + orjson.dumps(_document(verdict)).decode())
            rejected += 1
            continue
        accepted += 1
        if verdict.errors and len(warnings) < _WARNINGS:
            warnings.append(_document(verdict))
    print(f'],"accepted":{accepted},"warnings":{orjson.dumps(warnings).decode()}}}')
    return 1 if rejected else 0


def _document(verdict: Verdict) -> dict[str, Any]:
    errors = [{"field": error.field, "message": error.message} for error in verdict.errors]
    return {"line": verdict.line, "index": verdict.index, "event_id": verdict.event_id, "errors": errors}
