"""Views in days of Paris, where the users are: made from those in UTC days whose file begins with `MARK`, under their name and `_paris`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

MARK: Final = "-- Has a twin in days of Europe/Paris.\n"
_SUFFIX: Final = "_paris"
#: In `toDate(since, 'UTC')` and in comments it says whose days are meant; in the type of a column it does not.
_ZONE: Final = re.compile(r"(?<!DateTime64\(3, ')\bUTC\b")


def paris_views(views: Mapping[str, str]) -> dict[str, str]:
    """Name → statement of the twins of those `views` (name → text) that have one. Twins read the twins of what the others read."""
    twins = {name: text for name, text in views.items() if text.startswith(MARK)}
    names = re.compile(rf"\btelemetry\.({'|'.join(twins)})\b")
    return {
        name + _SUFFIX: _ZONE.sub("Europe/Paris", names.sub(rf"telemetry.\1{_SUFFIX}", text.removeprefix(MARK)))
        for name, text in twins.items()
    }
