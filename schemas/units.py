"""Bounds of what is measured, beside those of the envelope. More is an error of the sender's units or clock, and refused as such."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, Strict

#: 0.8 for 80 %.
Ratio = Annotated[float, Strict(), Field(ge=0, le=1)]
#: Longest time somebody is believed to look at one thing: three hours. More is a tab left open.
AttentionMs = Annotated[float, Strict(), Field(ge=0, le=10_800_000)]
#: Time that passes while nobody works: up to a day.
WaitMs = Annotated[float, Strict(), Field(ge=0, le=86_400_000)]
#: Of HTTP.
StatusCode = Annotated[int, Strict(), Field(ge=100, le=599)]
