"""What a judging script writes into docs/benchmarks when it judges some of its cases alone."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Figure = dict[str, Any]


def add_figures(path: Path, figures: Sequence[Figure]) -> None:
    """Write figures behind the others of a file; those of the same metrics are replaced."""
    new = {figure["metric"] for figure in figures}
    others: list[Figure] = json.loads(path.read_text()) if path.exists() else []
    kept = [figure for figure in others if figure["metric"] not in new]
    path.write_text(json.dumps([*kept, *figures], indent=2) + "\n")
