"""How fast callers may call: so many requests a second for a tenant, and for each of its keys.

How fast they may spend is decided where a video is submitted; see quota_manager.py.
"""

from telecine.api.caller import Caller
from telecine.api.quota_manager import QuotaManager
from telecine.config import QuotaSettings
from telecine.errors import RateLimitedError
from telecine.jobs.account_answers import rate_limited
from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import RateState


def open_rate_limiter(
    jobs: JobStore, quotas: QuotaManager, settings: QuotaSettings
) -> "RateLimiter | None":
    """Returns what counts requests; None, which costs nothing, where the settings limit none."""
    is_limited = settings.requests_per_second or settings.key_requests_per_second
    return RateLimiter(jobs, quotas) if is_limited else None


class RateLimiter:
    """Counts the requests of all gateways together, in Redis."""

    def __init__(self, jobs: JobStore, quotas: QuotaManager) -> None:
        self._jobs = jobs
        self._quotas = quotas

    async def admit(self, caller: Caller) -> RateState | None:
        """Counts a request, and says how many more may come; None where there is no limit.

        Raises:
            RateLimitedError: it came too early.
        """
        allowance = await self._quotas.allowance_of(caller)
        if not allowance.request_buckets:
            return None
        state = await self._jobs.take_rate(allowance.request_buckets)
        if state.retry_seconds:
            raise rate_limited("requests_per_second", state)
        return state


def rate_limit_headers(state: RateState | RateLimitedError) -> dict[str, str]:
    """Returns the usual headers, which are gRPC's trailing metadata too."""
    return {
        "x-ratelimit-limit": str(state.limit),
        "x-ratelimit-remaining": str(state.remaining),
        "x-ratelimit-reset": f"{state.reset_seconds:.3f}",
    }
