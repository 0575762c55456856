"""How many long calls of a kind a tenant may have open at one gateway."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from telecine.api.caller import Caller
from telecine.errors import QuotaExceededError

_RETRY_SECONDS = 5.0  # one of the tenant's may end at any time


class OpenCalls:
    """Counts each tenant's calls of a kind, so that none takes the room of all others.

    Args:
        quota: what a refusal names: the setting that the limit comes from.
        limit: how many a tenant may have open.
    """

    def __init__(self, quota: str, limit: int) -> None:
        self._quota = quota
        self._limit = limit
        self._counts: Counter[str] = Counter()

    @contextmanager
    def hold(self, caller: Caller) -> Iterator[None]:
        """Counts one more of the caller's tenant while a block runs.

        Raises:
            QuotaExceededError: it has as many as it may.
        """
        tenant = caller.tenant
        used = self._counts.get(tenant, 0)
        if used >= self._limit:
            raise QuotaExceededError(
                f"{self._quota}: {used} are open at this gateway, and {self._limit} may be",
                quota=self._quota,
                limit=self._limit,
                used=used,
                retry_seconds=_RETRY_SECONDS,
            )
        self._counts[tenant] += 1
        try:
            yield
        finally:
            self._counts[tenant] -= 1
            if not self._counts[tenant]:
                del self._counts[tenant]
