"""A fuzzer of HTTP APIs finds that the gateway keeps to its document."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

SETTINGS = Path(__file__).with_name("schemathesis.toml")


@pytest.mark.slow
async def test_answers_keep_to_the_document_whatever_is_sent(gateway: Any, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", SETTINGS),
        *("run", f"{gateway.http_url}/openapi.json"),
        *("--max-examples", "5", "--workers", "1", "--generation-deterministic"),
        *("--phases", "examples,coverage,fuzzing,stateful"),
        # What follows a video that waits does not end.
        *("--exclude-path-regex", "/(events|live)$"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await process.communicate()
    assert process.returncode == 0, told.decode()[-8000:]
    assert b"Tested: 23" in told
