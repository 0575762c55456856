"""A real gateway on a free port, over the real Redis, with a model in its directory."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from submissions import claim

from telecine.api.gateway import serve
from telecine.config import GatewaySettings, RedisSettings, Settings, StorageSettings
from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import FinishedStep, Lease
from telecine.jobs.model_directory import ModelDirectory
from telecine.jobs.redis_client import connect_redis
from telecine.storage.keys import artifact_key
from telecine.storage.local_object_store import LocalObjectStore
from telecine.v1 import (
    account_service_pb2_grpc,
    model_pb2,
    model_service_pb2_grpc,
    video_pb2,
    video_service_pb2,
    video_service_pb2_grpc,
)


@pytest.fixture
def toybox() -> model_pb2.Model:
    """A model as a worker announces it."""
    return model_pb2.Model(
        name="models/toybox",
        display_name="Toybox",
        version="1",
        digest="sha256:00",
        features=[
            model_pb2.Model.FEATURE_IMAGE_TO_VIDEO,
            model_pb2.Model.FEATURE_EDIT,
            model_pb2.Model.FEATURE_EXTEND,
        ],
        limits=model_pb2.ModelLimits(
            sizes=[video_pb2.Size(width=128, height=128)],
            min_num_frames=1,
            max_num_frames=33,
            frames_multiple=4,
            min_num_inference_steps=1,
            max_num_inference_steps=100,
            min_fps=4,
            max_fps=30,
            min_guidance_scale=1,
            max_guidance_scale=20,
            samplers=["euler"],
            max_context_frames=21,
        ),
        defaults=video_pb2.VideoSpec(
            num_inference_steps=4,
            guidance_scale=4,
            duration=Duration(seconds=2),
            fps=16,
            size=video_pb2.Size(width=128, height=128),
            sampler="euler",
        ),
    )


@dataclass(frozen=True)
class Gateway:
    """A running gateway and the rooms below it, to act as a worker would."""

    address: str
    http_url: str
    videos: "video_service_pb2_grpc.VideoServiceAsyncStub"
    models: "model_service_pb2_grpc.ModelServiceAsyncStub"
    accounts: "account_service_pb2_grpc.AccountServiceAsyncStub"
    jobs: JobStore
    directory: ModelDirectory
    objects: LocalObjectStore
    objects_folder: Path

    async def create(self, **fields: Any) -> video_pb2.Video:
        """Queues a video through the gateway."""
        spec = video_pb2.VideoSpec(**{"prompt": "a red circle", **fields})
        return await self.videos.CreateVideo(video_service_pb2.CreateVideoRequest(spec=spec))

    async def claim(self) -> Lease:
        """Takes the next video, as a worker does."""
        assignment = await claim(self.jobs, lease_seconds=30)
        assert assignment is not None
        return assignment.lease

    async def step(self, lease: Lease, step_index: int, *, preview: bytes = b"") -> None:
        """Finishes a denoising step, as a worker does."""
        step = FinishedStep(
            step_index=step_index,
            num_inference_steps=4,
            sigma=1 - step_index / 4,
            elapsed_seconds=step_index,
            eta_seconds=4 - step_index,
            preview=preview,
            preview_content_type="image/webp" if preview else "",
        )
        await self.jobs.finish_step(lease, step)

    async def finish(
        self,
        lease: Lease,
        content: bytes,
        *,
        webm: bytes = b"",
        thumbnail: bytes = b"",
        spritesheet: bytes = b"",
    ) -> video_pb2.Video:
        """Stores a video's files and ends it SUCCEEDED, as a worker does."""
        files = [("video.mp4", video_pb2.Artifact.KIND_VIDEO, "video/mp4", content)]
        if webm:
            files.append(("video.webm", video_pb2.Artifact.KIND_VIDEO, "video/webm", webm))
        if thumbnail:
            kind = video_pb2.Artifact.KIND_THUMBNAIL
            files.append(("thumbnail.webp", kind, "image/webp", thumbnail))
        if spritesheet:
            kind = video_pb2.Artifact.KIND_SPRITESHEET
            files.append(("spritesheet.webp", kind, "image/webp", spritesheet))
        video = await self.jobs.get(lease.video_name)
        artifacts = []
        for artifact_id, kind, content_type, data in files:
            stored = await self.objects.put(artifact_key(video, artifact_id), data)
            artifacts.append(
                video_pb2.Artifact(
                    artifact_id=artifact_id,
                    kind=kind,
                    content_type=content_type,
                    size_bytes=stored.size_bytes,
                    digest=stored.digest,
                )
            )
        return await self.jobs.complete(lease, artifacts)


@pytest.fixture
def gateway_settings() -> dict[str, Any]:
    """What a test module sets of the gateway."""
    return {}


@pytest.fixture
def sections() -> dict[str, Any]:
    """Sections of the gateway's settings beside those that every test needs."""
    return {}


@pytest.fixture
async def gateway(
    redis_url: str,
    tmp_path: Path,
    toybox: model_pb2.Model,
    gateway_settings: dict[str, Any],
    sections: dict[str, Any],
) -> AsyncIterator[Gateway]:
    """A gateway whose only model is toybox."""
    settings = Settings(
        gateway=GatewaySettings(
            stop_grace_seconds=0.5,
            upload_idle_seconds=1.0,
            http_address_file=tmp_path / "http.address",
            **gateway_settings,
        ),
        redis=RedisSettings(url=redis_url),
        storage=StorageSettings(url=str(tmp_path / "objects")),
        **sections,
    )
    redis = connect_redis(redis_url)
    directory = ModelDirectory(redis)
    await directory.publish(toybox, worker_id="worker-1", ttl_seconds=60)
    async with serve(settings) as address, grpc.aio.insecure_channel(address) as channel:
        yield Gateway(
            address=address,
            http_url=f"http://{(tmp_path / 'http.address').read_text().strip()}",
            videos=video_service_pb2_grpc.VideoServiceStub(channel),
            models=model_service_pb2_grpc.ModelServiceStub(channel),
            accounts=account_service_pb2_grpc.AccountServiceStub(channel),
            jobs=JobStore(redis),
            directory=directory,
            objects=LocalObjectStore(tmp_path / "objects"),
            objects_folder=tmp_path / "objects",
        )
    await redis.aclose()


@dataclass(frozen=True)
class Refusal:
    """What a client is told of an error; `field` is the same in every detail that has one."""

    code: grpc.StatusCode
    reason: str
    field: str
    message: str
    metadata: dict[str, str]
    retry_seconds: float | None


def refusal_of(error: grpc.aio.AioRpcError) -> Refusal:
    """Reads an error's google.rpc details, which every error of ours has."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    assert status is not None, f"no details: {error}"
    info = error_details_pb2.ErrorInfo()
    bad_request = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    has_retry = False
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad_request)
        has_retry = detail.Unpack(retry) or has_retry
    assert info.domain == "telecine.dev"
    for violation in bad_request.field_violations:
        assert violation.field == info.metadata["field"]
    return Refusal(
        code=error.code(),
        reason=info.reason,
        field=info.metadata.get("field", ""),
        message=status.message,
        metadata=dict(info.metadata),
        retry_seconds=retry.retry_delay.ToMilliseconds() / 1000 if has_retry else None,
    )


@pytest.fixture
def explained() -> Callable[[grpc.aio.AioRpcError], Refusal]:
    """Reads what a call that failed was told."""
    return refusal_of


@pytest.fixture
def refused() -> Callable[[Awaitable[object]], Awaitable[Refusal]]:
    """Awaits a call that must fail and returns what it was told."""

    async def run(call: Awaitable[object]) -> Refusal:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
        return refusal_of(raised.value)

    return run
