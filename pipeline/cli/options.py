"""Options that many commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

DataDir = Annotated[
    Path | None,
    Parameter(help="Where the stack keeps its state; ~/.local/share/nutricoach-telemetry when nothing is said."),
]
"""Functions take `data_dir: DataDir = None`: None means the default, or the settings where a command uses them."""

Format = Annotated[Literal["text", "json"], Parameter(help="text for people, json for programs.")]


def state_dir(data_dir: Path | None) -> Path:
    """The directory of a command that works on the embedded stack itself, absolute."""
    from pipeline.runtime.settings import DEFAULT_DATA_DIR

    return (data_dir or DEFAULT_DATA_DIR).expanduser().absolute()
