"""Menus: asked for, ready, and how well they fit."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import FailFast, Field, Strict, with_config
from typing_extensions import TypedDict

from schemas.envelope import CLOSED, OPEN, DurationMs, Envelope, Identifier, Name
from schemas.units import Ratio


@with_config(OPEN)
class MenuGeneratedProperties(TypedDict):
    """One request for a menu, answered or not.

    `outcome` is full (the first choice answered), degraded (a fallback or a template did) or failed (the user got nothing).
    """

    recipe_count: Annotated[int, Strict(), Field(ge=0, le=10_000)]
    restrictions: Annotated[list[Name], FailFast(), Field(max_length=100)]
    generation_time_ms: DurationMs
    outcome: Literal["full", "degraded", "failed"]
    provider: NotRequired[Name | None]
    menu_id: NotRequired[Identifier | None]
    error_type: NotRequired[Name | None]


@with_config(OPEN)
class MenuReadyProperties(TypedDict):
    """Somebody was told that the menu is there."""

    menu_id: Identifier


@with_config(OPEN)
class NutritionAccuracyProperties(TypedDict):
    """How far a menu's nutrients are what they should be; `accuracy_score` is a ratio."""

    menu_id: Identifier
    accuracy_score: Ratio
    provider: NotRequired[Name | None]


@with_config(CLOSED)
class MenuGenerated(Envelope):
    event_type: Literal["menu_generated"]
    properties: MenuGeneratedProperties


@with_config(CLOSED)
class MenuReady(Envelope):
    event_type: Literal["menu_ready"]
    properties: MenuReadyProperties


@with_config(CLOSED)
class NutritionAccuracy(Envelope):
    event_type: Literal["nutrition_accuracy"]
    properties: NutritionAccuracyProperties
