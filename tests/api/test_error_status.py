"""Every kind of error has its code and its details; only the log sees what is unknown."""

import grpc
import pytest
import structlog
from google.rpc import error_details_pb2 as details
from google.rpc import status_pb2

from telecine import errors
from telecine.api.error_status import status_of

EXCEEDED = errors.QuotaExceededError(
    "used up", quota="max_stored_bytes", limit=9, used=9, retry_seconds=None
)
LIMITED = errors.RateLimitedError(
    "slow down",
    quota="requests_per_second",
    limit=5,
    remaining=0,
    reset_seconds=2.5,
    retry_seconds=0.5,
)
CODES = [
    (errors.InvalidFieldError("spec.seed", "is odd"), grpc.StatusCode.INVALID_ARGUMENT),
    (errors.OutOfRangeError("read_offset", "is past"), grpc.StatusCode.OUT_OF_RANGE),
    (errors.NotFoundError("videos/x"), grpc.StatusCode.NOT_FOUND),
    (errors.AlreadyExistsError("order-1"), grpc.StatusCode.ALREADY_EXISTS),
    (errors.VideoStateError("no", state="QUEUED"), grpc.StatusCode.FAILED_PRECONDITION),
    (errors.EventsTrimmedError("gone"), grpc.StatusCode.OUT_OF_RANGE),
    (errors.NotImplementedYetError("spec.tier", "x"), grpc.StatusCode.UNIMPLEMENTED),
    (errors.QueueFullError("full", retry_seconds=5), grpc.StatusCode.RESOURCE_EXHAUSTED),
    (errors.PermissionDeniedError("no", scope="admin"), grpc.StatusCode.PERMISSION_DENIED),
    (EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (LIMITED, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (errors.VideoEndedError("no", state="FAILED", reason="X"), grpc.StatusCode.FAILED_PRECONDITION),
    (errors.LiveFileChangedError("other"), grpc.StatusCode.ABORTED),
    (errors.UploadIdleError("idle"), grpc.StatusCode.DEADLINE_EXCEEDED),
    (errors.UnavailableError("away"), grpc.StatusCode.UNAVAILABLE),
    (errors.StoreUnavailableError("away"), grpc.StatusCode.UNAVAILABLE),
    (errors.UnauthenticatedError("who?", reason="X"), grpc.StatusCode.UNAUTHENTICATED),
    (errors.PermissionDeniedError("no", scope="admin"), grpc.StatusCode.PERMISSION_DENIED),
]


def unpacked(status: status_pb2.Status, kind: type) -> list:  # type: ignore[type-arg]
    found = []
    for packed in status.details:
        message = kind()
        if packed.Unpack(message):
            found.append(message)
    return found


@pytest.mark.parametrize(("error", "code"), CODES)
def test_known_error_has_its_code_and_an_error_info(
    error: errors.TelecineError, code: grpc.StatusCode
) -> None:
    status = status_of(error)
    assert (status.code, status.message) == (code.value[0], error.message)
    (info,) = unpacked(status, details.ErrorInfo)
    assert (info.domain, info.reason) == ("telecine.dev", error.reason)


@pytest.mark.parametrize(
    "error", [errors.StoreUnavailableError("away", retry_seconds=1.5), CODES[7][0]]
)
def test_error_that_passes_says_when_to_retry(error: errors.TelecineError) -> None:
    (retry,) = unpacked(status_of(error), details.RetryInfo)
    assert retry.retry_delay.ToMilliseconds() in {1500, 5000}


def test_bad_field_is_in_bad_request() -> None:
    (bad,) = unpacked(status_of(CODES[0][0]), details.BadRequest)
    assert bad.field_violations[0].field == "spec.seed"
    assert bad.field_violations[0].description == "is odd"


@pytest.mark.parametrize("error", [EXCEEDED, LIMITED], ids=lambda error: error.reason)
def test_used_up_quota_is_told_with_its_numbers(
    error: errors.QuotaExceededError | errors.RateLimitedError,
) -> None:
    status = status_of(error)
    (failure,) = unpacked(status, details.QuotaFailure)
    assert failure.violations[0].subject == error.quota
    (info,) = unpacked(status, details.ErrorInfo)
    assert (info.metadata["quota"], info.metadata["limit"]) == (error.quota, str(error.limit))
    retries = unpacked(status, details.RetryInfo)
    assert [retry.retry_delay.ToMilliseconds() for retry in retries] == (
        [500] if error is LIMITED else []
    )


def test_unknown_error_is_told_by_its_log_id_only() -> None:
    with structlog.testing.capture_logs() as logs:
        status = status_of(RuntimeError("password is hunter2"))
    assert status.code == grpc.StatusCode.INTERNAL.value[0]
    (info,) = unpacked(status, details.ErrorInfo)
    log_id = info.metadata["log_id"]
    assert log_id in status.message
    assert "hunter2" not in str(status)
    assert logs[0]["event.id"] == log_id
    assert "hunter2" in str(logs[0]["exc_info"])


def test_error_of_a_worker_is_internal_to_a_client() -> None:
    with structlog.testing.capture_logs():
        status = status_of(errors.LeaseLostError("token 3"))
    assert status.code == grpc.StatusCode.INTERNAL.value[0]
    assert "token 3" not in status.message
