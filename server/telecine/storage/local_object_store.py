"""An object store in a folder of this machine."""

import asyncio
import hashlib
import shutil
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from telecine.errors import NotFoundError, ObjectStoreUnavailableError
from telecine.storage.atomic_file import write_file
from telecine.storage.keys import checked_key
from telecine.storage.object_store import CHUNK_BYTES, StoredObject


class LocalObjectStore:
    """Keeps each object as a file, and its digest in a file `.{name}.sha256` beside it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, key: str, data: bytes) -> StoredObject:
        """Stores some bytes."""
        return await asyncio.to_thread(self._put, self._path(key), [data])

    async def put_file(self, key: str, path: Path) -> StoredObject:
        """Stores a copy of a file."""
        return await asyncio.to_thread(self._put, self._path(key), _chunks_of(path))

    async def stat(self, key: str) -> StoredObject:
        """Returns what is stored; raises NotFoundError where nothing is."""
        with _translated_errors(key):
            return await asyncio.to_thread(_stat, self._path(key))

    async def read(
        self, key: str, *, offset: int = 0, limit: int = 0, chunk_bytes: int = CHUNK_BYTES
    ) -> AsyncGenerator[bytes, None]:
        """Yields an object's bytes from `offset`, `limit` of them at most, 0 for all.

        An object that is replaced or removed meanwhile is read to its end as it was.

        Raises:
            NotFoundError: nothing is stored there.
        """
        path = self._path(key)
        with _translated_errors(key):
            file = await asyncio.to_thread(_open_at, path, offset)
            try:
                left = limit or None
                while left is None or left > 0:
                    size = chunk_bytes if left is None else min(chunk_bytes, left)
                    chunk = await asyncio.to_thread(file.read, size)
                    if not chunk:
                        return
                    left = None if left is None else left - len(chunk)
                    yield chunk
            finally:
                file.close()

    async def list_keys(self, prefix: str = "") -> AsyncGenerator[str, None]:
        """Yields, in order, the keys that are `prefix` or begin with `prefix/`; all for none."""
        root = self._path(prefix) if prefix else self._folder
        with _translated_errors(prefix):
            paths = await asyncio.to_thread(_list_files, root)
        for path in paths:
            yield path.relative_to(self._folder).as_posix()

    async def delete_prefix(self, prefix: str) -> None:
        """Removes the object with that key and all whose keys begin with `prefix/`."""
        with _translated_errors(prefix):
            await asyncio.to_thread(_delete, self._path(prefix))

    def _path(self, key: str) -> Path:
        return self._folder / checked_key(key)

    def _put(self, path: Path, chunks: Iterable[bytes]) -> StoredObject:
        sha256 = hashlib.sha256()
        size_bytes = 0

        def counted() -> Iterator[bytes]:
            nonlocal size_bytes
            for chunk in chunks:
                sha256.update(chunk)
                size_bytes += len(chunk)
                yield chunk

        with _translated_errors(path.name):
            # An older digest must not outlive the object that it was of.
            _digest_path(path).unlink(missing_ok=True)
            write_file(path, counted())
            digest = f"sha256:{sha256.hexdigest()}"
            write_file(_digest_path(path), [digest.encode()])
        return StoredObject(size_bytes, digest)


@contextmanager
def _translated_errors(key: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise NotFoundError(key) from None
    except OSError as error:
        raise ObjectStoreUnavailableError(f"the object store failed at {key}: {error}") from error


def _digest_path(path: Path) -> Path:
    return path.parent / f".{path.name}.sha256"


def _chunks_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _stat(path: Path) -> StoredObject:
    size_bytes = path.stat().st_size
    try:
        digest = _digest_path(path).read_text()
    except FileNotFoundError:  # the process ended between the two writes
        with path.open("rb") as file:
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    return StoredObject(size_bytes, digest)


def _list_files(root: Path) -> list[Path]:
    """Returns the objects at and below a path: files without hidden ones, such as digests."""
    if root.is_file():
        return [root]
    paths = [path for path in root.rglob("*") if path.is_file()]
    visible = [
        path
        for path in paths
        if not any(part.startswith(".") for part in path.relative_to(root).parts)
    ]
    # As an object store orders them: by the bytes of the whole key.
    return sorted(visible, key=lambda path: path.as_posix())


def _open_at(path: Path, offset: int) -> BinaryIO:
    file = path.open("rb")
    file.seek(offset)
    return file


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    _digest_path(path).unlink(missing_ok=True)
