"""What every object store can do, local or remote."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class StoredObject:
    """An object that is stored: its size, and `sha256:` and the digest of its bytes."""

    size_bytes: int
    digest: str


class ObjectStore(Protocol):
    """Objects under keys (see telecine.storage.keys), each there whole or not at all.

    All methods raise ValueError for what is not a key, and ObjectStoreUnavailableError when the
    store cannot be reached or takes no more.
    """

    async def put(self, key: str, data: bytes) -> StoredObject:
        """Stores some bytes."""
        ...

    async def put_file(self, key: str, path: Path) -> StoredObject:
        """Stores a copy of a file."""
        ...

    async def stat(self, key: str) -> StoredObject:
        """Returns what is stored; raises NotFoundError where nothing is."""
        ...

    def read(
        self, key: str, *, offset: int = 0, limit: int = 0, chunk_bytes: int = CHUNK_BYTES
    ) -> AsyncGenerator[bytes, None]:
        """Yields an object's bytes from `offset`, `limit` of them at most, 0 for all.

        Raises NotFoundError where nothing is stored.
        """
        ...

    def list_keys(self, prefix: str = "") -> AsyncGenerator[str, None]:
        """Yields, in order, the keys that are `prefix` or begin with `prefix/`; all for none."""
        ...

    async def delete_prefix(self, prefix: str) -> None:
        """Removes the object with that key and all whose keys begin with `prefix/`."""
        ...
