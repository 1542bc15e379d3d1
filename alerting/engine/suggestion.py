"""What somebody who wrote a word that does not exist may have meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, known: Iterable[str], *, otherwise: str | None = None) -> str:
    """`; did you mean NAME?` where one is close, else `otherwise`, else all that there are; '' where there are none."""
    names = {name.lower(): name for name in known}
    close = get_close_matches(word.lower(), names, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {names[close[0]]}?"
    if otherwise is not None:
        return f"; {otherwise}"
    return f"; there are {', '.join(names.values())}" if names else ""
