from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import structlog


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[Any]]:
    """What this process logs during a test."""
    with structlog.testing.capture_logs() as lines:
        yield lines
