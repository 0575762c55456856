"""A folder of its own for a process's temporary files, swept by others where it was killed."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog

_PREFIX = "telecine-work-"
_log = structlog.get_logger(__name__)


@contextmanager
def work_folder() -> Iterator[None]:
    """Has all temporary files of this process lie in one folder while the block lasts.

    It lies in the system's folder for such files. What processes that were killed have left
    there is removed first: each holds a lock on its folder, which ends with it, and which keeps
    systemd from tidying the folder up.
    """
    parent = Path(tempfile.gettempdir())
    try:
        _sweep(parent)
        folder, lock = _make(parent)
    except OSError as error:  # without room there may still be much to do
        _log.warning("no_work_folder", error=str(error))
        yield
        return
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _make(parent: Path) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        # Before it is locked, who sweeps takes it for a dead one's.
        with suppress(FileNotFoundError):
            if (lock := _lock(folder)) is not None:
                return folder, lock


def _sweep(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        # Others' folders, and what only has the name, cannot be opened or removed.
        with suppress(OSError):
            if folder.lstat().st_uid == os.getuid() and (lock := _lock(folder)) is not None:
                _log.info("work_folder_swept", folder=str(folder))
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


def _lock(folder: Path) -> int | None:
    """Locks a folder, until what is returned is closed; None where another process has it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if folder.is_dir():  # else it was swept before it was locked
            return descriptor
    except BlockingIOError:
        pass
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None
