"""A file being downloaded: written beside its place, checked, then moved there."""

import hashlib
from pathlib import Path
from types import TracebackType
from typing import Self

from telecine.client.errors import DownloadError
from telecine.v1 import video_pb2, video_service_pb2


class DownloadFile:
    """Takes the pieces of a download in order; `offset` is where the next one belongs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        self.artifact: video_pb2.Artifact | None = None
        self._part_path = path.with_name(f".{path.name}.part")
        self._digest = hashlib.sha256()

    def __enter__(self) -> Self:
        self._file = self._part_path.open("wb")
        return self

    def write(self, response: video_service_pb2.DownloadVideoResponse) -> None:
        """Append one piece."""
        if response.HasField("artifact"):
            self.artifact = response.artifact
        self._file.write(response.data)
        self._digest.update(response.data)
        self.offset += len(response.data)

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
        try:
            if error_type is None:
                self._check()
                self._part_path.replace(self.path)
        finally:
            self._part_path.unlink(missing_ok=True)

    def _check(self) -> None:
        if self.artifact is None:
            msg = "the server did not say which file it sent"
            raise DownloadError(msg)
        digest = f"sha256:{self._digest.hexdigest()}"
        if (self.offset, digest) != (self.artifact.size_bytes, self.artifact.digest):
            msg = f"{self.artifact.artifact_id} arrived damaged: {self.offset} bytes, {digest}"
            raise DownloadError(msg)
