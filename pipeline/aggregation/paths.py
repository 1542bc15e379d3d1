"""From the address of a page or a request to the label it is counted under: `/recipes/8f3a21c0?tab=2` is `/recipes/:id`."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_ORIGIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/]*")

#: What only ids have: a character or a length. Most paths have neither, and are done with one search.
_MAY_HAVE_ID: Final = re.compile(r"[0-9@]|[A-Za-z]{32}")

#: Long numbers are ids wherever they stand; up to four digits may be a year, calories, a rank.
_ID: Final = re.compile(
    r"""
      [0-9]{5}                                                               # order-123456, 48213-lentil-soup
    | \A (?= [^0-9]* [0-9] ) [!-@[-`{-~]+ (?: \. [A-Za-z]{2,5} )? \Z         # no letters: a number, a date, 42.json
    | \A [A-Za-z] [-_] [0-9]+ \Z                                             # r-12
    | @ | %40                                                                # an address, a handle
    | [A-Za-z]{32}
    | (?<! [0-9A-Za-z] ) (?:                                                 # letters and digits that are no word with a number:
          (?= [0-9A-Fa-f]{6,} (?! [0-9A-Za-z] ) ) (?: [0-9]+ [A-Fa-f] | [A-Fa-f]+ [0-9] )                 # 8f3a21, abc123
        | [0-9]+ [A-Fa-f]+ [0-9] [0-9A-Fa-f]* (?! [0-9A-Za-z] )                                           # 8f3
        | (?= [0-9A-Za-z]{6} ) (?: [0-9]+ [A-Za-z]+ [0-9]+ [A-Za-z] | [A-Za-z]+ [0-9]+ [A-Za-z]+ [0-9] )  # x7k9p2, dQw4w9WgXcQ
        | (?= [0-9A-Za-z]{10} ) (?: [0-9]+ [A-Za-z]+ [0-9] | [A-Za-z]+ [0-9]+ [A-Za-z] )                  # NffrFeUfNV2Hib
      )
    """,
    re.VERBOSE,
)


def path_template(path: str) -> str:
    """The path of a URL or of a page, without query and fragment, with `:id` for each segment that names one thing among many.

    A label must not carry what a visitor typed, nor have as many values as there are recipes. Ids are told by their looks: numbers,
    dates, UUIDs, ULIDs, hexadecimal from six digits on, what mixes letters and digits as no word does (base64, nanoid), slugs with a
    number of five digits or one of these in them, addresses with an `@`. Words stay, with a small number too: `step-2`, `top-10-soups`,
    `v1`, `b2b`. `path_template(path_template(p)) == path_template(p)`.
    """
    if "?" in path or "#" in path:
        path = path.split("?", 1)[0].split("#", 1)[0]
    return _template(path)


@lru_cache(maxsize=2_048)  # a site has few routes; what has an id of its own is worked out in 2 to 4 us
def _template(path: str) -> str:
    if "://" in path and (origin := _ORIGIN.match(path)) is not None:
        path = path[origin.end() :]
    if _MAY_HAVE_ID.search(path) is not None:
        path = "/".join([":id" if _is_id(segment) else segment for segment in path.split("/")])
    return path or "/"


def _is_id(segment: str) -> bool:
    return _MAY_HAVE_ID.search(segment) is not None and segment[:1] != ":" and _ID.search(segment) is not None
