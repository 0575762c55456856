"""Writes docs/performance.md from the figures in docs/benchmarks.

python scripts/bench/page.py [--check]

The first line of a benchmark's docstring stands over its figures.
"""

import argparse
import ast
import json
from pathlib import Path
from typing import Any

from report import FOLDER

BENCHMARKS = Path(__file__).parent
PAGE = FOLDER.parent / "performance.md"
INTRODUCTION = """# Performance

Every figure here was measured by a script of this repository and stands in `docs/benchmarks/`; this
page is written from there by `scripts/bench/page.py`. A ratio compares two sides in the same run.
Figures that miss their goal are shown like the others. Each run has its date with its conditions:
code that has changed since may give others.
"""
# Other figures than a benchmark's: what wrote them.
_OTHER_SCRIPTS = {
    "families_avx2": "bench/families.py",
    "toybox": "evaluate.py",
    "toybox_settings": "evaluate_settings.py",
    "toybox_world": "evaluate_world.py",
    "minutes": "evaluate_minutes.py",
    "audio_vae": "evaluate_audio_vae.py",
    "sound": "evaluate.py",
}


def main() -> None:
    """Reads the command line; writes the page, or checks that it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail where the page is out of date")
    options = parser.parse_args()
    text = write_page()
    if options.check and PAGE.read_text() != text:
        parser.error(f"{PAGE.name} is out of date: run scripts/bench/page.py")
    PAGE.write_text(text)


def write_page() -> str:
    """Returns the page."""
    sections = [_section(path) for path in sorted(FOLDER.glob("*.json"))]
    return "\n".join([INTRODUCTION, *sections])


def _section(path: Path) -> str:
    script = BENCHMARKS / f"{path.stem}.py"
    if path.stem in _OTHER_SCRIPTS:
        script = BENCHMARKS.parent / _OTHER_SCRIPTS[path.stem]
    summary = (ast.get_docstring(ast.parse(script.read_text())) or "").partition("\n\n")[0]
    figures = json.loads(path.read_text())
    lines = [f"## {path.stem}", "", " ".join(summary.split()), ""]
    lines += [
        "| what | median | lowest to highest | goal | |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    lines += [_row(figure) for figure in figures]
    conditions = dict.fromkeys(figure["conditions"] for figure in figures)
    lines += ["", *(f"- {condition}" for condition in conditions), ""]
    return "\n".join(lines)


def _row(figure: dict[str, Any]) -> str:
    value, goal = figure["value"], figure["goal"]
    spread = figure["spread"]
    # An accuracy's spread is its standard error.
    spread = (
        f"± {spread:.2g}" if isinstance(spread, float) else f"{spread[0]:.3g} to {spread[1]:.3g}"
    )
    sign = "≤" if figure["better"] == "lower" else "≥"
    is_met = goal is None or (value <= goal if figure["better"] == "lower" else value >= goal)
    told = "" if goal is None else f"{sign} {goal:g}"
    mark = "" if goal is None else "met" if is_met else "**missed**"
    return f"| {figure['metric']} | {value:.4g} | {spread} | {told} | {mark} |"


if __name__ == "__main__":
    main()
