"""Whether this process stood still for so long that another one may have taken its place without its noticing."""

from __future__ import annotations

from typing import Any, Final

from mode import Service

from pipeline.runtime.clock import Clock

#: Session timeout 10 s, heartbeats every 2.5 s: up to here nobody else can have been given the partition.
FROZEN_S: Final = 6.0


class FreezeWatch(Service):
    """Asked before anything is done to the outside. Once `frozen`, until `thawed`, whatever runs first after the freeze."""

    def __init__(self, clock: Clock, **service: Any) -> None:
        super().__init__(**service)
        self._clock, self._alive_at, self._frozen = clock, clock.monotonic(), False

    @property
    def frozen(self) -> bool:
        return self._frozen or self._clock.monotonic() - self._alive_at > FROZEN_S

    def thawed(self) -> None:
        """The state has been read again."""
        self._alive_at, self._frozen = self._clock.monotonic(), False

    def look(self) -> None:
        """Note that the process runs; called often while it does."""
        self._frozen, self._alive_at = self.frozen, self._clock.monotonic()

    @Service.task
    async def _look_often(self) -> None:
        while not self.should_stop:
            await self.sleep(FROZEN_S / 10)
            self.look()
