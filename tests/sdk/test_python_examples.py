"""The Python examples, run as they are against a running service."""

import re
import sys
from pathlib import Path

import pytest
from sdk_service import Service, run_program

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.mark.parametrize(
    ("example", "told"),
    [
        ("make_and_download", r"out\.mp4: 1000 bytes, seed \d+"),
        ("live_progress", r"(?s)STATE_QUEUED.*step 20 of 20, 0\.0 s left\n.*STATE_SUCCEEDED"),
        ("many_videos", r"(STATE_SUCCEEDED \S+/\d+\.mp4\n){3}"),
    ],
)
async def test_examples_run(service: Service, tmp_path: Path, example: str, told: str) -> None:
    arguments = {
        "make_and_download": ("a red circle", "out.mp4"),
        "live_progress": (),
        "many_videos": ("3", str(tmp_path)),
    }
    script = EXAMPLES / f"{example}.py"
    code, output = await run_program(
        *(sys.executable, script, *arguments[example]), cwd=tmp_path, **service.environment
    )
    assert code == 0, output
    assert re.search(told, output), output
