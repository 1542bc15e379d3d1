"""What a rule's condition can speak of: the seed's names, what each is measured from, and in which unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from schemas.alert import Unit
from schemas.metrics import METRICS, Metric

QuantityKind = Literal["error_ratio", "mean", "flush_age"]


@dataclass(frozen=True, slots=True)
class Quantity:
    """`error_ratio`: failed events over all; `mean`: sum over count; both over a window of panes of `metric`.

    `flush_age`: how long ago the partition that has been silent longest last flushed; it is about the pipeline, so it has no metric.
    """

    name: str
    kind: QuantityKind
    unit: Unit
    metric: Metric | None
    view: str = ""
    value_column: str = ""


_MENUS: Final = METRICS["menu_generation"]

QUANTITIES: Final[dict[str, Quantity]] = {
    quantity.name: quantity
    for quantity in (
        Quantity("error_rate", "error_ratio", "ratio", _MENUS, "menu_generated"),
        Quantity("avg_time", "mean", "ms", _MENUS, "menu_generated", "generation_time_ms"),
        Quantity("flush_age", "flush_age", "ms", None),
    )
}
