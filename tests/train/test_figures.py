"""Figures of another run stay where they are."""

import json
from pathlib import Path

from train.figures import add_figures


def test_figures_of_other_metrics_stay_and_those_of_the_same_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "sound.json"
    add_figures(path, [{"metric": "joint: timbre", "value": 1}, {"metric": "gap", "value": 2}])
    add_figures(path, [{"metric": "gap", "value": 3}])
    add_figures(path, [{"metric": "onsets", "value": 4}])
    found = {figure["metric"]: figure["value"] for figure in json.loads(path.read_text())}
    assert found == {"joint: timbre": 1, "gap": 3, "onsets": 4}
