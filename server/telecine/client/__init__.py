"""The Python client: `Client` for plain code, `AsyncClient` for asyncio.

    from telecine.client import Client

    with Client("127.0.0.1:7080") as client:
        video = client.create_video("a red circle moves left on a blue background")
        video = client.wait_for_video(video.name)
        client.download_video(video.name, "out.mp4")

Answers are the messages of `telecine.v1`. Errors are `TelecineClientError` and its kinds.
"""

from telecine.client.async_client import AsyncClient
from telecine.client.credentials import TlsOptions
from telecine.client.errors import (
    AlreadyExistsError,
    DownloadError,
    EventsTrimmedError,
    InvalidRequestError,
    LiveFileChangedError,
    NotFoundError,
    NotImplementedYetError,
    PermissionDeniedError,
    ResourceExhaustedError,
    TelecineClientError,
    UnauthenticatedError,
    UnavailableError,
    VideoStateError,
)
from telecine.client.requests import VideoFilter, VideoOptions
from telecine.client.sync_client import Client

__all__ = [
    "AlreadyExistsError",
    "AsyncClient",
    "Client",
    "DownloadError",
    "EventsTrimmedError",
    "InvalidRequestError",
    "LiveFileChangedError",
    "NotFoundError",
    "NotImplementedYetError",
    "PermissionDeniedError",
    "ResourceExhaustedError",
    "TelecineClientError",
    "TlsOptions",
    "UnauthenticatedError",
    "UnavailableError",
    "VideoFilter",
    "VideoOptions",
    "VideoStateError",
]
