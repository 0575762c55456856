"""A rank other than the first: takes the leader's slices and steps through them with it.

python -m telecine.backend.rank_process LEADER_PROCESS_ID, its standard input a socket to the
leader; see `telecine.backend.rank_link`.
"""

import ctypes
import os
import signal
import socket
import sys

from telecine.backend.denoising import Denoising, Slice
from telecine.backend.devices import choose_device
from telecine.backend.rank_link import RankLink, RankPlace, Word, join_group
from telecine.errors import TelecineError

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve the leader until it is gone, or has no more slices."""
    end_with_parent(int(sys.argv[1]))
    leader = RankLink(socket.socket(fileno=os.dup(sys.stdin.fileno())))
    try:
        leader.send(Word.HERE)
        place: RankPlace = leader.receive()
        denoising = _take_place(place)
        leader.send(Word.READY)
        while True:
            follow(leader, leader.receive(), denoising, rank=place.rank)
    except (EOFError, BrokenPipeError):
        return


def end_with_parent(parent: int) -> None:
    """Have the kernel end this process when its parent ends, however it does."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was quicker
        sys.exit(1)


def _take_place(place: RankPlace) -> Denoising:
    device = choose_device(place.rank)
    join_group(place, device)
    return Denoising(place.config, device)


def follow(leader: RankLink, asked: Slice, denoising: Denoising, *, rank: int) -> None:
    """Take the steps of one slice when the leader does; their results are the leader's to tell.

    What is wrong with a slice is wrong on every rank, and the leader reports it. Any other
    error ends this process, which the leader notices.
    """
    asked = asked.on(denoising.device)
    steps = denoising.steps(asked, denoising.start(asked))
    num_steps = 0
    while leader.receive() is Word.STEP:
        try:
            num_steps += next(steps, None) is not None
        except (ValueError, TelecineError) as error:
            sys.stderr.write(f"rank {rank}: {error}\n")
    steps.close()
    sys.stderr.write(f"rank {rank}: slice ended after {num_steps} steps\n")


if __name__ == "__main__":
    main()
