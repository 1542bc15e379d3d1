"""What the oracle found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

#: Of each law so many differences are printed; the report has them all.
_SHOWN: Final = 12


@dataclass(frozen=True, slots=True)
class Report:
    """`differences` begin with the name of their law, L0 to L7; none means that every law held. `counters` say what the run was like."""

    differences: tuple[str, ...]
    counters: dict[str, int]

    @property
    def ok(self) -> bool:
        return not self.differences

    def __str__(self) -> str:
        width = max(map(len, self.counters), default=0)
        lines = [f"  {name:<{width}}  {number:>9,}" for name, number in self.counters.items()]
        return "\n".join([self._verdict(), *self._shown(), *lines])

    def _verdict(self) -> str:
        laws = Counter(line.split(" ", 1)[0] for line in self.differences)
        by_law = ", ".join(f"{law} {count:,}" for law, count in sorted(laws.items()))
        return f"{len(self.differences):,} differences ({by_law})" if self.differences else "no difference: every law held"

    def _shown(self) -> list[str]:
        shown, seen = [], Counter[str]()
        for line in self.differences:
            seen[line.split(" ", 1)[0]] += 1
            if seen[line.split(" ", 1)[0]] <= _SHOWN:
                shown.append(f"  {line}")
        return shown + [f"  {law} … and {count - _SHOWN:,} more" for law, count in sorted(seen.items()) if count > _SHOWN]
