"""The gateway process: what clients speak to."""

import asyncio
import contextlib
import gc
import resource
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import grpc
import structlog
from redis.asyncio import Redis

from telecine.api.auth.authenticator import open_authenticator, require_safe_address
from telecine.api.auth.open_streams import OpenStreams
from telecine.api.device_memory import DeviceMemory
from telecine.api.expiry import expire_media, expire_videos
from telecine.api.gateway_parts import GatewayParts
from telecine.api.grpc_server import SERVICE_NAMES, build_server
from telecine.api.guarded_client import GuardedClient
from telecine.api.health_service import NOT_SERVING, HealthServicer
from telecine.api.http_server import HttpServer, build_app
from telecine.api.model_catalog import ModelCatalog
from telecine.api.open_calls import OpenCalls
from telecine.api.price_list import PriceList
from telecine.api.quota_manager import QuotaManager
from telecine.api.rate_limiter import open_rate_limiter
from telecine.api.request_router import RequestRouter
from telecine.api.store_monitor import StoreMonitor
from telecine.api.tls import server_credentials
from telecine.api.webhook_addresses import WebhookAddresses
from telecine.api.webhook_sender import WebhookSender
from telecine.config import GatewaySettings, Settings
from telecine.errors import StoreUnavailableError
from telecine.jobs.account_store import AccountStore
from telecine.jobs.api_key_store import ApiKeyStore
from telecine.jobs.event_hub import EventHub
from telecine.jobs.job_store import JobStore, open_job_store
from telecine.jobs.media_store import MediaStore
from telecine.jobs.model_directory import ModelDirectory
from telecine.jobs.redis_client import connect_redis, translated_errors
from telecine.jobs.store_epoch import memory_of
from telecine.jobs.video_feed import VideoFeed
from telecine.jobs.webhook_queue import WebhookQueue
from telecine.jobs.worker_directory import WorkerDirectory
from telecine.prompts import open_expander
from telecine.settings_section import SECONDS_A_DAY
from telecine.storage import open_object_store
from telecine.work_folder import work_folder

_log = structlog.get_logger(__name__)
_EXPIRE_SECONDS = 1.0
# A call makes hundreds of objects and no cycles: Python's own thresholds would look through
# those of all open calls at nearly each of them.
_COLLECTION_THRESHOLDS = (20_000, 20, 50)


async def run_gateway(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT, then lets running calls end and returns.

    Redis need not be there: until it is, calls answer UNAVAILABLE and health NOT_SERVING.
    """
    _raise_open_files()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with work_folder():
        async with serve(settings):
            gc.freeze()  # all that is loaded stays: let no collection look through it again
            gc.set_threshold(*_COLLECTION_THRESHOLDS)
            await stop.wait()


@asynccontextmanager
async def serve(settings: Settings) -> AsyncIterator[str]:
    """Yields the address bound, with the gateway serving there until the block ends.

    Raises:
        UnsafeAddressError: other machines could reach it, and nobody would be asked for a key.
    """
    require_safe_address(settings.gateway)
    async with _open_parts(settings) as (parts, redis):
        health = HealthServicer(SERVICE_NAMES)
        server = build_server(parts, health)
        monitor = StoreMonitor(
            partial(_probe_store, redis), health, probe_seconds=settings.gateway.probe_seconds
        )
        await monitor.probe()
        address = _bind(server, settings.gateway)
        http_server = HttpServer(build_app(parts, settings.gateway, health), settings.gateway)
        http_address = await http_server.start()
        await server.start()
        background = [
            asyncio.create_task(monitor.run()),
            asyncio.create_task(_expire_deadlines(parts.jobs)),
            *_expiring(parts, settings.gateway),
            asyncio.create_task(parts.open_streams.run()),
            asyncio.create_task(_send_webhooks(redis, settings)),
        ]
        _publish_address(settings.gateway.http_address_file, http_address)
        _publish_address(settings.gateway.address_file, address)
        _log.info("gateway serves", **{"server.address": address, "url.domain": http_address})
        try:
            yield address
        finally:
            for task in background:
                task.cancel()
            await health.set(NOT_SERVING)
            stopping = asyncio.gather(
                server.stop(settings.gateway.stop_grace_seconds), http_server.stop()
            )
            # Watchers would use up the whole grace.
            await asyncio.gather(parts.hub.close(), parts.feed.close(), parts.workers.close())
            await stopping
            _log.info("gateway stopped")


def _raise_open_files() -> None:
    """Takes as many files and connections as this process may: the usual 1,024 are soon idle."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _bind(server: grpc.aio.Server, settings: GatewaySettings) -> str:
    target = f"{settings.host}:{settings.port}"
    if settings.tls is None:
        return f"{settings.host}:{server.add_insecure_port(target)}"
    return f"{settings.host}:{server.add_secure_port(target, server_credentials(settings.tls))}"


@asynccontextmanager
async def _open_parts(settings: Settings) -> AsyncIterator[tuple[GatewayParts, Redis]]:
    """Yields the rooms below; nothing is connected before it is used."""
    redis = connect_redis(settings.redis.url)
    jobs = open_job_store(
        redis, settings.queue, memory=memory_of(settings.redis.memory_folder, "gateway")
    )
    hub = EventHub(redis)
    feed = VideoFeed(redis)
    workers = WorkerDirectory(redis)
    models = ModelCatalog(ModelDirectory(redis))
    quotas = QuotaManager(AccountStore(redis), settings.quota)
    expander = open_expander(settings.prompts)
    api_keys = ApiKeyStore(redis)
    authenticator = open_authenticator(settings.gateway, api_keys)
    web = GuardedClient(settings.gateway.outside_hosts)
    try:
        parts = GatewayParts(
            jobs=jobs,
            hub=hub,
            feed=feed,
            models=models,
            workers=workers,
            devices=DeviceMemory(workers),
            objects=open_object_store(settings.storage.url),
            media=MediaStore(redis, kept_seconds=settings.gateway.upload_kept_days * SECONDS_A_DAY),
            expander=expander,
            api_keys=api_keys,
            authenticator=authenticator,
            open_streams=OpenStreams(
                api_keys,
                OpenCalls("gateway.max_open_streams", settings.gateway.max_open_streams),
                poll_seconds=settings.gateway.revocation_seconds,
            ),
            open_uploads=OpenCalls("gateway.max_open_uploads", settings.gateway.max_open_uploads),
            router=RequestRouter(
                models, settings.router, default_model=settings.gateway.default_model
            ),
            prices=PriceList(settings.prices),
            quotas=quotas,
            rate_limiter=open_rate_limiter(jobs, quotas, settings.quota),
            web=web,
            webhooks=WebhookAddresses(settings.webhooks, web),
            max_message_bytes=settings.gateway.max_message_bytes,
            upload_idle_seconds=settings.gateway.upload_idle_seconds,
        )
        yield parts, redis
    finally:
        for room in (expander, authenticator, web, hub, feed, workers, jobs):
            await room.close()
        await redis.aclose()


def _expiring(parts: GatewayParts, settings: GatewaySettings) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(expire_media(parts))]
    if settings.video_kept_days is not None:
        kept_seconds = settings.video_kept_days * SECONDS_A_DAY
        tasks.append(asyncio.create_task(expire_videos(parts, kept_seconds=kept_seconds)))
    return tasks


async def _send_webhooks(redis: Redis, settings: Settings) -> None:
    """Tells receivers for ever, over connections that no fetch of a picture can use up."""
    web = GuardedClient(settings.gateway.outside_hosts)
    try:
        await WebhookSender(WebhookQueue(redis), web, settings.webhooks).run()
    finally:
        await web.close()


async def _expire_deadlines(jobs: JobStore) -> None:
    """Ends videos that waited too long: a queue without workers has nobody else to do it."""
    while True:
        await asyncio.sleep(_EXPIRE_SECONDS)
        with contextlib.suppress(StoreUnavailableError):
            if num_expired := await jobs.expire_deadlines():
                _log.info("deadlines expired", num_expired=num_expired)


async def _probe_store(redis: Redis) -> None:
    with translated_errors():
        await redis.ping()


def _publish_address(file: Path | None, address: str) -> None:
    """Writes the address so that a reader finds all of it or no file."""
    if file is None:
        return
    draft = file.with_suffix(".tmp")
    draft.write_text(f"{address}\n")
    draft.replace(file)
