"""Named memory that this process and Triton's processes both map."""

import contextlib
import mmap
import os
import secrets
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from telecine.inference.shared_memory import CLIENT_PREFIX, SHARED_MEMORY_FOLDER


class SharedRegion:
    """A region of /dev/shm; a context manager that closes it, and unlinks it if it made it.

    Pages take memory only once they are written, so a region may well be larger than
    what will lie in it.
    """

    def __init__(self, name: str, descriptor: int, *, is_owner: bool) -> None:
        self.name = name
        self.is_owner = is_owner
        try:
            self.memory = mmap.mmap(descriptor, 0)
        finally:
            os.close(descriptor)

    @classmethod
    def create(cls, num_bytes: int) -> Self:
        """Make a region under a name of its own."""
        name = f"{CLIENT_PREFIX}{os.getpid()}_{secrets.token_hex(8)}"
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR
        descriptor = os.open(SHARED_MEMORY_FOLDER / name, flags, 0o600)
        os.ftruncate(descriptor, num_bytes)
        return cls(name, descriptor, is_owner=True)

    @classmethod
    def attach(cls, name: str) -> Self:
        """Open a region that a client made.

        Raises:
            ValueError: the name is not a client's.
            FileNotFoundError: there is no such region.
        """
        path = SHARED_MEMORY_FOLDER / client_region(name)
        return cls(name, os.open(path, os.O_RDWR), is_owner=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def num_bytes(self) -> int:
        """The region's whole size."""
        return len(self.memory)

    def bytes_at(self, offset: int, num_bytes: int) -> NDArray[np.uint8]:
        """View a part of the region; valid until `close`."""
        return np.frombuffer(self.memory, np.uint8, num_bytes, offset)

    def close(self) -> None:
        """Unmap the region; its maker removes its name too."""
        if self.is_owner:
            (SHARED_MEMORY_FOLDER / self.name).unlink(missing_ok=True)
        # A view that still lives keeps the mapping until it goes.
        with contextlib.suppress(BufferError):
            self.memory.close()


def client_region(name: str) -> str:
    """Return `name` if it is that of a region of a Telecine client.

    Raises:
        ValueError: it is not, or could lead out of shared memory.
    """
    if not name.startswith(CLIENT_PREFIX) or Path(name).name != name:
        raise ValueError(f"ring: {name!r} is not a region of a Telecine client")
    return name
