"""People come, stay or go, pay, and say what they think."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field, Strict, with_config
from typing_extensions import TypedDict

from schemas.envelope import CLOSED, OPEN, Envelope, Identifier, Name, Text
from schemas.units import WaitMs


@with_config(OPEN)
class UserSignedUpProperties(TypedDict):
    """Somebody has an account now; `method` is how, such as email."""

    method: NotRequired[Name | None]


@with_config(OPEN)
class OnboardingAbandonedProperties(TypedDict):
    """Somebody left at `step` of the onboarding, `time_spent_ms` after it began: at most a day."""

    step: Annotated[int, Strict(), Field(ge=0, le=1_000)]
    time_spent_ms: WaitMs


@with_config(OPEN)
class SatisfactionRatingProperties(TypedDict):
    """Somebody gave 1 to 5 stars, to a menu or to all of it."""

    rating: Annotated[int, Strict(), Field(ge=1, le=5)]
    menu_id: NotRequired[Identifier | None]


@with_config(OPEN)
class NpsResponseProperties(TypedDict):
    """How likely somebody is to recommend it: 9 and 10 promote, 0 to 6 detract."""

    score: Annotated[int, Strict(), Field(ge=0, le=10)]


@with_config(OPEN)
class PaymentProperties(TypedDict):
    """Somebody paid, or tried to; `reason` is why it failed."""

    outcome: Literal["succeeded", "failed"]
    amount_cents: NotRequired[Annotated[int, Strict(), Field(ge=0, le=1_000_000_000)] | None]
    reason: NotRequired[Name | None]


@with_config(OPEN)
class FeedbackProperties(TypedDict):
    """Somebody said something."""

    kind: Name
    detail: NotRequired[Text | None]


@with_config(CLOSED)
class UserSignedUp(Envelope):
    event_type: Literal["user_signed_up"]
    properties: UserSignedUpProperties


@with_config(CLOSED)
class OnboardingAbandoned(Envelope):
    event_type: Literal["onboarding_abandoned"]
    properties: OnboardingAbandonedProperties


@with_config(CLOSED)
class SatisfactionRating(Envelope):
    event_type: Literal["satisfaction_rating"]
    properties: SatisfactionRatingProperties


@with_config(CLOSED)
class NpsResponse(Envelope):
    event_type: Literal["nps_response"]
    properties: NpsResponseProperties


@with_config(CLOSED)
class Payment(Envelope):
    event_type: Literal["payment"]
    properties: PaymentProperties


@with_config(CLOSED)
class Feedback(Envelope):
    event_type: Literal["feedback"]
    properties: FeedbackProperties
