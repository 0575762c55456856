"""An object store behind the S3 protocol: AWS, or a server such as Ceph or Swift."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from telecine.errors import NotFoundError, ObjectStoreUnavailableError
from telecine.storage.keys import checked_key
from telecine.storage.object_store import CHUNK_BYTES, StoredObject
from telecine.storage.s3_reader import S3Reader

_T = TypeVar("_T")
_NUM_THREADS = 8
_PART_BYTES = 16 << 20
_TRANSFER = TransferConfig(
    multipart_threshold=_PART_BYTES, multipart_chunksize=_PART_BYTES, max_concurrency=4
)
_NOT_FOUND = {"404", "NoSuchKey", "NotFound"}
_DIGEST = "sha256"


@dataclass(frozen=True)
class S3Patience:
    """How long a server that is away is waited for: `num_attempts` times each of the two."""

    connect_seconds: float = 3.0
    read_seconds: float = 15.0
    num_attempts: int = 3


class S3ObjectStore:
    """Keeps each object under `prefix/key` in a bucket, its SHA-256 in its metadata.

    Calls run in threads of the store's own: one that hangs holds up no other work of the process.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        endpoint: str | None,
        region: str | None,
        patience: S3Patience = S3Patience(),
    ) -> None:
        """Prepares a store; nothing is connected yet.

        Args:
            bucket: exists already.
            prefix: what all keys begin with, without slashes around it.
            endpoint: the server's URL; None for AWS.
            region: the region's name; None for where AWS' tools find it.
            patience: how long a server that is away is waited for.
        """
        self._bucket = bucket
        self._prefix = f"{checked_key(prefix)}/" if prefix else ""
        self._threads = ThreadPoolExecutor(_NUM_THREADS, thread_name_prefix="s3")
        self._s3: Any = boto3.session.Session().client(
            "s3",
            endpoint_url=endpoint,
            region_name=region,
            config=Config(
                signature_version="s3v4",
                connect_timeout=patience.connect_seconds,
                read_timeout=patience.read_seconds,
                retries={"mode": "standard", "total_max_attempts": patience.num_attempts},
                # Servers of one's own seldom have a host name a bucket.
                s3={"addressing_style": "path" if endpoint else "auto"},
                max_pool_connections=_NUM_THREADS * 2,
            ),
        )

    def close(self) -> None:
        """Closes connections; calls under way may fail."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._s3.close()

    async def put(self, key: str, data: bytes) -> StoredObject:
        """Stores some bytes."""
        stored = StoredObject(len(data), f"sha256:{hashlib.sha256(data).hexdigest()}")
        with _translated_errors(key):
            await self._run(
                lambda: self._s3.put_object(
                    **self._address(key), Body=data, Metadata={_DIGEST: stored.digest}
                )
            )
        return stored

    async def put_file(self, key: str, path: Path) -> StoredObject:
        """Stores a copy of a file, a large one in parts."""
        address = self._address(key)

        def upload() -> StoredObject:
            stored = _describe(path)
            self._s3.upload_file(
                str(path),
                *address.values(),
                ExtraArgs={"Metadata": {_DIGEST: stored.digest}},
                Config=_TRANSFER,
            )
            return stored

        with _translated_errors(key):
            return await self._run(upload)

    async def stat(self, key: str) -> StoredObject:
        """Returns what is stored; raises NotFoundError where nothing is."""
        address = self._address(key)
        with _translated_errors(key):
            head = await self._run(lambda: self._s3.head_object(**address))
        digest = head["Metadata"].get(_DIGEST)
        if digest is None:  # put there by another program
            sha256 = hashlib.sha256()
            async for chunk in self.read(key):
                sha256.update(chunk)
            digest = f"sha256:{sha256.hexdigest()}"
        return StoredObject(head["ContentLength"], digest)

    async def read(
        self, key: str, *, offset: int = 0, limit: int = 0, chunk_bytes: int = CHUNK_BYTES
    ) -> AsyncGenerator[bytes, None]:
        """Yields an object's bytes from `offset`, `limit` of them at most, 0 for all.

        Raises:
            NotFoundError: nothing is stored there.
        """
        reader = S3Reader(self._s3, self._address(key), offset=offset, limit=limit)
        with _translated_errors(key):
            try:
                while chunk := await self._run(lambda: reader.read(chunk_bytes)):
                    yield chunk
            finally:
                reader.close()

    async def list_keys(self, prefix: str = "") -> AsyncGenerator[str, None]:
        """Yields, in order, the keys that are `prefix` or begin with `prefix/`; all for none."""
        start = self._prefix + (checked_key(prefix) if prefix else "")
        async for page in self._list_pages(start):
            for name in page:
                if not prefix or name == start or name.startswith(f"{start}/"):
                    yield name.removeprefix(self._prefix)

    async def delete_prefix(self, prefix: str) -> None:
        """Removes the object with that key and all whose keys begin with `prefix/`."""
        address = self._address(prefix)
        name = address["Key"]
        with _translated_errors(prefix):
            await self._run(lambda: self._s3.delete_object(**address))
            async for page in self._list_pages(f"{name}/"):
                await self._delete(page)

    async def _delete(self, names: list[str]) -> None:
        objects = {"Objects": [{"Key": name} for name in names], "Quiet": True}
        answer = await self._run(
            lambda: self._s3.delete_objects(Bucket=self._bucket, Delete=objects)
        )
        for error in answer.get("Errors", ()):
            raise ObjectStoreUnavailableError(
                f"the object store does not delete {error.get('Key')}: {error.get('Code')}"
            )

    async def _list_pages(self, start: str) -> AsyncGenerator[list[str], None]:
        """Yields the names that begin with `start`, at most 1,000 at a time."""
        query = {"Bucket": self._bucket, "Prefix": start}
        while True:
            with _translated_errors(start):
                page = await self._run(lambda: self._s3.list_objects_v2(**query))
            if names := [entry["Key"] for entry in page.get("Contents", ())]:
                yield names
            if not page.get("IsTruncated"):
                return
            query["ContinuationToken"] = page["NextContinuationToken"]

    def _address(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + checked_key(key)}

    async def _run(self, call: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)


@contextmanager
def _translated_errors(key: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] in _NOT_FOUND:
            raise NotFoundError(key) from None
        raise ObjectStoreUnavailableError(f"the object store failed at {key}: {error}") from error
    except FileNotFoundError:  # the file to be stored
        raise NotFoundError(key) from None
    except (BotoCoreError, Boto3Error, OSError) as error:
        raise ObjectStoreUnavailableError(f"the object store failed at {key}: {error}") from error


def _describe(path: Path) -> StoredObject:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return StoredObject(file.tell(), f"sha256:{digest}")
