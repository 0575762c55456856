"""Which fault strikes where, and the table of the places where one has struck."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import NamedTuple


class Boundary(StrEnum):
    """The two places of a call at which it matters that something goes wrong."""

    BEFORE = "before the call"
    AFTER = "after the call, before its answer"


class Fault(StrEnum):
    """What goes wrong."""

    KILL = "kill"  # the process ends; another starts in its place
    PAUSE = "pause"  # it stops, past its lease or not, and goes on where it was
    LOSE = "lose"  # the call, or its answer, is lost on the way; the process tries again
    DUPLICATE = "duplicate"  # the call comes twice
    RESTART = "restart"  # Redis restarts: what was on its way is lost, and so are the functions


class Place(NamedTuple):
    """A (process, write boundary) pair."""

    role: str
    function: str
    boundary: Boundary


@dataclass(frozen=True)
class FaultPlan:
    """How often faults strike in one run.

    Attributes:
        rate: probability of a fault at any place.
        target: the place at which they strike far more often.
    """

    rate: float
    target: Place | None = None


_TARGET_RATE = 0.6
_TARGET_STRIKES = 6  # else a run of faults alone would never end


class FaultInjector:
    """Draws faults by a plan, and counts where they struck."""

    def __init__(self, random: Random, plan: FaultPlan) -> None:
        self._random = random
        self._plan = plan
        self._strikes_left = _TARGET_STRIKES
        self.is_calm = False
        self.hits: Counter[tuple[Place, Fault]] = Counter()

    def draw(self, place: Place) -> Fault | None:
        """Returns the fault that strikes at this place now, None for none."""
        rate = self._plan.rate
        if place == self._plan.target and self._strikes_left:
            rate = _TARGET_RATE
        if self.is_calm or self._random.random() >= rate:
            return None
        if place == self._plan.target:
            self._strikes_left -= 1
        fault = self._random.choices(*_choices(place.boundary))[0]
        self.hits[place, fault] += 1
        return fault


def _choices(boundary: Boundary) -> tuple[list[Fault], list[float]]:
    faults = [Fault.KILL, Fault.PAUSE, Fault.LOSE, Fault.RESTART, Fault.DUPLICATE]
    weights = [4.0, 4.0, 4.0, 1.0, 3.0 if boundary is Boundary.AFTER else 0.0]
    return faults, weights
