import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from telecine.local.data_folder import AlreadyRunningError, DataFolder

HOLD_THE_LOCK = """
import signal, sys
from pathlib import Path
from telecine.local.data_folder import DataFolder
with DataFolder(Path(sys.argv[1])).locked():
    print("locked", flush=True)
    signal.pause()
"""


def test_ports_are_the_same_the_next_time(tmp_path: Path) -> None:
    ports = DataFolder(tmp_path).choose_ports()
    assert DataFolder(tmp_path).choose_ports() == ports


def test_only_a_port_that_is_taken_changes(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    ports = folder.choose_ports()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", ports.redis))
        listener.listen()
        changed = folder.choose_ports()
    assert changed.redis != ports.redis
    assert (changed.gateway, changed.triton_grpc) == (ports.gateway, ports.triton_grpc)


def test_a_gateway_port_that_was_asked_for_and_is_taken_is_an_error(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(OSError, match=f"port {port}: .*in use"):
            DataFolder(tmp_path).choose_ports(port)


def test_a_gateway_port_that_was_asked_for_is_kept(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    port = folder.choose_ports().redis
    other = DataFolder(tmp_path / "other")
    other.root.mkdir()
    assert other.choose_ports(port).gateway == port
    assert other.choose_ports().gateway == port


def test_a_folder_is_locked_until_its_holder_dies(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_LOCK, tmp_path], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    with pytest.raises(AlreadyRunningError), DataFolder(tmp_path).locked():
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    with DataFolder(tmp_path).locked():
        pass
