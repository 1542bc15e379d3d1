"""Examples of the schemas, as bytes."""

from __future__ import annotations

from pathlib import Path

EXAMPLES = Path(__file__).parents[3] / "schemas" / "examples"

FIRING = (EXAMPLES / "alert" / "valid" / "whole.json").read_bytes()
