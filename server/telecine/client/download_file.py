"""A file being downloaded, and checked when it is whole."""

import hashlib
from pathlib import Path
from types import TracebackType
from typing import Self

from telecine.client.errors import DownloadError
from telecine.v1 import video_pb2, video_service_pb2


class DownloadFile:
    """Takes the pieces of a download in order.

    Args:
        path: where the file goes.
        is_growing: whether to write it there at once, so that it can be played while it grows;
            otherwise it is written beside its place and moved there once it is whole.
    """

    def __init__(self, path: Path, *, is_growing: bool = False) -> None:
        self.artifact: video_pb2.Artifact | None = None
        self._path = path
        self._part_path = path if is_growing else path.with_name(f".{path.name}.part")
        self._num_bytes = 0
        self._digest = hashlib.sha256()

    def __enter__(self) -> Self:
        self._file = self._part_path.open("wb")
        return self

    def write(self, response: video_service_pb2.DownloadVideoResponse) -> None:
        """Append one piece."""
        if response.HasField("artifact"):
            self.artifact = response.artifact
        self._file.write(response.data)
        self._file.flush()  # a player sees every piece that came
        self._digest.update(response.data)
        self._num_bytes += len(response.data)

    def restart(self) -> None:
        """Forget what came: the file is sent anew."""
        self._file.seek(0)
        self._file.truncate()
        self._digest = hashlib.sha256()
        self._num_bytes = 0

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
                self._part_path.replace(self._path)
        finally:
            if self._part_path != self._path:
                self._part_path.unlink(missing_ok=True)

    def _check(self) -> None:
        if self.artifact is None:
            msg = "the server did not say which file it sent"
            raise DownloadError(msg)
        digest = f"sha256:{self._digest.hexdigest()}"
        if (self._num_bytes, digest) != (self.artifact.size_bytes, self.artifact.digest):
            msg = f"{self.artifact.artifact_id} arrived damaged: {self._num_bytes} bytes, {digest}"
            raise DownloadError(msg)
