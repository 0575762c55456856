"""Faults planted into the Redis functions: a simulation that misses one proves nothing."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Plant:
    """A fault: `sound` stands exactly once in the source of the functions."""

    name: str
    sound: str
    broken: str


MISSING_FENCING = Plant(
    "missing fencing check",
    'if video.values.state ~= "RUNNING" or video.values.token ~= args.token then',
    'if video.values.state ~= "RUNNING" then',
)
_LOSE_END = '  end\nend\n\nregister("expire_leases"'
LOST_REQUEUE = Plant(
    "lost requeue",
    f"    give_back(queue, video, trigger, args)\n{_LOSE_END}",
    f'    redis.call("ZREM", leases_key(queue), video.values.video)\n{_LOSE_END}',
)
RUN_TO_COMPLETION = Plant(
    "run to completion", "if head.rank + quantum < running.lead then", "if false then"
)
FORGOTTEN_REFUND = Plant(
    "forgotten refund",
    "  move(queue, video, trigger)\n  settle_end(queue, video)\n",
    "  move(queue, video, trigger)\n",
)
PLANTS = (MISSING_FENCING, LOST_REQUEUE, RUN_TO_COMPLETION, FORGOTTEN_REFUND)


def planted(library: tuple[str, str], plant: Plant | None) -> tuple[str, str]:
    """Returns the library's name and source with the plant in them.

    Raises:
        ValueError: the source has changed and the plant does not fit it any more.
    """
    if plant is None:
        return library
    name, source = library
    if source.count(plant.sound) != 1:
        raise ValueError(f"the plant '{plant.name}' fits {source.count(plant.sound)} places, not 1")
    broken_name = f"planted_{hashlib.sha256(plant.broken.encode()).hexdigest()[:12]}"
    return broken_name, source.replace(plant.sound, plant.broken).replace(name, broken_name)
