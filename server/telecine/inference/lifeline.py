"""Tells a client whether the model's process that works on its request is alive.

Triton keeps a stream open for ever when the model's process behind it dies. So the process
holds a lock on a file of the client's in shared memory while it works on a request: the kernel
lets go of the lock when the process ends, however it ends.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from telecine.inference.shared_memory import SHARED_MEMORY_FOLDER
from telecine.inference.shared_region import SharedRegion, client_region

PARAMETER = "lifeline"
"""The request's parameter that names the file."""
_LOCK_ATTEMPTS = 100
_LOCK_PAUSE_SECONDS = 0.001


class Lifeline:
    """The client's end; a context manager that removes the file."""

    def __init__(self) -> None:
        # A region that is mapped counts as in use, so that nobody tidies it away.
        self._region = SharedRegion.create(os.sysconf("SC_PAGE_SIZE"))
        self._descriptor = os.open(SHARED_MEMORY_FOLDER / self.name, os.O_RDONLY)
        self._was_held = False

    @property
    def name(self) -> str:
        """What the model's process finds the file by."""
        return self._region.name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
        self._region.close()

    def is_cut(self) -> bool:
        """Whether a process has held on to it and does so no more: it is done, or dead."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            self._was_held = True
            return False
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        return self._was_held


@contextmanager
def held(parameters: str) -> Iterator[None]:
    """Hold on to a request's lifeline while the body runs, in the model's process.

    Args:
        parameters: the request's parameters as Triton has them, JSON. One that names no
            lifeline, or one that cannot be held, is served all the same.
    """
    named: Any = json.loads(parameters or "{}").get(PARAMETER)
    descriptor = _open(str(named)) if named else None
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)  # lets go of the lock


def _open(name: str) -> int | None:
    """Open and lock the file; None where there is none, or its client does not let us."""
    try:
        descriptor = os.open(SHARED_MEMORY_FOLDER / client_region(name), os.O_RDONLY)
    except (OSError, ValueError):
        return None
    for _ in range(_LOCK_ATTEMPTS):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # the client looks at this very moment
            time.sleep(_LOCK_PAUSE_SECONDS)
        else:
            return descriptor
    os.close(descriptor)
    return None
