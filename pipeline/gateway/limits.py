"""What the gateway takes at most, of one request and of all together; past a figure a request is refused before memory is spent on it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final

from pipeline.runtime.errors import RetryAfter

MAX_COMPRESSED_BYTES: Final = 1 << 20
MAX_BODY_BYTES: Final = 4 << 20
#: A body may unpack to FREE_RATIO_BYTES whatever its ratio (small events that repeat compress well), to more only below MAX_RATIO.
MAX_RATIO: Final = 100
FREE_RATIO_BYTES: Final = 1 << 20

MAX_EVENTS: Final = 1_000
#: The topic takes 1 MiB a record batch; the key, the record and the batch around an event need less than 4 KiB.
MAX_EVENT_BYTES: Final = (1 << 20) - (4 << 10)
MAX_DEPTH: Final = 32
#: Opening brackets in a body: an empty object of two bytes costs 64 once it is parsed.
MAX_CONTAINERS: Final = 64 * MAX_EVENTS
#: Commas in a body, those within texts too: a name and a number of 10 bytes cost 100 once they are parsed.
MAX_COMMAS: Final = 200 * MAX_EVENTS

BODY_TIMEOUT_S: Final = 15.0
MAX_READING_BYTES: Final = 32 << 20
MAX_READING_REQUESTS: Final = 1_000
#: A body that takes longer than this is given up when there is no room for others.
SLOW_BODY_S: Final = 0.25

#: Beyond this, connections without a request are closed, those first that have been so for longest; one costs about 10 KiB.
MAX_CONNECTIONS: Final = 3_000
#: A client that does not read its answer for so long has gone.
ANSWER_TIMEOUT_S: Final = 10.0

MAX_UNACKED_BYTES: Final = 32 << 20
#: What a record costs beside its key and value while it waits.
RECORD_OVERHEAD_BYTES: Final = 200
ACK_TIMEOUT_S: Final = 5.0


@dataclass(slots=True)
class Budget:
    """A number of bytes that all requests share; `what` names it to whoever is refused."""

    limit: int
    what: str
    used: int = 0

    def take(self, size: int) -> None:
        """Raises RetryAfter when it would be more than the limit; else `give_back` the same number later."""
        if self.used + size > self.limit:
            raise RetryAfter(f"too much is {self.what} at this moment; send the same request again")
        self.used += size

    def give_back(self, size: int) -> None:
        self.used -= size


@dataclass(slots=True)
class RateLimit:
    """A token bucket per sender: an event is a token, a request REQUEST_TOKENS on top, as much work as so many events.

    The defaults let one sender have about all that one process can do in batches (28,800 events/s of 500 each), and about 1,400
    requests a second of one event. A request is let in while the bucket is not empty and may leave it in debt.
    """

    REQUEST_TOKENS: Final = 20

    tokens_per_s: float = 30_000
    burst: float = 60_000
    max_senders: int = 10_000
    _senders: OrderedDict[Hashable, tuple[float, float]] = field(default_factory=OrderedDict)

    def wait_s(self, sender: Hashable, now: float) -> float:
        """0 when `sender` may send at `now` (monotonic seconds), else how long it should wait."""
        tokens = self._tokens(sender, now)
        return 0.0 if tokens > 0 else (1 - tokens) / self.tokens_per_s

    def spend(self, sender: Hashable, events: int, now: float) -> None:
        """Count a request of so many events; the sender heard from longest ago is forgotten when there are too many."""
        self._senders[sender] = (self._tokens(sender, now) - self.REQUEST_TOKENS - events, now)
        self._senders.move_to_end(sender)
        if len(self._senders) > self.max_senders:
            self._senders.popitem(last=False)

    def _tokens(self, sender: Hashable, now: float) -> float:
        tokens, at = self._senders.get(sender, (self.burst, now))
        return min(self.burst, tokens + (now - at) * self.tokens_per_s)
