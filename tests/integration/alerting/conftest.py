from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pipeline.runtime.topics_admin import ensure_topics
from tests.stack_fixtures import embedded_broker


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[str]:
    """A broker of the test's own, with all topics: alerting's topics and groups have fixed names."""
    with embedded_broker(tmp_path / "kafka") as bootstrap_servers:
        await ensure_topics(bootstrap_servers)
        yield bootstrap_servers
