"""The SDK as these tests use it: small waits, so that what it does when it waits is seen soon."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

from pipeline.sdk import Limits, Telemetry

QUICK: Final = Limits(linger_s=0.01, backoff_s=0.05, max_backoff_s=0.1, request_timeout_s=5.0)


@asynccontextmanager
async def publishing_to(url: str, write_key: str | None = None, **limits: Any) -> AsyncIterator[Telemetry]:
    """A telemetry with QUICK limits but for those given, closed when the block ends."""
    async with Telemetry(url, service="menu-api", environment="test", write_key=write_key, limits=replace(QUICK, **limits)) as telemetry:
        yield telemetry
