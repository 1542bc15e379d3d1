"""PagerDuty's webhooks (v3): whether a request is PagerDuty's, and which command it asks for. Pure.

https://developer.pagerduty.com/docs/webhook-signatures, https://developer.pagerduty.com/docs/webhooks-overview
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Annotated, Final

from pydantic import BaseModel, Field, ValidationError

from pipeline.runtime.errors import Reject
from schemas.command import Ack, Unack
from schemas.printable import printable
from schemas.timestamps import from_ms

_SCHEME: Final = "v1="
#: An app signs with each of its secrets; more than a few signatures are not from an app.
_MOST_SIGNATURES: Final = 10
_PERSON: Final = "user_reference"


class _Agent(BaseModel):
    type: str = ""
    summary: str = ""


class _Incident(BaseModel):
    type: str = "incident"
    incident_key: str | None = None


class _Event(BaseModel):
    id: Annotated[str, Field(min_length=1, max_length=150, pattern=r"^[\x21-\x7e]+$")]
    event_type: str
    agent: _Agent | None = None
    data: _Incident


class _Webhook(BaseModel):
    event: _Event


def verify(secrets: Iterable[str], header: str, body: bytes) -> None:
    """Raises Reject `invalid_signature` unless `body` is signed with one of `secrets`.

    Args:
        secrets: those of the subscriptions; two while one is replaced by the other.
        header: X-PagerDuty-Signature, several signatures separated by commas.
        body: as it came.
    """
    signatures = [part.strip().encode("utf-8", "surrogateescape") for part in header.split(",", _MOST_SIGNATURES)]
    expected = [(_SCHEME + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()).encode() for secret in secrets]
    # Every pair, so that time tells nothing.
    matches = [hmac.compare_digest(known, signature) for known in expected for signature in signatures[:_MOST_SIGNATURES]]
    if not any(matches):
        raise Reject("invalid_signature", "X-PagerDuty-Signature is not that of a secret in TELEMETRY_CONSOLE__PAGERDUTY_SECRETS")


def command_of(body: bytes, now_ms: int) -> Ack | Unack | None:
    """The command of somebody who acted in PagerDuty; None for what asks nothing of us.

    Who resolves an incident there has taken it on: only the data resolves it here, but nobody else is to be paged. What an integration
    or a time-out did is not anybody's word: the first is the echo of what we told PagerDuty, older perhaps than what was said since.

    Args:
        body: as it came.
        now_ms: when it came.

    Raises:
        Reject: `invalid_payload`, with what is wrong.
    """
    try:
        event = _Webhook.model_validate_json(body).event
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise Reject("invalid_payload", f"{'.'.join(map(str, first['loc'])) or 'the body'}: {first['msg']}") from None
    about = {
        "command_id": f"pagerduty-{event.id}",
        "at": from_ms(now_ms),
        "by": _name_of(event.agent),
        "incident_key": event.data.incident_key,
    }
    agent = "" if event.agent is None else event.agent.type
    try:
        match event.event_type:
            case "incident.acknowledged" if agent in ("", _PERSON):
                return Ack.model_validate(about)
            case "incident.resolved" if agent == _PERSON:
                return Ack.model_validate(about)
            case "incident.unacknowledged":
                return Unack.model_validate(about)
    except ValidationError:  # an incident of somebody else's: its key is none of ours
        return None
    return None


def _name_of(agent: _Agent | None) -> str:
    name = "" if agent is None else agent.summary
    line = printable(name).strip()
    return f"{line[:180]} (PagerDuty)" if line else "PagerDuty"
