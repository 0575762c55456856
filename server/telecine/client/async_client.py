"""The client for asyncio."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Self, Unpack

import grpc

from telecine.client.async_account import AsyncAccountCalls
from telecine.client.connection import (
    Resumption,
    authorized,
    open_async_channel,
)
from telecine.client.credentials import ApiKey, TlsOptions
from telecine.client.download_file import DownloadFile
from telecine.client.errors import LiveFileChangedError, client_error
from telecine.client.requests import (
    VideoFilter,
    VideoOptions,
    create_video_request,
    create_videos_request,
    download_video_request,
    estimate_cost_request,
    list_videos_request,
    resource_name,
    upload_requests,
)
from telecine.v1 import (
    account_service_pb2_grpc,
    model_pb2,
    model_service_pb2,
    model_service_pb2_grpc,
    usage_pb2,
    video_pb2,
    video_service_pb2,
    video_service_pb2_grpc,
    worker_pb2,
    worker_service_pb2,
    worker_service_pb2_grpc,
)


class AsyncClient(AsyncAccountCalls):
    """A connection to a Telecine server; use it as an async context manager or close it.

    Make it inside a running event loop.

    Args:
        address: the gateway's `host:port`.
        api_key: an API key or an access token, or a function that returns it. None for
            `TELECINE_API_KEY`, or the key of a `telecine up` on this machine.
        tls: how to speak TLS; None for no TLS.
        timeout_seconds: how long an answer of one message may take, tries together.
        patience_seconds: how long streams try to go on while the server is away.
    """

    def __init__(
        self,
        address: str,
        *,
        api_key: ApiKey | None = None,
        tls: TlsOptions | None = None,
        timeout_seconds: float = 30.0,
        patience_seconds: float = 60.0,
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self._patience_seconds = patience_seconds
        self._channel = open_async_channel(address, tls=tls)
        channel = authorized(self._channel, address, api_key)
        self._videos = video_service_pb2_grpc.VideoServiceStub(channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(channel)
        self._workers = worker_service_pb2_grpc.WorkerServiceStub(channel)
        self._account = account_service_pb2_grpc.AccountServiceStub(channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; open streams end."""
        await self._channel.close()

    async def create_video(
        self,
        prompt: str,
        *,
        request_id: str | None = None,
        webhook_url: str = "",
        **options: Unpack[VideoOptions],
    ) -> video_pb2.Video:
        """Ask for a video; it comes back queued, at once. Its end is told to `webhook_url`."""
        request = create_video_request(prompt, options, request_id, webhook_url=webhook_url)
        return await self._call(self._videos.CreateVideo, request)

    async def create_videos(
        self,
        prompt: str,
        num_videos: int,
        *,
        request_id: str | None = None,
        webhook_url: str = "",
        **options: Unpack[VideoOptions],
    ) -> list[video_pb2.Video]:
        """Ask for several videos of one prompt, each with a seed of its own."""
        single = create_video_request(prompt, options, request_id, webhook_url=webhook_url)
        request = create_videos_request(single, num_videos)
        return list((await self._call(self._videos.BatchCreateVideos, request)).videos)

    async def get_video(self, name: str) -> video_pb2.Video:
        """Return a video as it is now."""
        request = video_service_pb2.GetVideoRequest(name=resource_name("videos", name))
        return await self._call(self._videos.GetVideo, request)

    async def list_videos(
        self, video_filter: VideoFilter | None = None, *, page_size: int = 50
    ) -> AsyncGenerator[video_pb2.Video, None]:
        """Yield videos, newest first; the next page is asked for when it is needed."""
        request = list_videos_request(video_filter or VideoFilter(), page_size)
        async for page in self._pages(self._videos.ListVideos, request):
            for video in page.videos:
                yield video

    async def watch_video(
        self, name: str, *, after_event_id: str = "", is_preview_omitted: bool = False
    ) -> AsyncGenerator[video_pb2.VideoEvent, None]:
        """Yield a video's events until its end, each once and in order, through broken streams."""
        request = video_service_pb2.WatchVideoRequest(
            name=resource_name("videos", name),
            after_event_id=after_event_id,
            is_preview_omitted=is_preview_omitted,
        )
        resumption = Resumption(self._patience_seconds)
        while True:
            stream = self._videos.WatchVideo(request)
            try:
                async for event in stream:
                    resumption.note_progress()
                    if event.event_id:
                        request.after_event_id = event.event_id
                        yield event
                return
            except grpc.RpcError as error:
                await asyncio.sleep(resumption.delay_after(client_error(error)))
            finally:
                stream.cancel()

    async def watch_videos(
        self, *, after_event_id: str = ""
    ) -> AsyncGenerator[video_service_pb2.WatchVideosResponse, None]:
        """Yield this caller's videos that have not ended, then every change of any of them.

        It never ends. After a break it goes on behind the last `event_id`, with what has changed
        since; where that is known no more, `is_gap` says so.
        """
        request = video_service_pb2.WatchVideosRequest(after_event_id=after_event_id)
        resumption = Resumption(self._patience_seconds)
        while True:
            stream = self._videos.WatchVideos(request)
            try:
                async for response in stream:
                    resumption.note_progress()
                    request.after_event_id = response.event_id or request.after_event_id
                    if response.WhichOneof("change"):
                        yield response
            except grpc.aio.AioRpcError as error:
                await asyncio.sleep(resumption.delay_after(client_error(error)))
            finally:
                stream.cancel()

    async def wait_for_video(self, name: str) -> video_pb2.Video:
        """Return the video when it has ended, well or not."""
        async for _ in self.watch_video(name, is_preview_omitted=True):
            pass
        return await self.get_video(name)

    async def cancel_video(self, name: str) -> video_pb2.Video:
        """Ask to stop a video; one that has ended stays as it is."""
        request = video_service_pb2.CancelVideoRequest(name=resource_name("videos", name))
        return await self._call(self._videos.CancelVideo, request)

    async def pause_video(self, name: str) -> video_pb2.Video:
        """Set a video aside; a running one stops at the end of its slice and keeps what is done."""
        request = video_service_pb2.PauseVideoRequest(name=resource_name("videos", name))
        return await self._call(self._videos.PauseVideo, request)

    async def resume_video(self, name: str) -> video_pb2.Video:
        """Queue a paused video again; it goes on where it was."""
        request = video_service_pb2.ResumeVideoRequest(name=resource_name("videos", name))
        return await self._call(self._videos.ResumeVideo, request)

    async def delete_video(self, name: str) -> None:
        """Remove a video that has ended, with its files."""
        request = video_service_pb2.DeleteVideoRequest(name=resource_name("videos", name))
        await self._call(self._videos.DeleteVideo, request)

    async def download_video(
        self, name: str, path: str | Path, *, artifact_id: str = "", follow: bool = False
    ) -> video_pb2.Artifact:
        """Write one file of a video to `path`, through broken streams, and check its digest.

        With `follow`, wait for a video that is still being made. The file then grows at `path`:
        that of a realtime video plays while it does. What came stays there after an error.
        """
        request = download_video_request(name, artifact_id, follow=follow)
        with DownloadFile(Path(path), is_growing=follow) as file:
            while True:
                try:
                    async with aclosing(self._download(request)) as responses:
                        async for response in responses:
                            file.write(response)
                    break
                except LiveFileChangedError:
                    file.restart()
                    request.read_offset = 0
        assert file.artifact is not None
        return file.artifact

    async def read_video(
        self, name: str, *, artifact_id: str = "", read_offset: int = 0, follow: bool = False
    ) -> AsyncGenerator[bytes, None]:
        """Yield a file's bytes from an offset on, through broken streams.

        With `follow`, wait for a video that is still being made: the bytes of a realtime one
        come as they are made, in fragmented MP4. Their digest is not checked.
        """
        request = download_video_request(name, artifact_id, follow=follow)
        request.read_offset = read_offset
        async with aclosing(self._download(request)) as responses:
            async for response in responses:
                if response.data:
                    yield response.data

    async def upload_media(
        self, path: str | Path, *, content_type: str | None = None
    ) -> video_pb2.Media:
        """Send an image or a sound track that a video can be made from."""
        try:
            return await self._videos.UploadMedia(upload_requests(Path(path), content_type))
        except grpc.RpcError as error:
            raise client_error(error) from error

    async def get_media(self, name: str) -> video_pb2.Media:
        """Return an upload."""
        request = video_service_pb2.GetMediaRequest(name=resource_name("media", name))
        return await self._call(self._videos.GetMedia, request)

    async def list_media(self, *, page_size: int = 50) -> AsyncGenerator[video_pb2.Media, None]:
        """Yield the caller's uploads, newest first; the next page is asked for when needed."""
        request = video_service_pb2.ListMediaRequest(page_size=page_size)
        async for page in self._pages(self._videos.ListMedia, request):
            for media in page.media:
                yield media

    async def delete_media(self, name: str) -> None:
        """Remove an upload; a video that waits to be made from it will fail."""
        request = video_service_pb2.DeleteMediaRequest(name=resource_name("media", name))
        await self._call(self._videos.DeleteMedia, request)

    async def estimate_cost(
        self, prompt: str, **options: Unpack[VideoOptions]
    ) -> usage_pb2.CostEstimate:
        """Return what a video would cost; it is not made."""
        request = estimate_cost_request(prompt, options)
        return await self._call(self._videos.EstimateCost, request)

    async def list_models(self) -> list[model_pb2.Model]:
        """Return the models the server has."""
        request = model_service_pb2.ListModelsRequest(page_size=1000)
        page = await self._call(self._models.ListModels, request)
        return list(page.models)

    async def get_model(self, name: str) -> model_pb2.Model:
        """Return one model, with its limits and defaults."""
        request = model_service_pb2.GetModelRequest(name=resource_name("models", name))
        return await self._call(self._models.GetModel, request)

    async def list_workers(self, *, page_size: int = 50) -> AsyncGenerator[worker_pb2.Worker, None]:
        """Yield the workers by name; the next page is asked for when it is needed."""
        request = worker_service_pb2.ListWorkersRequest(page_size=page_size)
        async for page in self._pages(self._workers.ListWorkers, request):
            for worker in page.workers:
                yield worker

    async def get_worker(self, name: str) -> worker_pb2.Worker:
        """Return one worker."""
        request = worker_service_pb2.GetWorkerRequest(name=resource_name("workers", name))
        return await self._call(self._workers.GetWorker, request)

    async def watch_workers(self) -> AsyncGenerator[worker_pb2.Worker, None]:
        """Yield every worker, then each again whenever it changes, through broken streams.

        It never ends; after a break all workers come again.
        """
        resumption = Resumption(self._patience_seconds)
        while True:
            stream = self._workers.WatchWorkers(worker_service_pb2.WatchWorkersRequest())
            try:
                async for worker in stream:
                    resumption.note_progress()
                    yield worker
            except grpc.RpcError as error:
                await asyncio.sleep(resumption.delay_after(client_error(error)))
            finally:
                stream.cancel()

    async def drain_worker(self, name: str) -> worker_pb2.Worker:
        """Tell a worker to finish its slice, hand its videos back and exit."""
        request = worker_service_pb2.DrainWorkerRequest(name=resource_name("workers", name))
        return await self._call(self._workers.DrainWorker, request)

    async def _download(
        self, request: video_service_pb2.DownloadVideoRequest
    ) -> AsyncGenerator[video_service_pb2.DownloadVideoResponse, None]:
        resumption = Resumption(self._patience_seconds)
        while True:
            stream = self._videos.DownloadVideo(request)
            try:
                async for response in stream:
                    if response.HasField("artifact"):
                        # A default of now need not be the default of the next call.
                        request.artifact_id = response.artifact.artifact_id
                    if response.data:
                        resumption.note_progress()
                        request.read_offset += len(response.data)
                    yield response
                return
            except grpc.RpcError as error:
                await asyncio.sleep(resumption.delay_after(client_error(error)))
            finally:
                stream.cancel()
