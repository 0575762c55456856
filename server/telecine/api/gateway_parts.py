"""What the service functions work with; one of it a gateway."""

from dataclasses import dataclass

from telecine.api.guarded_client import GuardedClient
from telecine.api.model_catalog import ModelCatalog
from telecine.jobs.event_hub import EventHub
from telecine.jobs.job_store import JobStore
from telecine.jobs.worker_directory import WorkerDirectory
from telecine.storage.object_store import ObjectStore


@dataclass(frozen=True)
class GatewayParts:
    """The rooms below the gateway.

    Attributes:
        web: for what callers point to by URL.
        default_model: the name of the model that a request without one gets.
        max_message_bytes: what an answer must stay under, so that every client can read it.
        upload_idle_seconds: how long an upload may bring nothing before it is dropped.
    """

    jobs: JobStore
    hub: EventHub
    models: ModelCatalog
    workers: WorkerDirectory
    objects: ObjectStore
    web: GuardedClient
    default_model: str
    max_message_bytes: int
    upload_idle_seconds: float
