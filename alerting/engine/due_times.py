"""When something has to be looked at next, so that a tick with nothing due costs nothing, however much is open."""

from __future__ import annotations

from heapq import heappop, heappush


class DueTimes:
    """One time per key, the earliest that was asked for since it was last taken."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str]] = []
        self._at_ms: dict[str, int] = {}

    def at_latest(self, key: str, at_ms: int) -> None:
        """Look at `key` no later than `at_ms`."""
        known_ms = self._at_ms.get(key)
        if known_ms is None or at_ms < known_ms:
            self._at_ms[key] = at_ms
            heappush(self._heap, (at_ms, key))

    def take(self, now_ms: int) -> list[str]:
        """The keys whose time has come; each has none then."""
        taken = []
        while self._heap and self._heap[0][0] <= now_ms:
            at_ms, key = heappop(self._heap)
            if self._at_ms.get(key) == at_ms:
                del self._at_ms[key]
                taken.append(key)
        return taken

    def forget(self, key: str) -> None:
        """`key` is over."""
        self._at_ms.pop(key, None)
