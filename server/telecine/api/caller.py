"""Who calls, and what that caller may do."""

from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum

from telecine.v1 import video_pb2


class Scope(StrEnum):
    """What a caller may do."""

    VIDEOS_READ = "videos:read"
    VIDEOS_WRITE = "videos:write"
    KEYS_MANAGE = "keys:manage"  # API keys of its own tenant, with no more scopes than its own
    ADMIN = "admin"  # workers; with `keys:manage`, keys of every tenant


@dataclass(frozen=True)
class Caller:
    """Whoever makes a call.

    Attributes:
        tenant: whose videos the call is about; nobody sees another tenant's.
        principal: the key or the token's subject, for logs.
        scopes: what it may do.
        tiers: those that its videos may have, the default first; empty for all.
        key_id: the API key that was shown; empty where none was.
        expire_time: when its credentials end, in seconds since 1970; None for never.
    """

    tenant: str
    principal: str
    scopes: frozenset[str]
    tiers: tuple[video_pb2.Tier.ValueType, ...] = ()
    key_id: str = ""
    expire_time: float | None = None


# Whoever reaches a gateway that serves this machine alone and asks for no key.
LOCAL_CALLER = Caller(tenant="default", principal="local", scopes=frozenset(Scope))

# Whoever asks for what tells nothing of anyone's; no tenant has that name.
ANYONE = Caller(tenant="", principal="anyone", scopes=frozenset())

_current: ContextVar[Caller] = ContextVar("caller", default=LOCAL_CALLER)


def current_caller() -> Caller:
    """Returns who makes the call that runs in this task."""
    return _current.get()


def set_current_caller(caller: Caller) -> None:
    """Names who makes the call that runs in this task; an edge does it before anything else."""
    _current.set(caller)
