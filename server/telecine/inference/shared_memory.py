"""What Triton and its clients leave in /dev/shm, and how the dead ones' is removed."""

import os
import time
from pathlib import Path

SHARED_MEMORY_FOLDER = Path("/dev/shm")
SERVER_PREFIX = "telecine_triton_"
CLIENT_PREFIX = "telecine_client_"
_PREFIXES = (SERVER_PREFIX, CLIENT_PREFIX, "triton_python_backend_shm_region_")
# A region is mapped at once after it was made; younger ones may be in between.
_YOUNG_SECONDS = 5.0


def remove_leftovers() -> list[Path]:
    """Remove the regions that no living process maps any more; return what was removed."""
    candidates = [path for prefix in _PREFIXES for path in _regions(prefix) if _may_be_left(path)]
    mapped = _mapped_regions() if candidates else set()
    leftovers = [path for path in candidates if str(path) not in mapped]
    for path in leftovers:
        path.unlink(missing_ok=True)
    return leftovers


def remove_regions(prefix: str) -> None:
    """Remove all regions of one server that has ended."""
    for path in _regions(prefix):
        path.unlink(missing_ok=True)


def _regions(prefix: str) -> list[Path]:
    return list(SHARED_MEMORY_FOLDER.glob(f"{prefix}*"))


def _may_be_left(path: Path) -> bool:
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    # What another user's processes map cannot be seen, so that theirs are theirs to remove.
    return status.st_uid == os.geteuid() and time.time() - status.st_mtime > _YOUNG_SECONDS


def _mapped_regions() -> set[str]:
    mapped: set[str] = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        try:
            text = maps.read_text()
        except OSError:  # ended meanwhile, or another user's
            continue
        lines = (line for line in text.splitlines() if str(SHARED_MEMORY_FOLDER) in line)
        mapped.update(line.split(maxsplit=5)[-1] for line in lines)
    return mapped
