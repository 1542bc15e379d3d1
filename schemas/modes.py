"""What happens to an event whose envelope is sound and whose properties break its type's schema.

- enforce: it is refused: a rejection over HTTP, a dead letter in Kafka.
- warn: it is stored with `schema_ok` = 0, counts nowhere, and the sender is told over HTTP.
- observe: likewise, and the sender is not told.

The table is part of the version, as the schemas are, so that every worker and every replay decides alike. What it decides is no number:
an event that breaks its schema is in no pane and no fact, whatever the mode (`pipeline/decisions/0007`). Its id is used where it is stored,
though: sent again under the same id and corrected it is a conflict, where one that was refused would count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Mode = Literal["observe", "warn", "enforce"]

#: By event type; one that is not named is enforced. A new type may begin with observe: `events` then shows what its senders really
#: write (`WHERE NOT schema_ok`). Once they are told (warn) and that is empty, its line here is removed.
MODES: Final[Mapping[str, Mode]] = {}


def mode_of(event_type: str) -> Mode:
    """The mode of an event type by its canonical name."""
    return MODES.get(event_type, "enforce")
