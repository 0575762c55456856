"""Reads one object of an S3 server from its middle, and on where a connection broke."""

from typing import Any

from botocore.exceptions import (
    ClientError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

_NUM_RETRIES = 2
_RANGE_NOT_SATISFIABLE = 416
_BROKEN = (IncompleteReadError, ReadTimeoutError, ResponseStreamingError)


class S3Reader:
    """One stream over an object, for a thread at a time; botocore's errors pass through.

    What follows a broken connection is of the same object as what came before it, or an error.
    """

    def __init__(self, s3: Any, address: dict[str, str], *, offset: int, limit: int) -> None:
        self._s3 = s3
        self._address = address
        self._offset = offset
        self._end = offset + limit if limit else None
        self._etag = ""
        self._body: Any = None

    def read(self, num_bytes: int) -> bytes:
        """Returns the next bytes, none at the end."""
        num_retries = 0
        while self._end is None or self._offset < self._end:
            if self._body is None and not self._open():
                break
            try:
                chunk: bytes = self._body.read(num_bytes)
            except _BROKEN:
                self.close()
                if num_retries == _NUM_RETRIES:
                    raise
                num_retries += 1
                continue
            self._offset += len(chunk)
            return chunk
        return b""

    def close(self) -> None:
        """Gives the connection up."""
        if self._body is not None:
            self._body.close()
            self._body = None

    def _open(self) -> bool:
        """Asks for what is left; returns whether the object reaches that far."""
        last = "" if self._end is None else self._end - 1
        condition = {"IfMatch": self._etag} if self._etag else {}
        try:
            answer = self._s3.get_object(
                **self._address, Range=f"bytes={self._offset}-{last}", **condition
            )
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if status == _RANGE_NOT_SATISFIABLE:
                return False
            raise
        self._body, self._etag = answer["Body"], answer["ETag"]
        return True
