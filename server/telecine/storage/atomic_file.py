"""Files that are there whole, and on disk, or not at all."""

import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

TEMPORARY_PREFIX = ".writing-"


def sha256_digest(data: bytes) -> str:
    """Returns `sha256:` and the digest of some bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def write_file(path: Path, chunks: Iterable[bytes]) -> None:
    """Puts a file in its place in one go, over an older one if there is one.

    Raises:
        OSError: the disk is full, say; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Makes a rename in a folder last: the entry has a block of its own."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
