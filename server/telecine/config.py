"""All settings: one frozen tree, read from a TOML file and the environment.

`TELECINE_REDIS__URL=redis://...` in the environment wins over `url` in the file's
`[redis]` table. Only telecine.cli loads settings; each part is handed its section.
"""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from telecine.auth_settings import AuthSettings, TlsSettings
from telecine.settings_errors import refuse_unknown_sections, told_in_a_line
from telecine.settings_section import (
    Count,
    CreditRate,
    Credits,
    Days,
    Factor,
    Port,
    ResourceId,
    ResourceIds,
    Seconds,
    Section,
    Weight,
)
from telecine.webhook_settings import WebhookSettings


class GatewaySettings(Section):
    """The process that clients speak to.

    Attributes:
        port: 0 lets the system choose; `address_file` tells which it was.
        address_file: where the bound `host:port` is written once the gateway serves.
        http_port: that of the HTTP edge; 0 as for `port`.
        http_address_file: as `address_file`, for the HTTP edge.
        public_url: where clients find the HTTP edge; empty for where each request has found it.
        outside_hosts: the only hosts that pictures are fetched from and webhooks are sent to, even
            at private addresses; empty for all that have public ones.
        cors_origins: web pages of these origins may call the HTTP edge; `*` for any.
        max_message_bytes: the largest message taken; media come in chunks instead.
        default_model: the model of a request that names none.
        probe_seconds: how often Redis is probed for the health service.
        max_open_streams: watches and downloads that a tenant may have open at this gateway.
        max_open_uploads: uploads of a tenant that may be under way at this gateway.
        upload_idle_seconds: how long an upload may bring nothing before it is dropped.
        upload_kept_days: how long an upload is kept after it was made or last used.
        video_kept_days: as long a video is kept after its end; None for as long as its owner wants.
        revocation_seconds: how often it is looked whether the keys of open streams still count.
        stop_grace_seconds: how long running calls may go on after a stop signal.
        tls: the certificates; None serves without TLS.
    """

    host: str = "127.0.0.1"
    port: Port = 0
    address_file: Path | None = None
    http_port: Port = 0
    http_address_file: Path | None = None
    public_url: Annotated[str, Field(pattern=r"^(https?://[^\s/?#@]+(/[^\s?#]*)?)?$")] = ""
    outside_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    max_message_bytes: Count = 4 * 1024 * 1024
    default_model: str = "toybox"
    probe_seconds: Seconds = 1.0
    max_open_streams: Count = 10_000
    max_open_uploads: Count = 16
    upload_idle_seconds: Seconds = 30.0
    upload_kept_days: Days = 30.0
    video_kept_days: Days | None = None
    revocation_seconds: Seconds = 2.0
    stop_grace_seconds: Seconds = 5.0
    auth: AuthSettings = AuthSettings()
    tls: TlsSettings | None = None


class RedisSettings(Section):
    """The store of jobs and events.

    Attributes:
        memory_folder: where each process notes how far it has seen the store, so that one that
            loses its newest writes while the process is down is found out; None for nowhere.
    """

    url: Annotated[str, Field(pattern=r"^(rediss?|unix)://")] = "redis://127.0.0.1:6379/0"
    memory_folder: Path | None = None


class TritonSettings(Section):
    """The model server."""

    grpc_url: str = "127.0.0.1:8001"


class StorageSettings(Section):
    """Where artifacts and uploads lie.

    Attributes:
        url: a folder, or `s3://bucket/prefix?endpoint=https://host:port&region=name`; see
            telecine.storage.open_object_store.
    """

    url: str = "var/objects"


class PromptSettings(Section):
    """How prompts are expanded, where a request asks for it.

    Attributes:
        expander_url: of a service that speaks OpenAI's chat completions, up to and with `/v1`;
            empty for rules, which need no model.
        expander_model: the chat model's name there.
        expander_timeout_seconds: how long its answer may take in all; then the rules are used.
    """

    expander_url: Annotated[str, Field(pattern=r"^(https?://\S+)?$")] = ""
    expander_model: str = ""
    expander_api_key: SecretStr = SecretStr("")
    expander_timeout_seconds: Seconds = 10.0


class TierWeights(Section):
    """The share of each tier in the workers, in relation to the others."""

    realtime: Weight = 16.0
    premium: Weight = 8.0
    standard: Weight = 4.0
    batch: Weight = 1.0


class QueueSettings(Section):
    """How videos wait and in which order; the same for all gateways and workers.

    Attributes:
        max_queued: videos that may wait, of all tenants together.
        max_queued_per_tenant: videos of one tenant that may wait.
        max_running_per_tenant: videos of one tenant that are made at a time; more wait.
        quantum_seconds: GPU time that a running video may be ahead of its share before another
            takes its place; larger ones cost fewer switches.
    """

    max_queued: Count = 10_000
    max_queued_per_tenant: Count = 2_000
    max_running_per_tenant: Count = 64
    tier_weights: TierWeights = TierWeights()
    quantum_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 2.0


class WorkerSettings(Section):
    """A worker process.

    Attributes:
        worker_id: unique among live workers; empty for one drawn at the start.
        models: the models it serves: built-in ones by name, folders by path, and published ones
            as `model` or `model@version`.
        model_registry: where models are published, as in `storage.url`; empty for nowhere.
        model_cache_folder: where published models are kept on this machine.
        model_cache_bytes: what they may take there; those used the longest time ago go first.
        triton_repository: the folder that the worker's Triton server reads, into which published
            models are put.
        added_models_folder: where `telecine models add` puts what it adds, which is served at
            once; None for nowhere.
        memory_bytes: device memory that it may fill with models and one video; 0 for no limit.
        lease_seconds: how long a job stays its own after its last sign of life.
        heartbeat_seconds: how often a held job is asked after; a cancel is seen this soon.
        backlog: jobs held at a time, the one on the GPU included.
        slice_steps: denoising steps between two checkpoints.
        checkpoint_folder: on a fast disk of this machine.
        checkpoint_quota_bytes: what checkpoints may take there, of all workers together.
        checkpoint_url: where they are copied to, so that another machine can go on; as in
            `storage.url`. Empty for nowhere.
        embeddings_cache_bytes: what encoded prompts may take in memory; those used the longest
            time ago go first.
        stream_timeout_seconds: silence after which a model server's stream counts as dead.
        model_server_patience_seconds: how long a job is kept while the model server is away,
            before another worker may have it.
    """

    worker_id: Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,63})?$")] = ""
    models: tuple[str, ...] = ("toybox",)
    model_registry: str = ""
    model_cache_folder: Path = Path("var/models")
    model_cache_bytes: Count = 64 << 30
    triton_repository: Path | None = None
    added_models_folder: Path | None = None
    memory_bytes: Annotated[int, Field(ge=0)] = 0
    lease_seconds: Seconds = 15.0
    heartbeat_seconds: Seconds = 0.5
    backlog: Count = 3
    slice_steps: Count = 10
    checkpoint_folder: Path = Path("var/checkpoints")
    checkpoint_quota_bytes: Count = 8 << 30
    checkpoint_url: str = ""
    previews_per_video: Annotated[int, Field(ge=0)] = 5
    embeddings_cache_bytes: Annotated[int, Field(ge=0)] = 256 << 20
    stream_timeout_seconds: Seconds = 60.0
    model_server_patience_seconds: Seconds = 60.0


class TierPrices(Section):
    """What a tier's price is multiplied by."""

    realtime: Factor = Decimal(2)
    premium: Factor = Decimal("1.5")
    standard: Factor = Decimal(1)
    batch: Factor = Decimal("0.5")


class PriceSettings(Section):
    """What a video costs, in credits; see docs/billing.md.

    Attributes:
        credits_per_second: of a video of one megapixel, STANDARD and silent; 0 makes all free.
        models: what a model's price is multiplied by, by its id; 1 where it is not named.
        sound: what the price of a video with sound is multiplied by.
    """

    credits_per_second: Credits = Decimal(1)
    models: dict[ResourceId, Factor] = Field(default_factory=dict)
    tiers: TierPrices = TierPrices()
    sound: Factor = Decimal("1.25")


class QuotaSettings(Section):
    """How much a tenant may use, unless UpdateQuota has set something else for it.

    Attributes:
        monthly_credits: what the videos accepted in a month may cost; None for no limit, as in all
            that follow. Months and days are UTC's.
        daily_credits: what those of a day may cost.
        max_open_videos: videos that have not ended.
        max_stored_bytes: size of the files of all videos and of the uploads; nothing is taken once
            they are as large.
        credits_per_second: credits that may be reserved a second, on average.
        requests_per_second: calls a second, on average.
        key_credits_per_second: as credits_per_second, for each of a tenant's keys.
        key_requests_per_second: as requests_per_second, for each of a tenant's keys.
        burst_seconds: how much of these may come at once: what they give in this time.
        tiers: the tiers that may be asked for, that of a request without one first; all where none
            is named.
    """

    monthly_credits: Credits | None = None
    daily_credits: Credits | None = None
    max_open_videos: Annotated[int, Field(ge=0)] | None = None
    max_stored_bytes: Annotated[int, Field(ge=0)] | None = None
    credits_per_second: CreditRate | None = None
    requests_per_second: Count | None = None
    key_credits_per_second: CreditRate | None = None
    key_requests_per_second: Count | None = None
    burst_seconds: Seconds = 10.0
    tiers: tuple[Literal["realtime", "premium", "standard", "batch"], ...] = ()


class RouterSettings(Section):
    """How requests find their models.

    Attributes:
        aliases: other names of models: that of one, or of several, of which the first that a worker
            serves is taken.
    """

    aliases: dict[ResourceId, ResourceId | ResourceIds] = Field(default_factory=dict)


class LogSettings(Section):
    """What is logged, to standard error, one JSON object a line."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="TELECINE_", env_nested_delimiter="__"
    )

    gateway: GatewaySettings = GatewaySettings()
    redis: RedisSettings = RedisSettings()
    queue: QueueSettings = QueueSettings()
    triton: TritonSettings = TritonSettings()
    storage: StorageSettings = StorageSettings()
    prompts: PromptSettings = PromptSettings()
    worker: WorkerSettings = WorkerSettings()
    prices: PriceSettings = PriceSettings()
    quota: QuotaSettings = QuotaSettings()
    router: RouterSettings = RouterSettings()
    webhooks: WebhookSettings = WebhookSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(  # noqa: PLR0917
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Puts arguments before the environment before the TOML file."""
        refuse_unknown_sections(env_settings, cls.model_fields)
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings(path: Path | None = None) -> Settings:
    """Returns the settings of the TOML file at `path` and the environment.

    Raises:
        FileNotFoundError: there is no file at `path`.
        SettingsError: a key is unknown or a value does not fit; the message names it.
    """
    if path is not None and not path.is_file():
        raise FileNotFoundError(f"no settings file at {path}")

    class SettingsOfFile(Settings):
        model_config = SettingsConfigDict(toml_file=path)

    with told_in_a_line(path):
        return SettingsOfFile()
