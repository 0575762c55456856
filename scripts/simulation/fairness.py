"""How far apart flows are served while both wait, against the bound of docs/fairness.md."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import TypeAlias

Flow: TypeAlias = str
Pair: TypeAlias = tuple[Flow, Flow]


@dataclass
class FlowAccount:
    """What one flow has had.

    Attributes:
        has_head_start: whether it is served a slice early, as REALTIME is.
        service: GPU seconds of its finished work.
        longest: GPU seconds of its longest slice, estimated or true.
    """

    weight: float
    has_head_start: bool
    service: float = 0.0
    longest: float = 0.0

    @property
    def normalised(self) -> float:
        """Service for its weight."""
        return self.service / self.weight


@dataclass
class _Interval:
    """The extremes of a pair's difference in service since both began to wait."""

    lowest: float
    highest: float


@dataclass
class FairnessMeter:
    """Follows all pairs of flows over all intervals in which both wait.

    The largest gap over the intervals within one is its highest difference less its lowest.

    Attributes:
        num_lanes: most leases held at once so far, D.
    """

    quantum_seconds: float
    accounts: dict[Flow, FlowAccount] = field(default_factory=dict)
    num_lanes: int = 1
    _open: dict[Pair, _Interval] = field(default_factory=dict)
    _gaps: dict[Pair, float] = field(default_factory=dict)

    def add_flow(self, flow: Flow, *, weight: float, has_head_start: bool) -> None:
        """Opens an account; the first call for a flow counts."""
        self.accounts.setdefault(flow, FlowAccount(weight, has_head_start))

    def charge(self, flow: Flow, seconds: float) -> None:
        """Counts finished work."""
        account = self.accounts[flow]
        account.service += seconds
        account.longest = max(account.longest, seconds)

    def observe(self, waiting: Iterable[Flow]) -> None:
        """Takes note of who waits now; call it after every event."""
        pairs = set(combinations(sorted(waiting), 2))
        for ended in self._open.keys() - pairs:
            del self._open[ended]
        for pair in pairs:
            self._measure(pair)

    def bound(self, pair: Pair) -> float:
        """Returns what the gap of a pair may be at most, in GPU seconds for the weight."""
        total = 0.0
        for account in (self.accounts[flow] for flow in pair):
            slices = (self.num_lanes + 1) * (account.longest + self.quantum_seconds)
            head_start = account.longest if account.has_head_start else 0.0
            total += (slices + head_start) / account.weight
        return total

    def gap(self, pair: Pair) -> float:
        """Returns the largest gap of a pair so far, in GPU seconds for the weight."""
        return self._gaps.get(pair, 0.0)

    def worst(self) -> tuple[float, Pair | None]:
        """Returns the largest gap over its bound so far, and whose it is."""
        ratios = ((gap / self.bound(pair), pair) for pair, gap in self._gaps.items())
        return max(ratios, default=(0.0, None))

    def _measure(self, pair: Pair) -> None:
        first, second = (self.accounts[flow] for flow in pair)
        difference = first.normalised - second.normalised
        interval = self._open.setdefault(pair, _Interval(difference, difference))
        interval.lowest = min(interval.lowest, difference)
        interval.highest = max(interval.highest, difference)
        gap = interval.highest - interval.lowest
        if gap > self.gap(pair):
            self._gaps[pair] = gap


def jain_index(shares: Mapping[Flow, float]) -> float:
    """Returns Jain's index of fairness: 1 where all are alike, 1/n where one has all."""
    values = list(shares.values())
    return sum(values) ** 2 / (len(values) * sum(value * value for value in values))
