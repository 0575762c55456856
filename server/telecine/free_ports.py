"""Ports on this machine for servers that are started, killed and started again."""

import random
import socket
from contextlib import ExitStack

LOCAL_HOST = "127.0.0.1"
_FIRST, _END = 20_000, 32_768
_MAX_TRIES = 200


def free_ports(count: int) -> list[int]:
    """Return ports on which nobody listens now.

    They lie below those that the kernel gives to outgoing connections: one of these may
    otherwise take a server's port before it listens, or while it is being restarted.

    Raises:
        OSError: nearly all are taken.
    """
    with ExitStack() as stack:
        return [stack.enter_context(_listen_anywhere()).getsockname()[1] for _ in range(count)]


def free_port() -> int:
    """Return one of the ports of `free_ports`."""
    return free_ports(1)[0]


def _listen_anywhere() -> socket.socket:
    for port in random.sample(range(_FIRST, _END), _MAX_TRIES):
        candidate = socket.socket()
        try:
            candidate.bind((LOCAL_HOST, port))
        except OSError:
            candidate.close()
        else:
            return candidate
    raise OSError(f"{_MAX_TRIES} ports of this machine are taken")
