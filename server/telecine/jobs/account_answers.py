"""Refusals of what a tenant may no longer take, as errors of the one tree."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from telecine.errors import QuotaExceededError, RateLimitedError, TelecineError
from telecine.jobs.job_types import RateState

MICROS = 1_000_000
# A video of the tenant may end at any time.
_OPEN_VIDEOS_RETRY_SECONDS = 5.0
_RATE_NAMES = {"requests_per_second": "requests", "microcredits_per_second": "micro-credits"}


def account_refusal_of(code: str, detail: str) -> TelecineError | None:
    """Returns what a function refused with that has to do with a tenant's account, if it did."""
    match code:
        case "QUOTA_EXCEEDED":
            return _quota_exceeded(detail)
        case "RATE_LIMITED":
            return rate_limited("microcredits_per_second", rate_state(detail.split()))
        case _:
            return None


def _quota_exceeded(detail: str) -> QuotaExceededError:
    """Returns the error of `NAME LIMIT USED ASKED NOW`, as functions/accounts.lua refuses."""
    name, *numbers = detail.split()
    limit, used, asked, now_micros = map(int, numbers)
    return QuotaExceededError(
        _told_quota(name, limit, used, asked),
        quota=name,
        limit=limit,
        used=used,
        retry_seconds=None if asked > limit else _retry_seconds(name, now_micros / MICROS),
    )


def stored_too_much(limit: int, used: int) -> QuotaExceededError:
    """Returns the error of a file that its tenant has no room for."""
    name = "max_stored_bytes"
    told = _told_quota(name, limit, used, asked=1)
    return QuotaExceededError(told, quota=name, limit=limit, used=used, retry_seconds=None)


def rate_state(numbers: Sequence[str | bytes | int | float]) -> RateState:
    """Returns what functions/rate_limits.lua answers: times in microseconds, and amounts."""
    wait, limit, remaining, reset = (int(float(number)) for number in numbers)
    return RateState(limit, remaining, reset / MICROS, wait / MICROS)


def rate_limited(name: str, state: RateState) -> RateLimitedError:
    """Returns the error of a bucket that does not hold what was asked of it."""
    return RateLimitedError(
        f"{name}: {state.remaining} of {state.limit} {_RATE_NAMES[name]} are left; "
        f"there are enough in {state.retry_seconds:.3g} s",
        quota=name,
        limit=state.limit,
        remaining=state.remaining,
        reset_seconds=state.reset_seconds,
        retry_seconds=state.retry_seconds,
    )


def day_start(instant: datetime) -> datetime:
    """Returns when the day of `instant` began."""
    return instant.replace(hour=0, minute=0, second=0, microsecond=0)


def next_day(instant: datetime) -> datetime:
    """Returns when the day after `instant`'s begins."""
    return day_start(instant) + timedelta(days=1)


def next_month(instant: datetime) -> datetime:
    """Returns when the month after `instant`'s begins."""
    # 31 days after a first lie in the month after it, whichever it is.
    return day_start((instant.replace(day=1) + timedelta(days=31)).replace(day=1))


def _told_quota(name: str, limit: int, used: int, asked: int) -> str:
    match name:
        case "max_open_videos":
            return f"{name}: no more than {limit} of your videos may be under way at once"
        case "max_stored_bytes":
            return f"{name}: your files take {used} of {limit} bytes; delete some"
        case _:
            return (
                f"{name}: {used / MICROS:g} of {limit / MICROS:g} credits are used, and the video "
                f"costs {asked / MICROS:g}"
            )


def _retry_seconds(name: str, now_seconds: float) -> float | None:
    now = datetime.fromtimestamp(now_seconds, UTC)
    match name:
        case "daily_microcredits":
            return (next_day(now) - now).total_seconds()
        case "monthly_microcredits":
            return (next_month(now) - now).total_seconds()
        case "max_open_videos":
            return _OPEN_VIDEOS_RETRY_SECONDS
        case _:
            return None
