"""`telecine up`: everything on one machine, across restarts and crashes."""

import json
import os
import signal
import stat
import time
from pathlib import Path

import av
import pytest

from telecine.client import Client, UnauthenticatedError

from .conftest import StartUp, assert_nothing_is_left, regions_of, telecine


def test_videos_and_ports_outlive_a_restart(start_up: StartUp, tmp_path: Path) -> None:
    data = ("--data-dir", tmp_path / "data")
    first = start_up()
    first.wait_until_up()
    made = telecine(
        "generate", "a red circle moves left", "--steps", "4", *data, "-o", tmp_path / "out.mp4"
    )
    assert made.returncode == 0, made.stderr
    assert "no server" not in made.stderr
    assert made.stdout.splitlines()[-1] == str(tmp_path / "out.mp4")
    with av.open(tmp_path / "out.mp4") as container:
        assert len(list(container.decode(video=0))) == 33
    assert stat.S_IMODE((tmp_path / "data" / "api.key").stat().st_mode) == 0o600
    stranger = Client(first.address("gateway"), api_key="")
    with stranger, pytest.raises(UnauthenticatedError):
        list(stranger.list_videos())
    refused = start_up()
    assert refused.process.wait(30) == 1
    assert first.signal(signal.SIGINT) == 0
    assert_nothing_is_left(tmp_path / "data")
    assert regions_of({first.process.pid}) == []

    second = start_up()
    second.wait_until_up()
    assert second.address("gateway") == first.address("gateway")
    listed = json.loads(telecine("list", "--json", *data).stdout)
    again = telecine("download", listed["name"], "-o", tmp_path / "again.mp4", *data)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "again.mp4").read_bytes() == (tmp_path / "out.mp4").read_bytes()
    assert second.signal(signal.SIGTERM) == 0
    assert_nothing_is_left(tmp_path / "data")


def test_what_a_crash_leaves_behind_is_cleared_away(start_up: StartUp, tmp_path: Path) -> None:
    crashed = start_up()
    crashed.wait_until_up()
    assert crashed.signal(signal.SIGKILL) == -signal.SIGKILL
    processes = json.loads((tmp_path / "data" / "processes.json").read_text())
    assert set(processes) == {"worker", "gateway", "triton", "redis"}
    after = start_up()
    after.wait_until_up()
    assert after.told.count("left behind") == 4
    assert after.address("gateway") == crashed.address("gateway")
    assert after.signal(signal.SIGTERM) == 0
    assert_nothing_is_left(tmp_path / "data")
    assert regions_of({crashed.process.pid, after.process.pid}) == []


def test_a_part_that_dies_is_started_again(start_up: StartUp, tmp_path: Path) -> None:
    up = start_up()
    up.wait_until_up()
    processes = json.loads((tmp_path / "data" / "processes.json").read_text())
    for name in ("triton", "worker", "redis", "gateway"):
        os.kill(processes[name][0], signal.SIGKILL)
    server = ("--server", up.address("gateway"), "--data-dir", tmp_path / "data")
    deadline = time.monotonic() + 60
    while telecine("list", *server).returncode != 0:
        assert time.monotonic() < deadline
    made = telecine("generate", "a red circle", "--steps", "2", *server, "-o", tmp_path / "out.mp4")
    assert made.returncode == 0, made.stderr
    assert up.signal(signal.SIGTERM) == 0
    assert_nothing_is_left(tmp_path / "data")
    assert regions_of({up.process.pid}) == []


def test_a_stop_during_the_start_leaves_nothing(start_up: StartUp, tmp_path: Path) -> None:
    up = start_up()
    while not (tmp_path / "data" / "processes.json").exists():
        assert up.process.poll() is None
    assert up.signal(signal.SIGINT) == 0
    assert_nothing_is_left(tmp_path / "data")
    assert regions_of({up.process.pid}) == []
