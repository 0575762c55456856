"""Simulated processes: generators that yield what they wait for."""

from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import Lease


@dataclass(frozen=True)
class Sleep:
    """Time passes: work on the GPU, a pause between two looks."""

    seconds: float


@dataclass(frozen=True)
class Call:
    """A Redis function called through the store.

    Attributes:
        function: its name in the library.
        make: makes the call.
        lease: what a holder calls with.
        facts: what the checker needs to know of the arguments.
    """

    function: str
    make: Callable[[JobStore], Coroutine[Any, Any, Any]]
    lease: Lease | None = None
    facts: dict[str, Any] = field(default_factory=dict)


Request: TypeAlias = Sleep | Call
Behaviour: TypeAlias = Generator[Request, Any, None]


@dataclass
class Process:
    """One running process; a killed one never runs again.

    Attributes:
        role: client, gateway or worker.
        restart: starts its successor.
        store: through which it calls Redis.
    """

    role: str
    name: str
    behaviour: Behaviour
    restart: Callable[[], None]
    store: JobStore
