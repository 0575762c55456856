"""The first rank of a group: starts the others, leads them through slices, and notices a loss.

A group that has lost a rank makes nothing more. What runs fails as a lost model server, whose
client then has Triton load the model anew: a new process with a new group.
"""

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from dataclasses import replace
from multiprocessing.connection import wait
from typing import NamedTuple

from telecine.backend.denoising import Denoising, DenoisingConfig, Slice
from telecine.backend.devices import choose_device, wait_for
from telecine.backend.rank_link import RankLink, RankPlace, Word, join_group
from telecine.engine.denoise import StepOutput
from telecine.engine.families import load_family
from telecine.engine.parallel.layout import require_layout
from telecine.engine.state import DenoiseState
from telecine.errors import ModelServerUnavailableError, TelecineError
from telecine.free_ports import LOCAL_HOST

_REASON_SECONDS = 1.0
_STUCK_SECONDS = 10.0


class _Rank(NamedTuple):
    """One of the others."""

    number: int
    process: subprocess.Popen[bytes]
    link: RankLink

    def receive(self) -> None:
        """Wait until it says that it is as far as it should be."""
        try:
            self.link.receive()
        except EOFError:
            code = self.process.wait()
            raise ConnectionError(f"rank {self.number} has ended with {code}") from None


class RankGroup:
    """Ranks on this machine, this process being the first.

    Between its making and `await_ready` this process makes its own `Denoising`, as the others
    do then.

    Raises:
        ValueError: the model cannot be laid out so, or there are too few GPUs.
        ConnectionError: a rank has ended at its start.
    """

    def __init__(self, config: DenoisingConfig) -> None:
        plan = load_family(config.weights).parallel_plan
        require_layout(plan, config.parallel, weights_mode=config.weights_mode)
        self._config = config
        self._lost = ""
        self._is_lost = threading.Event()
        self._is_closing = self._is_in_slice = False
        choose_device(config.parallel.num_ranks - 1)  # the last rank has one too
        self._ranks = [_start(number) for number in range(1, config.parallel.num_ranks)]
        self._meet()

    def await_ready(self) -> None:
        """Return when every rank holds its part of the denoiser.

        Raises:
            ConnectionError: one has ended instead.
        """
        for rank in self._ranks:
            rank.receive()
            rank.link.socket.settimeout(self._config.rank_timeout_seconds)
        threading.Thread(target=self._watch, name="ranks", daemon=True).start()

    def steps(
        self, denoising: Denoising, asked: Slice, state: DenoiseState
    ) -> Generator[StepOutput, None, None]:
        """Run a slice as `Denoising.steps` does, on all ranks.

        No rank begins a step before this generator is asked for it, so that none is more than
        a step behind one that is closed.

        Raises:
            ModelServerUnavailableError: a rank is lost.
        """
        steps = contextlib.closing(denoising.steps(asked, state))
        with self._failing_as_loss(), self._telling(asked.told(state)), steps as own_steps:
            while True:
                self._tell(Word.STEP)
                step = next(own_steps, None)
                if step is None:
                    return
                # Here, so that a rank that is lost in the middle of a step is known to be.
                wait_for(denoising.device)
                yield step

    def close(self) -> None:
        """End the other ranks, which keep nothing between slices."""
        self._is_closing = True
        self._kill()

    def _meet(self) -> None:
        listener = socket.create_server((LOCAL_HOST, 0))
        first = RankPlace(0, listener.getsockname()[1], self._config)
        for rank in self._ranks:
            rank.receive()
            rank.link.send(replace(first, rank=rank.number))
        join_group(first, choose_device(), listener=listener.detach())

    @contextlib.contextmanager
    def _telling(self, asked: Slice) -> Iterator[None]:
        """Tell the others of a slice and, at last, of its end."""
        self._is_in_slice = True
        try:
            self._tell(asked)
            yield
        finally:
            self._is_in_slice = False
            with contextlib.suppress(OSError):
                self._tell(Word.STOP)

    def _tell(self, message: object) -> None:
        if self._is_lost.is_set():
            raise ConnectionError(self._lost)
        for rank in self._ranks:
            rank.link.send(message)

    @contextlib.contextmanager
    def _failing_as_loss(self) -> Iterator[None]:
        """Let pass what is wrong with a request; after any other error no rank is where it was."""
        try:
            yield
        except (ValueError, TelecineError):
            raise
        except Exception as error:
            # An error of the transport comes a moment before the reason for it is known.
            self._is_lost.wait(_REASON_SECONDS)
            self._lose(str(error))
            raise ModelServerUnavailableError(self._lost) from error

    def _watch(self) -> None:
        """Wait for the end of any rank, which never says anything while it runs, or of Triton.

        Triton's Python backend notices the latter between two requests alone.
        """
        server = os.pidfd_open(os.getppid())
        ended = wait([server, *(rank.link.socket for rank in self._ranks)])
        if server in ended:
            os._exit(1)
        if self._is_closing:
            return
        first = next(rank for rank in self._ranks if rank.link.socket in ended)
        self._lose(f"rank {first.number} has ended with {first.process.wait()}")
        # A GPU waits for ever for a rank that is gone. Then this process is lost as well.
        timer = threading.Timer(_STUCK_SECONDS, self._end_if_stuck)
        timer.daemon = True
        timer.start()

    def _end_if_stuck(self) -> None:
        if self._is_in_slice:
            os._exit(1)

    def _lose(self, reason: str) -> None:
        if not self._is_lost.is_set():
            self._lost = f"lost a rank: {reason}"
            self._is_lost.set()
        self._kill()

    def _kill(self) -> None:
        for rank in self._ranks:
            rank.process.kill()
            rank.process.wait()


def _start(number: int) -> _Rank:
    """In this process's own group, so that whoever ends that ends the rank."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "telecine.backend.rank_process", str(os.getpid())],
            stdin=theirs.fileno(),
        )
    return _Rank(number, process, RankLink(ours))
