"""The one table that turns errors into gRPC codes, HTTP statuses and google.rpc details."""

import secrets
from http import HTTPStatus

import grpc
import structlog
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as details
from google.rpc import status_pb2

from telecine import errors

ERROR_DOMAIN = "telecine.dev"

_log = structlog.get_logger(__name__)

# The first entry that an error is an instance of counts: subclasses come first.
_STATUSES: tuple[tuple[type[errors.TelecineError], grpc.StatusCode, HTTPStatus], ...] = (
    (
        errors.OutOfRangeError,
        grpc.StatusCode.OUT_OF_RANGE,
        HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    ),
    (errors.InvalidFieldError, grpc.StatusCode.INVALID_ARGUMENT, HTTPStatus.BAD_REQUEST),
    (errors.NotFoundError, grpc.StatusCode.NOT_FOUND, HTTPStatus.NOT_FOUND),
    (errors.AlreadyExistsError, grpc.StatusCode.ALREADY_EXISTS, HTTPStatus.UNPROCESSABLE_ENTITY),
    (
        errors.ContentBlockedError,
        grpc.StatusCode.FAILED_PRECONDITION,
        HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS,
    ),
    (errors.VideoStateError, grpc.StatusCode.FAILED_PRECONDITION, HTTPStatus.CONFLICT),
    (errors.LiveFileChangedError, grpc.StatusCode.ABORTED, HTTPStatus.CONFLICT),
    (errors.UploadIdleError, grpc.StatusCode.DEADLINE_EXCEEDED, HTTPStatus.REQUEST_TIMEOUT),
    (
        errors.BodyTooLargeError,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ),
    (errors.EventsTrimmedError, grpc.StatusCode.OUT_OF_RANGE, HTTPStatus.GONE),
    (errors.NotImplementedYetError, grpc.StatusCode.UNIMPLEMENTED, HTTPStatus.NOT_IMPLEMENTED),
    (errors.UnauthenticatedError, grpc.StatusCode.UNAUTHENTICATED, HTTPStatus.UNAUTHORIZED),
    (errors.PermissionDeniedError, grpc.StatusCode.PERMISSION_DENIED, HTTPStatus.FORBIDDEN),
    (errors.QuotaExceededError, grpc.StatusCode.RESOURCE_EXHAUSTED, HTTPStatus.TOO_MANY_REQUESTS),
    (errors.RateLimitedError, grpc.StatusCode.RESOURCE_EXHAUSTED, HTTPStatus.TOO_MANY_REQUESTS),
    (errors.QueueFullError, grpc.StatusCode.RESOURCE_EXHAUSTED, HTTPStatus.TOO_MANY_REQUESTS),
    (errors.UnavailableError, grpc.StatusCode.UNAVAILABLE, HTTPStatus.SERVICE_UNAVAILABLE),
)


def status_of(error: Exception) -> status_pb2.Status:
    """Returns what a client is told about `error`.

    An error that is not in the table becomes INTERNAL with a log id, under which the
    log, and only the log, has the traceback.
    """
    for kind, code, _ in _STATUSES:
        if isinstance(error, kind):
            return _status(code, error.message, _details(error))
    return _internal_status(error)


def http_status_of(error: Exception) -> HTTPStatus:
    """Returns the HTTP status of `error`, 500 where it is not in the table."""
    for kind, _, status in _STATUSES:
        if isinstance(error, kind):
            return status
    return HTTPStatus.INTERNAL_SERVER_ERROR


def log_unknown_error(error: Exception) -> str:
    """Logs an error that is not in the table, and returns the id under which the log has it."""
    log_id = secrets.token_hex(8)
    _log.error("call failed", exc_info=error, **{"event.id": log_id})
    return log_id


def _status(code: grpc.StatusCode, message: str, parts: list[Message]) -> status_pb2.Status:
    status = status_pb2.Status(code=code.value[0], message=message)
    for part in parts:
        status.details.add().Pack(part)
    return status


def _internal_status(error: Exception) -> status_pb2.Status:
    log_id = log_unknown_error(error)
    info = details.ErrorInfo(reason="INTERNAL", domain=ERROR_DOMAIN, metadata={"log_id": log_id})
    request_info = details.RequestInfo(request_id=log_id)
    return _status(
        grpc.StatusCode.INTERNAL, f"internal error; log id {log_id}", [info, request_info]
    )


def _details(error: errors.TelecineError) -> list[Message]:
    """Returns the google.rpc details: ErrorInfo always, then what the kind of error has."""
    metadata: dict[str, str] = {}
    parts: list[Message] = []
    match error:
        case errors.InvalidFieldError():
            metadata["field"] = error.field
            parts.append(_bad_request(error.field, error.description))
        case errors.NotImplementedYetError():
            metadata["field"] = error.field
            parts.append(_bad_request(error.field, error.message))
        case errors.NotFoundError():
            metadata.update(field=error.field, resource_name=error.resource_name)
            parts.append(details.ResourceInfo(resource_name=error.resource_name))
        case errors.AlreadyExistsError():
            metadata.update(field="request_id", request_id=error.request_id)
        case errors.PermissionDeniedError():
            metadata.update(_given(scope=error.scope, field=error.field))
        case errors.QuotaExceededError() | errors.RateLimitedError():
            metadata.update(_quota_metadata(error))
            parts.extend(_exhausted(error))
        case errors.EventsTrimmedError():
            metadata["field"] = "after_event_id"
        case errors.VideoStateError():
            metadata.update(_given(state=error.state, field=error.field))
            violation = details.PreconditionFailure.Violation(
                type="VIDEO_STATE", subject=error.state, description=error.message
            )
            parts.append(details.PreconditionFailure(violations=[violation]))
        case errors.QueueFullError() | errors.UnavailableError():
            parts.append(_retry(error.retry_seconds))
    info = details.ErrorInfo(reason=error.reason, domain=ERROR_DOMAIN, metadata=metadata)
    return [info, *parts]


def _given(**values: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


def _bad_request(field: str, description: str) -> details.BadRequest:
    violation = details.BadRequest.FieldViolation(field=field, description=description)
    return details.BadRequest(field_violations=[violation])


def _exhausted(error: errors.QuotaExceededError | errors.RateLimitedError) -> list[Message]:
    violation = details.QuotaFailure.Violation(subject=error.quota, description=error.message)
    parts: list[Message] = [details.QuotaFailure(violations=[violation])]
    if error.retry_seconds is not None:
        parts.append(_retry(error.retry_seconds))
    return parts


def _quota_metadata(error: errors.QuotaExceededError | errors.RateLimitedError) -> dict[str, str]:
    metadata = {"quota": error.quota, "limit": str(error.limit)}
    if isinstance(error, errors.RateLimitedError):
        metadata["remaining"] = str(error.remaining)
        metadata["reset_seconds"] = f"{error.reset_seconds:.3f}"
    else:
        metadata["used"] = str(error.used)
    return metadata


def _retry(seconds: float) -> details.RetryInfo:
    retry = details.RetryInfo()
    retry.retry_delay.FromMilliseconds(round(seconds * 1000))
    return retry
