"""The gRPC face of the service functions.

The stream methods return iterators instead of being generators: ErrorInterceptor runs
them and writes their messages itself.
"""

from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty

from telecine.api import (
    accounts,
    api_keys,
    media_uploads,
    models,
    video_batches,
    video_downloads,
    videos,
    workers,
)
from telecine.api.caller import current_caller
from telecine.api.gateway_parts import GatewayParts
from telecine.v1 import (
    account_pb2,
    account_service_pb2,
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

Context = grpc.aio.ServicerContext[Any, Any]


class VideoServicer(video_service_pb2_grpc.VideoServiceServicer):
    """telecine.v1.VideoService."""

    def __init__(self, parts: GatewayParts) -> None:
        self._parts = parts

    async def CreateVideo(
        self, request: video_service_pb2.CreateVideoRequest, _context: Context
    ) -> video_pb2.Video:
        """Accepts a video."""
        return await videos.create_video(self._parts, request, caller=current_caller())

    async def EstimateCost(
        self, request: video_service_pb2.EstimateCostRequest, _context: Context
    ) -> usage_pb2.CostEstimate:
        """Prices a video."""
        return await videos.estimate_cost(self._parts, request, caller=current_caller())

    async def BatchCreateVideos(
        self, request: video_service_pb2.BatchCreateVideosRequest, _context: Context
    ) -> video_service_pb2.BatchCreateVideosResponse:
        """Accepts several videos of one spec."""
        return await video_batches.batch_create_videos(
            self._parts, request, caller=current_caller()
        )

    async def GetVideo(
        self, request: video_service_pb2.GetVideoRequest, _context: Context
    ) -> video_pb2.Video:
        """Returns one video."""
        return await videos.get_video(self._parts, request, caller=current_caller())

    async def ListVideos(
        self, request: video_service_pb2.ListVideosRequest, _context: Context
    ) -> video_service_pb2.ListVideosResponse:
        """Lists videos."""
        return await videos.list_videos(self._parts, request, caller=current_caller())

    def WatchVideo(
        self, request: video_service_pb2.WatchVideoRequest, _context: Context
    ) -> AsyncIterator[video_pb2.VideoEvent]:
        """Streams a video's events."""
        return videos.watch_video(self._parts, request, caller=current_caller())

    def WatchVideos(
        self, request: video_service_pb2.WatchVideosRequest, _context: Context
    ) -> AsyncIterator[video_service_pb2.WatchVideosResponse]:
        """Streams the changes of the caller's videos."""
        return videos.watch_videos(self._parts, request, caller=current_caller())

    async def CancelVideo(
        self, request: video_service_pb2.CancelVideoRequest, _context: Context
    ) -> video_pb2.Video:
        """Stops a video."""
        return await videos.cancel_video(self._parts, request, caller=current_caller())

    async def PauseVideo(
        self, request: video_service_pb2.PauseVideoRequest, _context: Context
    ) -> video_pb2.Video:
        """Sets a video aside."""
        return await videos.pause_video(self._parts, request, caller=current_caller())

    async def ResumeVideo(
        self, request: video_service_pb2.ResumeVideoRequest, _context: Context
    ) -> video_pb2.Video:
        """Queues a paused video again."""
        return await videos.resume_video(self._parts, request, caller=current_caller())

    async def DeleteVideo(
        self, request: video_service_pb2.DeleteVideoRequest, _context: Context
    ) -> Empty:
        """Removes a video."""
        await videos.delete_video(self._parts, request, caller=current_caller())
        return Empty()

    def DownloadVideo(
        self, request: video_service_pb2.DownloadVideoRequest, _context: Context
    ) -> AsyncIterator[video_service_pb2.DownloadVideoResponse]:
        """Streams a file's bytes."""
        return video_downloads.download_video(self._parts, request, caller=current_caller())

    async def UploadMedia(
        self,
        request_iterator: AsyncIterator[video_service_pb2.UploadMediaRequest],
        _context: Context,
    ) -> video_pb2.Media:
        """Takes an upload."""
        caller = current_caller()
        with self._parts.open_uploads.hold(caller):
            return await media_uploads.upload_media(self._parts, request_iterator, caller=caller)

    async def GetMedia(
        self, request: video_service_pb2.GetMediaRequest, _context: Context
    ) -> video_pb2.Media:
        """Returns one upload."""
        return await media_uploads.get_media(self._parts, request, caller=current_caller())

    async def ListMedia(
        self, request: video_service_pb2.ListMediaRequest, _context: Context
    ) -> video_service_pb2.ListMediaResponse:
        """Lists uploads."""
        return await media_uploads.list_media(self._parts, request, caller=current_caller())

    async def DeleteMedia(
        self, request: video_service_pb2.DeleteMediaRequest, _context: Context
    ) -> Empty:
        """Removes an upload."""
        await media_uploads.delete_media(self._parts, request, caller=current_caller())
        return Empty()


class ModelServicer(model_service_pb2_grpc.ModelServiceServicer):
    """telecine.v1.ModelService."""

    def __init__(self, parts: GatewayParts) -> None:
        self._parts = parts

    async def ListModels(
        self, request: model_service_pb2.ListModelsRequest, _context: Context
    ) -> model_service_pb2.ListModelsResponse:
        """Lists the models."""
        return await models.list_models(self._parts, request)

    async def GetModel(
        self, request: model_service_pb2.GetModelRequest, _context: Context
    ) -> model_pb2.Model:
        """Returns one model."""
        return await models.get_model(self._parts, request)


class WorkerServicer(worker_service_pb2_grpc.WorkerServiceServicer):
    """telecine.v1.WorkerService."""

    def __init__(self, parts: GatewayParts) -> None:
        self._parts = parts

    async def ListWorkers(
        self, request: worker_service_pb2.ListWorkersRequest, _context: Context
    ) -> worker_service_pb2.ListWorkersResponse:
        """Lists the workers."""
        return await workers.list_workers(self._parts, request)

    async def GetWorker(
        self, request: worker_service_pb2.GetWorkerRequest, _context: Context
    ) -> worker_pb2.Worker:
        """Returns one worker."""
        return await workers.get_worker(self._parts, request)

    def WatchWorkers(
        self, request: worker_service_pb2.WatchWorkersRequest, _context: Context
    ) -> AsyncIterator[worker_pb2.Worker]:
        """Streams the workers and their changes."""
        return workers.watch_workers(self._parts, request)

    async def DrainWorker(
        self, request: worker_service_pb2.DrainWorkerRequest, _context: Context
    ) -> worker_pb2.Worker:
        """Drains a worker."""
        return await workers.drain_worker(self._parts, request)


class AccountServicer(account_service_pb2_grpc.AccountServiceServicer):
    """telecine.v1.AccountService."""

    def __init__(self, parts: GatewayParts) -> None:
        self._parts = parts

    async def GetCaller(
        self, request: account_service_pb2.GetCallerRequest, _context: Context
    ) -> account_pb2.Caller:
        """Returns who calls."""
        return await api_keys.get_caller(self._parts, request, caller=current_caller())

    async def CreateApiKey(
        self, request: account_service_pb2.CreateApiKeyRequest, _context: Context
    ) -> account_pb2.ApiKey:
        """Makes a key."""
        return await api_keys.create_api_key(self._parts, request, caller=current_caller())

    async def GetApiKey(
        self, request: account_service_pb2.GetApiKeyRequest, _context: Context
    ) -> account_pb2.ApiKey:
        """Returns one key."""
        return await api_keys.get_api_key(self._parts, request, caller=current_caller())

    async def ListApiKeys(
        self, request: account_service_pb2.ListApiKeysRequest, _context: Context
    ) -> account_service_pb2.ListApiKeysResponse:
        """Lists keys."""
        return await api_keys.list_api_keys(self._parts, request, caller=current_caller())

    async def RevokeApiKey(
        self, request: account_service_pb2.RevokeApiKeyRequest, _context: Context
    ) -> account_pb2.ApiKey:
        """Ends a key."""
        return await api_keys.revoke_api_key(self._parts, request, caller=current_caller())

    async def GetUsage(
        self, request: account_service_pb2.GetUsageRequest, _context: Context
    ) -> usage_pb2.Usage:
        """Returns what a tenant uses."""
        return await accounts.get_usage(self._parts, request, caller=current_caller())

    async def ListLedger(
        self, request: account_service_pb2.ListLedgerRequest, _context: Context
    ) -> account_service_pb2.ListLedgerResponse:
        """Lists what a tenant was charged."""
        return await accounts.list_ledger(self._parts, request, caller=current_caller())

    async def GetQuota(
        self, request: account_service_pb2.GetQuotaRequest, _context: Context
    ) -> usage_pb2.Quota:
        """Returns what a tenant may use."""
        return await accounts.get_quota(self._parts, request, caller=current_caller())

    async def UpdateQuota(
        self, request: account_service_pb2.UpdateQuotaRequest, _context: Context
    ) -> usage_pb2.Quota:
        """Sets what a tenant may use."""
        return await accounts.update_quota(self._parts, request, caller=current_caller())
