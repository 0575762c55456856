"""What the service functions work with; one of it a gateway."""

from dataclasses import dataclass

from telecine.api.auth.authenticator import Authenticator
from telecine.api.auth.open_streams import OpenStreams
from telecine.api.device_memory import DeviceMemory
from telecine.api.guarded_client import GuardedClient
from telecine.api.model_catalog import ModelCatalog
from telecine.api.open_calls import OpenCalls
from telecine.api.price_list import PriceList
from telecine.api.quota_manager import QuotaManager
from telecine.api.rate_limiter import RateLimiter
from telecine.api.request_router import RequestRouter
from telecine.api.webhook_addresses import WebhookAddresses
from telecine.jobs.api_key_store import ApiKeyStore
from telecine.jobs.event_hub import EventHub
from telecine.jobs.job_store import JobStore
from telecine.jobs.media_store import MediaStore
from telecine.jobs.video_feed import VideoFeed
from telecine.jobs.worker_directory import WorkerDirectory
from telecine.prompts.prompt_expander import PromptExpander
from telecine.storage.object_store import ObjectStore


@dataclass(frozen=True)
class GatewayParts:
    """The rooms below the gateway.

    Attributes:
        media: what is known of the uploads among the objects.
        authenticator: says who makes a call; an edge asks it before anything else.
        open_streams: ends a caller's streams with its credentials.
        open_uploads: counts the uploads of each tenant that are under way.
        router: finds the models of requests.
        prices: what videos cost.
        quotas: how much tenants may use.
        rate_limiter: how fast callers may call; None where the settings name no pace.
        web: for what callers point to by URL.
        webhooks: where callers are told that their videos have ended.
        max_message_bytes: what an answer must stay under, so that every client can read it.
        upload_idle_seconds: how long an upload may bring nothing before it is dropped.
    """

    jobs: JobStore
    hub: EventHub
    feed: VideoFeed
    models: ModelCatalog
    workers: WorkerDirectory
    devices: DeviceMemory
    objects: ObjectStore
    media: MediaStore
    expander: PromptExpander
    api_keys: ApiKeyStore
    authenticator: Authenticator
    open_streams: OpenStreams
    open_uploads: OpenCalls
    router: RequestRouter
    prices: PriceList
    quotas: QuotaManager
    rate_limiter: RateLimiter | None
    web: GuardedClient
    webhooks: WebhookAddresses
    max_message_bytes: int
    upload_idle_seconds: float
