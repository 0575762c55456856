import socket
from pathlib import Path

import pytest

from telecine.free_ports import free_port, free_ports


def test_ports_differ_and_can_be_listened_on() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    for port in ports:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
            listener.listen()


def test_no_outgoing_connection_is_given_such_a_port() -> None:
    first, _ = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    assert all(1024 < port < int(first) for port in free_ports(20))


def test_where_all_are_taken_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))
        listener.listen()
        taken: int = listener.getsockname()[1]
        monkeypatch.setattr("telecine.free_ports._FIRST", taken)
        monkeypatch.setattr("telecine.free_ports._END", taken + 1)
        monkeypatch.setattr("telecine.free_ports._MAX_TRIES", 1)
        with pytest.raises(OSError, match="taken"):
            free_port()
