"""Processes that outlived their `telecine up`, after a kill -9 of it, say."""

import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

STOP_SECONDS = 5.0
# The start time's place in /proc/PID/stat, counted after the command's closing bracket.
START_TIME_FIELD = 19


def note_processes(path: Path, process_ids: Mapping[str, int]) -> None:
    """Write down which processes run; a start time tells a process from a later one of its id."""
    noted = {
        name: [process_id, start_time]
        for name, process_id in process_ids.items()
        if (start_time := _start_time(process_id)) is not None
    }
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(noted, indent=2))
    fresh.replace(path)


def end_orphans(path: Path) -> list[str]:
    """End the noted processes that still run, each with its process group; return their names."""
    noted = json.loads(path.read_text()) if path.exists() else {}
    alive = {name: pid for name, (pid, start) in noted.items() if _start_time(pid) == start}
    _signal_groups(alive, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline and any(map(_is_alive, alive.values())):
        time.sleep(0.05)
    _signal_groups(alive, signal.SIGKILL)
    path.unlink(missing_ok=True)
    return list(alive)


def _signal_groups(processes: Mapping[str, int], number: signal.Signals) -> None:
    for process_id in processes.values():
        try:
            os.killpg(process_id, number)
        except ProcessLookupError:
            continue


def _is_alive(process_id: int) -> bool:
    return _start_time(process_id) is not None


def _start_time(process_id: int) -> int | None:
    try:
        stat = Path(f"/proc/{process_id}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *values = stat.rpartition(")")[2].split()
    return None if state == "Z" else int(values[START_TIME_FIELD - 1])
