"""What a client raises: the service's gRPC errors with their google.rpc details unpacked.

TelecineClientError
├── InvalidRequestError      a field is wrong: `field` is its path
├── NotFoundError            no such video, model, worker or media
├── AlreadyExistsError       the request id was used for another request
├── VideoStateError          not possible in the video's present state
├── LiveFileChangedError     what was followed is made anew, with other bytes
├── EventsTrimmedError       the event log no longer reaches back that far
├── NotImplementedYetError   a feature that the server does not have
├── UnauthenticatedError     no key or token, or none that counts
├── PermissionDeniedError    the key or token may not do this
├── ResourceExhaustedError   no more is taken now, or a message is too large
├── UnavailableError         the server, or a part of it, cannot be reached
└── DownloadError            a downloaded file is not what the server promised
"""

from typing import Any, TypeVar

import grpc
from google.rpc import error_details_pb2, status_pb2

DetailT = TypeVar("DetailT")

DETAILS_KEY = "grpc-status-details-bin"


class TelecineClientError(Exception):
    """Any error of a call.

    Attributes:
        reason: a stable UPPER_SNAKE name of what went wrong; empty where none was sent.
        message: the same for a person.
        field: the request field that is wrong, `spec.prompt` say; empty where none is.
        retry_seconds: when to try again; None where trying again is no use.
        log_id: names the entry in the server's log; empty where none was sent.
    """

    def __init__(self, message: str, *, details: status_pb2.Status | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reason = ""
        self.field = ""
        self.retry_seconds: float | None = None
        self.log_id = ""
        for detail in details.details if details else ():
            self._read_error_info(_unpack(detail, error_details_pb2.ErrorInfo))
            self._read_bad_request(_unpack(detail, error_details_pb2.BadRequest))
            self._read_retry_info(_unpack(detail, error_details_pb2.RetryInfo))

    def _read_error_info(self, info: error_details_pb2.ErrorInfo | None) -> None:
        if info is not None:
            self.reason = info.reason
            self.field = info.metadata.get("field", "")
            self.log_id = info.metadata.get("log_id", "")

    def _read_bad_request(self, bad_request: error_details_pb2.BadRequest | None) -> None:
        if bad_request is not None and bad_request.field_violations:
            self.field = bad_request.field_violations[0].field

    def _read_retry_info(self, retry_info: error_details_pb2.RetryInfo | None) -> None:
        if retry_info is not None:
            delay = retry_info.retry_delay
            self.retry_seconds = delay.seconds + delay.nanos / 1e9


class InvalidRequestError(TelecineClientError):
    """A field is wrong; `field` is its path."""


class NotFoundError(TelecineClientError):
    """No such video, model, worker or media."""


class AlreadyExistsError(TelecineClientError):
    """The request id was used before, for another request."""


class VideoStateError(TelecineClientError):
    """Not possible in the video's present state."""


class LiveFileChangedError(TelecineClientError):
    """A followed file is made anew, with other bytes than those that came: begin again."""


class EventsTrimmedError(TelecineClientError):
    """The event log no longer reaches back to the event asked for."""


class NotImplementedYetError(TelecineClientError):
    """A feature that the server does not have."""


class UnauthenticatedError(TelecineClientError):
    """No key or token, or none that counts."""


class PermissionDeniedError(TelecineClientError):
    """The key or token may not do this."""


class ResourceExhaustedError(TelecineClientError):
    """No more is taken now, or a message is too large."""


class UnavailableError(TelecineClientError):
    """The server, or a part of it, cannot be reached."""


class DownloadError(TelecineClientError):
    """A downloaded file is not what the server promised."""


ERROR_OF_CODE: dict[grpc.StatusCode, type[TelecineClientError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequestError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExistsError,
    grpc.StatusCode.FAILED_PRECONDITION: VideoStateError,
    grpc.StatusCode.ABORTED: LiveFileChangedError,
    grpc.StatusCode.OUT_OF_RANGE: EventsTrimmedError,
    grpc.StatusCode.UNIMPLEMENTED: NotImplementedYetError,
    grpc.StatusCode.UNAUTHENTICATED: UnauthenticatedError,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDeniedError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhaustedError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: UnavailableError,
    # A gateway that stops cancels its streams; a caller's own cancel never gets here.
    grpc.StatusCode.CANCELLED: UnavailableError,
}


def client_error(error: grpc.RpcError) -> TelecineClientError:
    """Turn what grpc or grpc.aio raised into the client's own error."""
    # Both raise an RpcError that is also the call; grpc's types know only the first half.
    assert isinstance(error, grpc.Call | grpc.aio.AioRpcError)
    error_type = ERROR_OF_CODE.get(error.code(), TelecineClientError)
    message = error.details() or error.code().name
    converted = error_type(message, details=_status(error))
    if isinstance(converted, EventsTrimmedError) and converted.reason != "EVENTS_TRIMMED":
        return InvalidRequestError(message, details=_status(error))
    return converted


def _status(error: grpc.Call | grpc.aio.AioRpcError) -> status_pb2.Status | None:
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            return status_pb2.Status.FromString(value)
    return None


def _unpack(detail: Any, detail_type: type[DetailT]) -> DetailT | None:
    message = detail_type()
    return message if detail.Unpack(message) else None
