"""Slack's buttons: whether a request is Slack's, and which commands it asks for. Pure.

https://docs.slack.dev/authentication/verifying-requests-from-slack, https://docs.slack.dev/reference/interaction-payloads/block_actions-payload
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal
from urllib.parse import parse_qsl

from pydantic import BaseModel, Field, ValidationError

from pipeline.runtime.errors import Reject
from schemas.command import Ack, Line, Snooze, Unack
from schemas.printable import printable
from schemas.timestamps import from_ms

#: A request that is signed for another time than ours by more is not taken, so that an old one cannot be sent again.
MAX_AGE_S: Final = 300
SNOOZE_MS: Final = 3_600_000

Button = Ack | Unack | Snooze


class _Action(BaseModel):
    action_id: str
    value: str = ""
    action_ts: str = ""


class _User(BaseModel):
    id: Annotated[str, Field(min_length=1)]
    username: str = ""
    name: str = ""


class _BlockActions(BaseModel):
    type: Literal["block_actions"]
    user: _User
    actions: Annotated[tuple[_Action, ...], Field(min_length=1, max_length=25)]


class _Payload(BaseModel):
    type: str


def verify(secret: str, headers: Mapping[str, str], body: bytes, now_s: float) -> str:
    """What identifies this one request, the same when it is sent again: its timestamp and signature.

    Args:
        secret: the app's signing secret.
        headers: of the request, by any case.
        body: as it came.
        now_s: seconds since 1970.

    Raises:
        Reject: `stale_timestamp` or `invalid_signature`.
    """
    timestamp = headers.get("X-Slack-Request-Timestamp", "")
    signature = headers.get("X-Slack-Signature", "")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise Reject("stale_timestamp", "X-Slack-Request-Timestamp is not a number of seconds")
    expected = "v0=" + hmac.new(secret.encode(), b"v0:%b:%b" % (timestamp.encode(), body), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "surrogateescape")):
        raise Reject("invalid_signature", "X-Slack-Signature is not that of the signing secret")
    if abs(now_s - int(timestamp)) > MAX_AGE_S:  # only now: before, it is anybody's word
        raise Reject("stale_timestamp", f"the request is not signed within {MAX_AGE_S} s of now; is the clock of this machine right?")
    return f"{timestamp} {signature}"


def commands_of(body: bytes, request_id: str, now_ms: int) -> Sequence[Button]:
    """The commands of the buttons that were pressed; none when it is about other things, as a click on a link is.

    Args:
        body: the form, as it came.
        request_id: what `verify` returned: of a payload that does not say when the button was pressed, one request is one press.
        now_ms: when it came.

    Raises:
        Reject: `invalid_payload`, with what is wrong.
    """
    document = _payload(body)
    try:
        if _Payload.model_validate_json(document).type != "block_actions":
            return ()
        pressed = _BlockActions.model_validate_json(document)
        return tuple(command for action in pressed.actions if (command := _command(action, pressed.user, request_id, now_ms)) is not None)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise Reject("invalid_payload", f"payload {'.'.join(map(str, first['loc'])) or 'as a whole'}: {first['msg']}") from None


def _payload(body: bytes) -> str:
    try:
        form = dict(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=20, errors="strict"))
        return form["payload"]
    except (ValueError, KeyError):
        raise Reject("invalid_payload", "send a form with the field `payload`") from None


def _command(action: _Action, user: _User, request_id: str, now_ms: int) -> Button | None:
    identity = "\n".join((action.action_ts or request_id, user.id, action.action_id, action.value))
    about = {
        "command_id": f"slack-{hashlib.sha256(identity.encode()).hexdigest()[:32]}",
        "at": from_ms(now_ms),
        "by": _name_of(user),
        "incident_key": action.value,
    }
    match action.action_id:
        case "ack":
            return Ack.model_validate(about)
        case "unack":
            return Unack.model_validate(about)
        case "snooze":
            return Snooze.model_validate({**about, "until": from_ms(now_ms + SNOOZE_MS)})
    return None


def _name_of(user: _User) -> Line:
    """A name for people: on one line, whatever somebody calls himself."""
    name = user.name or user.username or user.id
    return printable(name)[:200]
