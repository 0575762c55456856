"""Where faults must have struck: every pair of a process and a write boundary."""

import re
from collections import Counter
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from simulation.faults import Boundary, Fault, Place
from telecine.jobs.function_library import library_source

# Which functions each role calls.
FUNCTIONS_OF_ROLES: Mapping[str, tuple[str, ...]] = {
    "client": ("submit", "get", "cancel", "pause", "resume", "delete"),
    "gateway": ("expire_deadlines", "announce_positions", "get_many"),
    "worker": (
        "claim",
        "heartbeat",
        "enter_stage",
        "finish_step",
        "notify",
        "announce_fragment",
        "finish_slice",
        "commit_checkpoint",
        "complete",
        "fail",
        "acknowledge_cancel",
        "acknowledge_pause",
        "requeue",
        "expire_leases",
        "expire_deadlines",
        "notify_waiting",
    ),
}
# They neither move videos nor touch their records' leases and costs.
NOT_SIMULATED = frozenset(
    {
        "announce_restored",
        "find_repeat",
        "publish_worker",
        "list_workers",
        "request_drain",
        "take_rate",
        "claim_webhooks",
        "finish_webhook",
        "retry_webhook",
        "add_media",
        "finish_media",
        "get_media",
        "list_media",
        "use_media",
        "claim_expired_media",
        "claim_expired_videos",
        "remove_media",
    }
)


def registered_functions() -> set[str]:
    """Returns the names of all functions in the library's source."""
    _, source = library_source()
    return set(re.findall(r'^register\w*\("(\w+)"', source, re.MULTILINE))


def all_places() -> list[Place]:
    """Returns every pair of a process and a write boundary."""
    return [
        Place(role, function, boundary)
        for role, functions in FUNCTIONS_OF_ROLES.items()
        for function in functions
        for boundary in Boundary
    ]


def missed_places(hits: Counter[tuple[Place, Fault]]) -> list[Place]:
    """Returns the pairs at which no fault has struck."""
    hit = {place for place, _ in hits}
    return [place for place in all_places() if place not in hit]


def print_coverage(hits: Counter[tuple[Place, Fault]]) -> None:
    """Prints how often each fault struck where."""
    table = Table("process", "function", "boundary", *Fault, title="faults")
    for place in all_places():
        counts = [str(hits[place, fault] or "") for fault in Fault]
        table.add_row(place.role, place.function, place.boundary, *counts)
    Console(width=120).print(table)
