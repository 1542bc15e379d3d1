"""What people do with recipes."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field, Strict, with_config
from typing_extensions import TypedDict

from schemas.envelope import CLOSED, OPEN, Envelope, Identifier


@with_config(OPEN)
class RecipeProperties(TypedDict):
    """`time_spent_ms` is at most three hours: more is a tab left open."""

    recipe_id: Identifier
    time_spent_ms: NotRequired[Annotated[float, Strict(), Field(ge=0, le=10_800_000)] | None]


@with_config(CLOSED)
class RecipeView(Envelope):
    event_type: Literal["recipe_view"]
    properties: RecipeProperties
