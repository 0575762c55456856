"""A benchmark's figures: a table for people, a JSON file for everything else."""

import json
import os
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "benchmarks"


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Attributes:
        metric: what was measured, with its unit.
        value: the median.
        goal: what it should reach; None for a figure that only informs.
        better: which way is better.
        spread: lowest and highest of the repeats.
        conditions: how it was measured: sizes, steps, threads, repeats.
    """

    metric: str
    value: float
    goal: float | None
    better: Literal["lower", "higher"]
    spread: tuple[float, float]
    conditions: str

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        if self.goal is None:
            return None
        return self.value <= self.goal if self.better == "lower" else self.value >= self.goal


def figure(
    metric: str,
    samples: Sequence[float],
    *,
    goal: float | None = None,
    better: Literal["lower", "higher"] = "lower",
    conditions: str = "",
) -> Figure:
    """Returns the median of `samples` with its spread."""
    return Figure(
        metric=metric,
        value=statistics.median(samples),
        goal=goal,
        better=better,
        spread=(min(samples), max(samples)),
        conditions=conditions,
    )


def write_report(name: str, rows: Sequence[Figure]) -> Path:
    """Prints the table and writes docs/benchmarks/NAME.json, whose path it returns."""
    print_table(name, rows)
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.json"
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    date = time.strftime("%Y-%m-%d", time.gmtime())
    figures = [
        {**asdict(row), "conditions": f"{row.conditions}; {machine}; {date}".lstrip("; ")}
        for row in rows
    ]
    path.write_text(json.dumps(figures, indent=2) + "\n")
    return path


def print_table(name: str, rows: Sequence[Figure]) -> None:
    """Prints the figures with their goals."""
    table = Table("metric", "median", "lowest to highest", "goal", "", title=name)
    signs = {"lower": "<=", "higher": ">="}
    marks = {True: "met", False: "MISSED", None: ""}
    for row in rows:
        goal = "" if row.goal is None else f"{signs[row.better]} {row.goal:g}"
        low, high = row.spread
        table.add_row(
            row.metric, f"{row.value:.4g}", f"{low:.4g} to {high:.4g}", goal, marks[row.is_met]
        )
    Console().print(table)
