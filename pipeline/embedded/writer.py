"""The credentials of the one who may write to the embedded ClickHouse."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from pipeline.runtime.errors import ConfigurationError

FILE_NAME = "clickhouse-writer.json"


@dataclass(frozen=True, slots=True)
class Writer:
    user: str
    password: str

    def __repr__(self) -> str:
        return f"Writer(user={self.user!r})"


def stored_writer(data_dir: Path) -> Writer | None:
    """The writer kept in `data_dir`, None when there is none yet."""
    try:
        return Writer(**json.loads((data_dir / FILE_NAME).read_text("utf-8")))
    except FileNotFoundError:
        return None


def keep_writer(data_dir: Path, user: str | None, password: str) -> Writer:
    """The writer this stack uses: the one asked for, else the one kept, else a random one; kept readable by its owner only.

    Raises ConfigurationError when only one of user and password is set.
    """
    if bool(user) != bool(password):
        raise ConfigurationError("TELEMETRY_CLICKHOUSE__USER and TELEMETRY_CLICKHOUSE__PASSWORD go together: set both or neither")
    kept = stored_writer(data_dir)
    writer = Writer(user, password) if user else kept or Writer("writer", secrets.token_urlsafe(24))
    if writer != kept:
        _store(data_dir, writer)
    return writer


def _store(data_dir: Path, writer: Writer) -> None:
    new = data_dir / f"{FILE_NAME}.new"
    new.unlink(missing_ok=True)  # so that the mode below is the file's from its first byte on
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump({"user": writer.user, "password": writer.password}, file)
    new.replace(data_dir / FILE_NAME)
