"""Where the SQL of the project is: beside the packages in a checkout, inside them once installed."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pipeline
from pipeline.runtime.errors import Stop

_PACKAGE: Final = Path(pipeline.__file__).parent


def sql_folder(name: str) -> Path:
    """The folder `migrations`, `views` or `queries`. Raises Stop when the installation has lost it."""
    for parent in (_PACKAGE / "_assets" / "sql", _PACKAGE.parent / "sql"):
        if (folder := parent / name).is_dir():
            return folder
    raise Stop(f"the folder sql/{name} is missing from this installation; install it again")


def read_folder(folder: Path) -> dict[str, str]:
    """File name without `.sql` → text without the final semicolon, in the order of the names. One statement a file."""
    return {path.stem: path.read_text("utf-8").strip().removesuffix(";") for path in sorted(folder.glob("*.sql"))}
