"""What tenants pay must always add up, whatever went wrong."""

from collections import defaultdict

from simulation.inspection import Fields, Snapshot
from simulation.violation import require
from telecine.jobs.transitions import ENDED_STATES


class AccountChecker:
    """Follows prices from submission to settlement; a video is settled once, by how it ended."""

    def __init__(self) -> None:
        self._prices: dict[str, int] = {}
        self._settled: set[str] = set()
        self._spent: defaultdict[str, int] = defaultdict(int)

    def check(self, after: Snapshot) -> None:
        """Checks every account, and its ledger, against the videos that there are.

        Raises:
            Violation: they do not agree.
        """
        open_prices: defaultdict[str, list[int]] = defaultdict(list)
        for video_id, video in after.videos.items():
            if video["state"] in ENDED_STATES:
                self._settle(video_id, video)
            else:
                self._prices[video_id] = int(video["reserved"])
                open_prices[video["tenant"]].append(self._prices[video_id])
        for tenant, account in after.account.items():
            self._check_account(tenant, account, open_prices[tenant])
            _check_ledger(tenant, account, after.ledger.get(tenant, {}))

    def _settle(self, video_id: str, video: Fields) -> None:
        if video_id in self._settled:
            return
        self._settled.add(video_id)
        require("paid" in video, f"{video_id} ended {video['state']} and was not settled")
        paid, due = int(video["paid"]), _charge(video, self._prices[video_id])
        require(paid == due, f"{video_id} ended {video['state']} and paid {paid}, not {due}")
        self._spent[video["tenant"]] += paid

    def _check_account(self, tenant: str, account: Fields, prices: list[int]) -> None:
        expected = {
            "reserved": sum(prices),
            "spent": self._spent[tenant],
            "num_open": len(prices),
        }
        for name, value in expected.items():
            there = int(account.get(name, 0))
            require(there == value, f"{name} of {tenant} is {there}, and should be {value}")
        for name in ("day_used", "month_used"):
            require(int(account.get(name, 0)) >= 0, f"{name} of {tenant} is negative")


def _charge(video: Fields, price: int) -> int:
    if video["state"] == "SUCCEEDED":
        return price
    if video["state"] == "FAILED":
        return 0
    num_steps = int(video["num_inference_steps"])
    return price * min(int(video["step_index"]), num_steps) // num_steps


def _check_ledger(tenant: str, account: Fields, ledger: Fields) -> None:
    """A ledger's entries add up to the account, and its newest one says what that is."""
    reserved, settled, refunded = (
        int(ledger.get(kind, 0)) for kind in ("RESERVE", "SETTLE", "REFUND")
    )
    sums = {"reserved": reserved - settled - refunded, "spent": settled}
    for name, value in sums.items():
        there, told = int(account.get(name, 0)), int(ledger.get(name, 0))
        same = there == value == told
        require(same, f"{name} of {tenant} is {there}; its ledger says {told}, its sum {value}")
