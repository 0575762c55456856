"""A tenant's ledger, added up."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from telecine.jobs.account_store import AccountStore
from telecine.jobs.transitions import ENDED_STATES
from telecine.v1 import usage_pb2

from .expected_video import ExpectedVideo

RESERVE = usage_pb2.LedgerEntry.KIND_RESERVE
SETTLE = usage_pb2.LedgerEntry.KIND_SETTLE
REFUND = usage_pb2.LedgerEntry.KIND_REFUND


async def read_ledger(accounts: AccountStore, tenant: str = "alice") -> list[usage_pb2.LedgerEntry]:
    """Returns all entries, oldest first."""
    page = await accounts.ledger(tenant, page_size=10_000)
    assert not page.has_more
    return list(reversed(page.entries))


async def require_balance(accounts: AccountStore, tenant: str = "alice") -> None:
    """Asserts that every entry follows from the one before, and the account from the last one."""
    reserved = spent = 0
    of_video: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for entry in await read_ledger(accounts, tenant):
        amount = entry.amount_microcredits
        assert amount > 0
        assert (entry.kind == RESERVE) == (not of_video[entry.video])
        assert entry.kind not in of_video[entry.video]
        of_video[entry.video][entry.kind] = amount
        reserved += amount if entry.kind == RESERVE else -amount
        spent += amount if entry.kind == SETTLE else 0
        assert (entry.reserved_microcredits, entry.spent_microcredits) == (reserved, spent)
        assert min(reserved, spent) >= 0
    usage = await accounts.usage(tenant)
    assert (usage.reserved_microcredits, usage.spent_microcredits) == (reserved, spent)
    for sums in of_video.values():
        assert sums[SETTLE] + sums[REFUND] in {0, sums[RESERVE]}


async def require_credits(
    accounts: AccountStore, tenant: str, videos: Sequence[ExpectedVideo]
) -> None:
    """Asserts that a tenant pays for its videos, those that were deleted too, and no more."""
    held = [video.charge for video in videos if video.state not in ENDED_STATES]
    usage = await accounts.usage(tenant)
    assert (usage.num_open_videos, usage.reserved_microcredits) == (len(held), sum(held))
    assert usage.spent_microcredits == sum(video.charge for video in videos) - sum(held)
    await require_balance(accounts, tenant)
