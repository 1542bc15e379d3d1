"""Identifiers that everybody who decides the same thing arrives at: what makes a repeat harmless."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256


def digest(*parts: object) -> str:
    """SHA-256, in hex, of the parts with an unambiguous separator."""
    return sha256("\x1f".join(map(str, parts)).encode()).hexdigest()


def incident_key(rule: str, labels: Mapping[str, str], first_window_to_ms: int) -> str:
    """One incident: a rule, a set of labels, and the end of the first window in which its condition was true.

    The end of a window moves in steps of a pane, so alerters that see the same breach some flushes apart agree; after a resolution
    the next breach lies in a later pane, so its key is another.
    """
    return digest(rule, *(f"{name}={value}" for name, value in sorted(labels.items())), first_window_to_ms)
