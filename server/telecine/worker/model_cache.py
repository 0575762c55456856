"""Models of a registry on a disk of this machine, as many as fit."""

import asyncio
import hashlib
import os
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from telecine.errors import ModelError, NotFoundError
from telecine.storage.atomic_file import write_file
from telecine.storage.object_store import ObjectStore
from telecine.worker.file_lock import locked, locked_if_free
from telecine.worker.model_manifest import (
    MANIFEST_NAME,
    ManifestFile,
    PublishedVersion,
    parse_manifest,
)

_log = structlog.get_logger(__name__)
_CHUNK_BYTES = 8 << 20
_EVICTED_PREFIX = ".evicted-"


@dataclass(frozen=True)
class _Entry:
    """A version's place in the cache: whole under `weights`, or in the making under `partial`."""

    folder: Path

    @property
    def weights(self) -> Path:
        return self.folder / "weights"

    @property
    def partial(self) -> Path:
        return self.folder / "partial"

    @property
    def size(self) -> Path:
        """Says what it takes once it is whole; changed at every use."""
        return self.folder / "size"

    def read_size(self) -> tuple[float, int]:
        """Returns when it was last used and its bytes; nothing where it has just gone."""
        try:
            return self.size.stat().st_mtime, int(self.size.read_text())
        except (FileNotFoundError, ValueError):
            return 0.0, 0


class ModelCache:
    """Fetches versions of models and evicts those that were used the longest time ago.

    Processes of one machine may share the folder: each version is fetched by one of them, and
    none evicts what another uses.
    """

    def __init__(self, folder: Path, registry: ObjectStore, *, budget_bytes: int) -> None:
        self._folder = folder
        self._registry = registry
        self._budget_bytes = budget_bytes

    @asynccontextmanager
    async def using(self, version: PublishedVersion) -> AsyncIterator[Path]:
        """Yields the folder of a version, fetched first where it is not here; it stays meanwhile.

        Raises:
            ObjectStoreUnavailableError: the registry is away; what was fetched is kept.
            ModelError: the version does not fit, or is not what its manifest says.
        """
        entry = self._entry(version)
        while True:
            async with locked(self._lock(entry), is_shared=True):
                if entry.weights.exists():
                    os.utime(entry.size)
                    yield entry.weights
                    return
            async with locked(self._lock(entry), is_shared=False):
                if not entry.weights.exists():
                    await self._fetch(entry, version)

    def find(self, model_id: str, version: str = "") -> list[PublishedVersion]:
        """Returns the versions of a model that are here, or that one if it is."""
        found = []
        for path in self._folder.glob(f"{model_id}/{version or '*'}/*/weights/{MANIFEST_NAME}"):
            manifest = parse_manifest(path.read_text())
            found.append(PublishedVersion(model_id, path.parents[2].name, manifest))
        return found

    def folder_of(self, version: PublishedVersion) -> Path:
        """Returns where a version lies once it has been fetched."""
        return self._entry(version).weights

    async def _fetch(self, entry: _Entry, version: PublishedVersion) -> None:
        try:
            await asyncio.to_thread(self._make_room, entry, version.manifest.size_bytes)
            _log.info("model_fetch", model=version.model_id, version=version.version)
            for name, file in version.manifest.files.items():
                await self._fetch_file(f"{version.prefix}/{name}", entry.partial / name, file)
            manifest = version.manifest.to_json().encode()
            write_file(entry.partial / MANIFEST_NAME, [manifest])
            entry.partial.rename(entry.weights)
        except NotFoundError as error:
            raise ModelError(f"{version.prefix} is not whole: {error}") from error
        except OSError as error:
            raise ModelError(f"{version.prefix} cannot be kept here: {error}") from error

    async def _fetch_file(self, key: str, path: Path, file: ManifestFile) -> None:
        was_begun = await asyncio.to_thread(_prepare, path)
        # What an earlier try has left may be damaged: then all is fetched once more.
        for _ in range(2 if was_begun else 1):
            if await self._continue_file(key, path, file):
                return
        raise ModelError(f"{key} is not as its manifest says")

    async def _continue_file(self, key: str, path: Path, file: ManifestFile) -> bool:
        """Fetches what a file lacks; returns whether it is then right, and drops it if not."""
        with path.open("a+b") as local:
            local.seek(0)
            sha256 = await asyncio.to_thread(hashlib.file_digest, local, "sha256")
            missing_bytes = file.size_bytes - local.tell()
            if missing_bytes > 0:
                chunks = self._registry.read(
                    key, offset=local.tell(), limit=missing_bytes, chunk_bytes=_CHUNK_BYTES
                )
                async with aclosing(chunks):
                    async for chunk in chunks:
                        sha256.update(chunk)
                        await asyncio.to_thread(local.write, chunk)
            local.flush()
            await asyncio.to_thread(os.fsync, local.fileno())
            if sha256.hexdigest() == file.sha256:
                return True
            local.truncate(0)
            return False

    def _make_room(self, entry: _Entry, size_bytes: int) -> None:
        """Evicts what was used the longest time ago until `entry` fits, and takes its place."""
        for leftover in self._folder.glob(f"{_EVICTED_PREFIX}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        others = [_Entry(path.parent) for path in self._folder.glob("*/*/*/size")]
        sizes = {other: other.read_size() for other in others if other != entry}
        used_bytes = sum(num_bytes for _, num_bytes in sizes.values())
        for other, (_, num_bytes) in sorted(sizes.items(), key=lambda item: item[1]):
            if used_bytes + size_bytes <= self._budget_bytes:
                break
            if self._evict(other):
                used_bytes -= num_bytes
        if used_bytes + size_bytes > self._budget_bytes:
            raise ModelError(
                f"a model of {size_bytes} bytes does not fit into {self._folder}: {used_bytes} of "
                f"{self._budget_bytes} are in use"
            )
        write_file(entry.size, [str(size_bytes).encode()])

    def _evict(self, entry: _Entry) -> bool:
        with locked_if_free(self._lock(entry)) as is_free:
            if not is_free:
                return False
            # Renamed first: a process that ends in the middle leaves no half model behind.
            evicted = self._folder / f"{_EVICTED_PREFIX}{secrets.token_hex(8)}"
            with suppress(FileNotFoundError):  # another process has evicted it meanwhile
                entry.folder.rename(evicted)
                _log.info("model_evicted", folder=str(entry.folder))
            shutil.rmtree(evicted, ignore_errors=True)
            return True

    def _entry(self, version: PublishedVersion) -> _Entry:
        digest = version.manifest.digest.removeprefix("sha256:")[:16]
        return _Entry(self._folder / version.model_id / version.version / digest)

    def _lock(self, entry: _Entry) -> Path:
        # Beside the entries: it outlives them, so all processes lock the same file.
        return self._folder / ".locks" / "-".join(entry.folder.relative_to(self._folder).parts)


def _prepare(path: Path) -> bool:
    """Makes a file's folder; returns whether the file is there already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.exists()
