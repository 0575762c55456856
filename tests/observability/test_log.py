"""Log lines are JSON objects with the Elastic Common Schema's names."""

import json
import subprocess
import sys

PROGRAM = """
import structlog
from telecine.observability.log import configure_logging
configure_logging(service="gateway", level="warning")
log = structlog.get_logger("telecine.api")
log.info("too quiet to be heard")
try:
    raise ValueError("why")
except ValueError as error:
    log.error("call failed", exc_info=error, **{"event.id": "1f"})
"""


def test_line_has_its_fields_and_the_traceback() -> None:
    # In a process of its own: the configuration of structlog is the process's.
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    (line,) = ended.stderr.splitlines()
    entry = json.loads(line)
    assert entry["message"] == "call failed"
    assert entry["log.level"] == "error"
    assert entry["service.name"] == "telecine-gateway"
    assert entry["event.id"] == "1f"
    assert "ValueError: why" in entry["error.stack_trace"]
    assert entry["@timestamp"].endswith("Z")
    assert ended.stdout == ""
