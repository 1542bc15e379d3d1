"""`python -m pipeline.clickhouse.typed_view_files`: writes the views that are made from the schemas into `sql/typed_views`, to be read.

`telemetry migrate` makes them anew from the schemas and needs no file; `--check` says which are not fresh.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from pipeline.clickhouse.typed_views import generated_views
from schemas.generate import run

FOLDER: Final = Path(__file__).parents[2] / "sql" / "typed_views"


def documents() -> dict[str, str]:
    """File name → the statement of the view it is named after."""
    return {f"{name}.sql": f"{statement};\n" for name, statement in generated_views().items()}


if __name__ == "__main__":
    sys.exit(run("pipeline.clickhouse.typed_view_files", documents, FOLDER, sys.argv[1:]))
