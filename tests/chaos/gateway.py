"""`python -m tests.chaos.gateway`: the real gateway, which may die when Kafka has the events and the client has no answer yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import wraps

from pipeline.gateway.app import main as run
from pipeline.gateway.intake import Record
from pipeline.gateway.publish import Publisher
from pipeline.runtime.settings import load_settings
from tests.chaos.faults import PUBLISHED
from tests.chaos.probe import Probe


def watch_publisher(probe: Probe) -> None:
    publish = Publisher.publish

    @wraps(publish)
    async def published(self: Publisher, records: Mapping[int, Sequence[Record]]) -> None:
        await publish(self, records)
        probe.reached("after", PUBLISHED)

    Publisher.publish = published  # type: ignore[method-assign]


def main() -> None:
    """Run until a signal ends it, or an order."""
    watch_publisher(Probe.from_environment("gateway"))
    run(load_settings())


if __name__ == "__main__":
    main()
