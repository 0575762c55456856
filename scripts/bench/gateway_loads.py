"""The loads that gateway.py puts on a server: unary calls, many watchers, one that stalls."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration

from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import Capability, FinishedStep, Lease
from telecine.v1 import model_pb2, video_pb2, video_service_pb2, video_service_pb2_grpc

CALLS_AT_ONCE = 64
NUM_STEPS = 1000  # what a step says it is one of; no load finishes them all

MODEL = model_pb2.Model(
    name="models/toybox",
    version="1",
    digest="sha256:00",
    limits=model_pb2.ModelLimits(
        sizes=[video_pb2.Size(width=128, height=128)],
        min_num_frames=1,
        max_num_frames=33,
        frames_multiple=4,
        min_num_inference_steps=1,
        max_num_inference_steps=NUM_STEPS,
        min_fps=4,
        max_fps=30,
        min_guidance_scale=1,
        max_guidance_scale=20,
        samplers=["euler"],
    ),
    defaults=video_pb2.VideoSpec(
        num_inference_steps=24,
        guidance_scale=4,
        duration=Duration(seconds=2),
        fps=16,
        size=video_pb2.Size(width=128, height=128),
        sampler="euler",
    ),
)
CAPABILITY = Capability(models=("toybox",), loaded_models=("toybox",), memory_bytes=0)
CREATION = video_service_pb2.CreateVideoRequest(
    spec=video_pb2.VideoSpec(prompt="a small red circle moves left over a blue background")
)


def stub_of(channel: grpc.aio.Channel) -> Any:
    """Returns the stub of VideoService on a channel of grpc.aio."""
    return video_service_pb2_grpc.VideoServiceStub(channel)


async def calls_per_second(call: Callable[[], Awaitable[Any]], num_calls: int) -> float:
    """Makes the call so many times, 64 at once, and returns its rate."""
    left = iter(range(num_calls))

    async def caller() -> None:
        for _ in left:
            await call()

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLS_AT_ONCE)))
    return num_calls / (time.perf_counter() - started)


async def start_watchers(stub: Any, name: str, num_watchers: int) -> Sequence[Any]:
    """Returns so many open WatchVideo calls, each past its first event."""
    request = video_service_pb2.WatchVideoRequest(name=name)
    calls = [stub.WatchVideo(request) for _ in range(num_watchers)]
    await asyncio.gather(*(call.read() for call in calls))
    return calls


async def read_steps(call: Any, num_steps: int, arrivals: list[tuple[int, float]]) -> None:
    """Reads so many steps and notes when each came."""
    left = num_steps
    while left:
        event = await call.read()
        if event.HasField("step_finished"):
            arrivals.append((event.step_finished.step_index, time.perf_counter()))
            left -= 1
    call.cancel()


class Worker:
    """Holds one video and finishes its steps as a worker does, without a model."""

    def __init__(self, jobs: JobStore, lease: Lease) -> None:
        self._jobs = jobs
        self._lease = lease
        self._step_index = 0
        self.name = lease.video_name
        self.step_times: dict[int, float] = {}

    @classmethod
    async def with_new_video(cls, stub: Any, jobs: JobStore) -> "Worker":
        """Queues a video through the gateway and claims whatever is next."""
        await stub.CreateVideo(CREATION)
        assignment = await jobs.claim(
            "bench", capability=CAPABILITY, slice_steps=10, lease_seconds=120
        )
        if assignment is None:
            raise RuntimeError("the video just queued cannot be claimed")
        return cls(jobs, assignment.lease)

    async def finish_step(self, preview: bytes = b"") -> None:
        """Finishes the next step and notes when it did."""
        self._step_index += 1
        step = FinishedStep(
            step_index=self._step_index,
            num_inference_steps=NUM_STEPS,
            sigma=1 - self._step_index / NUM_STEPS,
            elapsed_seconds=1.0,
            eta_seconds=1.0,
            preview=preview,
            preview_content_type="image/webp",
        )
        self.step_times[self._step_index] = time.perf_counter()
        await self._jobs.finish_step(self._lease, step)

    async def end(self) -> None:
        """Hands the video back for good."""
        await self._jobs.cancel(self.name)
        await self._jobs.acknowledge_cancel(self._lease)
