"""Which requests have been obeyed: the last ones, in the order they came."""

from __future__ import annotations

from collections import OrderedDict


class Repeats:
    """At most `most` identities. Other processes know of nothing but their own; there, what comes twice is sent twice and obeyed once.

    Add one only when all is done: until then it may come again, and should.
    """

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._seen: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, identity: str) -> bool:
        return identity in self._seen

    def add(self, identity: str) -> None:
        self._seen[identity] = None
        if len(self._seen) > self._most:
            self._seen.popitem(last=False)
