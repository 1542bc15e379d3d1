"""Retention with pandas, from instants and users alone: what the views are compared with."""

from __future__ import annotations

from datetime import date
from typing import Any

import pandas as pd


def visits(users: list[str], instants: list[Any], zone: str) -> pd.DataFrame:
    """One row per user and day of `zone`: user, day, cohort_day, day_n."""
    frame = pd.DataFrame({"user": users, "at": pd.to_datetime(pd.Series(instants), utc=True)})
    frame["day"] = frame["at"].dt.tz_convert(zone).dt.tz_localize(None).dt.normalize()
    frame = frame[["user", "day"]].drop_duplicates()
    frame["cohort_day"] = frame.groupby("user")["day"].transform("min")
    frame["day_n"] = (frame["day"] - frame["cohort_day"]).dt.days
    return frame


def retention(frame: pd.DataFrame) -> dict[tuple[date, int], tuple[int, int]]:
    """(cohort_day, n) → (cohort_size, retained), n from 0 to 30, zeros included."""
    grid = frame.pivot_table(index="cohort_day", columns="day_n", values="user", aggfunc="count", fill_value=0)
    grid = grid.reindex(columns=range(31), fill_value=0)
    return {(day.date(), n): (int(row[0]), int(row[n])) for day, row in grid.iterrows() for n in range(31)}


def retention_within(frame: pd.DataFrame) -> dict[tuple[date, int], tuple[int, int]]:
    """(cohort_day, n) → (cohort_size, retained), n from 1 to 30, zeros included."""
    sizes = frame[frame["day_n"] == 0].groupby("cohort_day")["user"].count()
    returned = frame[frame["day_n"] > 0].groupby(["cohort_day", "user"])["day_n"].min().reset_index()
    cells: dict[tuple[date, int], tuple[int, int]] = {}
    for n in range(1, 31):
        counts = returned[returned["day_n"] <= n].groupby("cohort_day")["user"].count().reindex(sizes.index, fill_value=0)
        cells |= {(day.date(), n): (int(sizes[day]), int(counts[day])) for day in sizes.index}
    return cells


def share(cells: dict[tuple[date, int], tuple[int, int]], n: int) -> float:
    """Of all cohorts together."""
    sizes, retained = zip(*(cell for (_, day_n), cell in cells.items() if day_n == n), strict=True)
    return float(sum(retained) / sum(sizes))
