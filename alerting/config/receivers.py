"""Who can be told: the `receivers` of routes.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from alerting.engine.document import Document, DocumentError, FileModel, Path
from alerting.engine.suggestion import did_you_mean

ReceiverKind = Literal["slack", "pagerduty", "email", "ticket", "webhook", "apprise"]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class ReceiverConfig(FileModel):
    """What a receiver is reached by, and who is told instead, in this order, when it cannot be."""

    kind: ReceiverKind
    failover: Annotated[tuple[str, ...], BeforeValidator(_as_list)] = ()


Receivers = Annotated[dict[str, ReceiverConfig], Field(min_length=1)]


def check_failovers(document: Document, receivers: Mapping[str, ReceiverConfig]) -> None:
    """Raise DocumentError when one stands in that does not exist, or for itself. Two may stand in for each other."""
    for name, receiver in receivers.items():
        for index, other in enumerate(receiver.failover):
            path = ("receivers", name, "failover", index)
            check_known(document, path, other, receivers, f"receiver {name}: ")
            if other == name:
                raise DocumentError(f"receiver {name}: it cannot stand in for itself", document.place(path))


def check_known(document: Document, path: Path, name: str, receivers: Mapping[str, ReceiverConfig], subject: str) -> None:
    """Raise DocumentError when `name`, written at `path`, is no receiver."""
    if name not in receivers:
        raise DocumentError(f"{subject}{name} is not a receiver{did_you_mean(name, receivers)}", document.place(path))
