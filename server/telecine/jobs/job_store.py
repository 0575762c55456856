"""The queue of videos: what clients and workers do to them, each in one atomic step.

Every change of a video's state is a Redis function (functions/*.lua); this is their Python
face, for clients in client_calls.py and for workers in worker_calls.py.
"""

from collections.abc import Mapping

from redis.asyncio import Redis

from telecine.config import QueueSettings
from telecine.jobs import keys
from telecine.jobs.account_calls import AccountCalls
from telecine.jobs.client_calls import ClientCalls
from telecine.jobs.fair_scheduler import TIER_WEIGHTS, tier_word
from telecine.jobs.function_library import FunctionLibrary
from telecine.jobs.job_types import QueueLimits
from telecine.jobs.store_epoch import StoreMemory
from telecine.jobs.wake_channel import WakeChannel
from telecine.jobs.worker_calls import MAX_LOST_LEASES, WorkerCalls
from telecine.v1 import video_pb2

__all__ = ["MAX_LOST_LEASES", "JobStore", "open_job_store"]

_DEFAULT_LIMITS = QueueLimits()


def open_job_store(
    redis: Redis, settings: QueueSettings, *, memory: StoreMemory | None = None
) -> "JobStore":
    """Returns the job store as a process is set to use it; `memory` as JobStore has it."""
    return JobStore(
        redis,
        limits=QueueLimits(
            max_queued=settings.max_queued,
            max_queued_per_tenant=settings.max_queued_per_tenant,
            max_running_per_tenant=settings.max_running_per_tenant,
        ),
        tier_weights={
            tier: getattr(settings.tier_weights, tier_word(tier)) for tier in TIER_WEIGHTS
        },
        quantum_seconds=settings.quantum_seconds,
        memory=memory,
    )


class JobStore(ClientCalls, WorkerCalls, AccountCalls):
    """The videos of one shard.

    All methods raise StoreUnavailableError while Redis cannot be reached, and need no restart
    once it can be again.

    Args:
        redis: a client of the store.
        shard: the shard whose videos these are.
        limits: how much may wait and run.
        tier_weights: the share of each tier, in relation to the others.
        quantum_seconds: GPU time that a running video may be ahead of its share before another
            one takes its place.
        memory: how far this process has seen the store; None for what it sees from now on.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        shard: str = "0",
        limits: QueueLimits = _DEFAULT_LIMITS,
        tier_weights: Mapping[video_pb2.Tier.ValueType, float] = TIER_WEIGHTS,
        quantum_seconds: float = 2.0,
        memory: StoreMemory | None = None,
    ) -> None:
        queue = keys.queue_key(shard)
        self._redis = redis
        self._library = FunctionLibrary(redis, queue, memory=memory)
        self._wake = WakeChannel(redis, queue)
        self._limits = limits
        self._tier_weights = tier_weights
        self._quantum_seconds = quantum_seconds

    @property
    def epoch(self) -> int:
        """How many times the store is known to have lost writes that it had answered."""
        return self._library.memory.epoch

    async def close(self) -> None:
        """Ends the store's own connection; the client it was given stays open."""
        await self._wake.close()

    async def load_functions(self) -> None:
        """Loads the functions that this version was written for, beside older ones."""
        await self._library.load()

    async def wait_for_work(self, timeout_seconds: float) -> None:
        """Returns when a video was queued since the last such wait, or after the time-out."""
        await self._wake.wait(timeout_seconds)
