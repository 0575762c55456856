"""What the leader of a group of ranks and the others tell each other, and how they meet.

Each rank's standard input is a socket to its leader: pickled messages, in order. It is theirs
alone, unlike a port. When either end is gone, the other one reads the end of the stream.
"""

import enum
import pickle
import socket
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import distributed

from telecine.backend.denoising import DenoisingConfig
from telecine.free_ports import LOCAL_HOST


class Word(enum.Enum):
    """What is said beside slices."""

    HERE = "a rank runs and can be given its place"
    READY = "a rank has its part of the denoiser"
    STEP = "every rank takes the slice's next step now"
    STOP = "no more steps of this slice"


@dataclass(frozen=True)
class RankPlace:
    """A rank's place in its group."""

    rank: int
    port: int
    """Where the leader's store listens, on this machine alone."""
    config: DenoisingConfig


class RankLink:
    """One end of the socket between leader and rank."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self._reader = end.makefile("rb")

    def send(self, message: object) -> None:
        """Send a message.

        Raises:
            OSError: the other end is gone, or takes no more for as long as the socket's time-out.
        """
        self.socket.sendall(pickle.dumps(message))

    def receive(self) -> Any:
        """Wait for the other end's next message.

        Raises:
            EOFError: the other end is gone.
        """
        try:
            return pickle.load(self._reader)
        except (ConnectionError, pickle.UnpicklingError) as error:
            raise EOFError(str(error)) from error

    def close(self) -> None:
        """End the stream for both."""
        self._reader.close()
        self.socket.close()


def join_group(place: RankPlace, device: torch.device, *, listener: int | None = None) -> None:
    """Initialise torch.distributed; returns when every rank has.

    The first rank gives a `listener`, the descriptor of a socket that listens at `place.port`:
    one that the store made itself would listen to the whole network.
    """
    timeout = timedelta(seconds=place.config.rank_timeout_seconds)
    num_ranks = place.config.parallel.num_ranks
    store = distributed.TCPStore(  # type: ignore[attr-defined]
        LOCAL_HOST,
        place.port,
        num_ranks,
        is_master=listener is not None,
        timeout=timeout,
        wait_for_workers=False,
        master_listen_fd=listener,
    )
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        store=store,
        rank=place.rank,
        world_size=num_ranks,
        timeout=timeout,
        device_id=device if device.type == "cuda" else None,
    )
