"""The fair order and two others to compare it with, all made by the same Redis functions."""

from collections.abc import Mapping
from enum import StrEnum

from telecine.jobs.call_batcher import Argument

# From one tier to the next: whatever a tier has had, the one below it has had more for its weight.
_PRIORITY_WEIGHTS = {"batch": 1.0, "standard": 1e4, "premium": 1e8, "realtime": 1e12}


class Order(StrEnum):
    """In which order videos are served."""

    FAIR = "fair"
    FIFO = "first come, first served"
    PRIORITY = "strict priority"


def reorder(arguments: Mapping[str, Argument], order: Order) -> dict[str, Argument]:
    """Returns the arguments of `submit` that make this the order.

    One flow for all is first come, first served. One flow a tier, with weights so far apart that
    a tier is behind the one below it all the while, is strict priority.
    """
    tier = str(arguments["flow"]).split(":", maxsplit=1)[0]
    match order:
        case Order.FIFO:
            return {**arguments, "flow": "all:all", "weight": 1.0, "is_realtime": 0}
        case Order.PRIORITY:
            weight = _PRIORITY_WEIGHTS[tier]
            return {**arguments, "flow": f"{tier}:all", "weight": weight, "is_realtime": 0}
        case Order.FAIR:
            return dict(arguments)
