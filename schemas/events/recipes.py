"""What people do with recipes."""

from __future__ import annotations

from typing import Literal, NotRequired

from pydantic import with_config
from typing_extensions import TypedDict

from schemas.envelope import CLOSED, OPEN, Envelope, Identifier
from schemas.units import AttentionMs


@with_config(OPEN)
class RecipeProperties(TypedDict):
    """`time_spent_ms` is at most three hours: more is a tab left open."""

    recipe_id: Identifier
    time_spent_ms: NotRequired[AttentionMs | None]


@with_config(CLOSED)
class RecipeView(Envelope):
    event_type: Literal["recipe_view"]
    properties: RecipeProperties


@with_config(CLOSED)
class RecipeSave(Envelope):
    event_type: Literal["recipe_save"]
    properties: RecipeProperties


@with_config(CLOSED)
class RecipeShare(Envelope):
    event_type: Literal["recipe_share"]
    properties: RecipeProperties
