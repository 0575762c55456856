"""The one error tree.

TelecineError
├── InvalidFieldError         a request's field is wrong; the caller must change it
│   └── OutOfRangeError       it points past the end of what there is
├── NotFoundError             no such resource
├── AlreadyExistsError        the request id was used for another request
├── VideoStateError           not possible in the video's present state
│   └── VideoEndedError       it ended without the file that was waited for
│       └── ContentBlockedError   it was made, and is withheld
├── LiveFileChangedError      a file that was followed is being made anew, with other bytes
├── UploadIdleError           an upload of which nothing more comes
├── BodyTooLargeError         a request of more bytes than are taken
├── EventsTrimmedError        the event log no longer reaches back that far
├── NotImplementedYetError    a feature that this version does not have
├── QueueFullError            no more jobs are taken now
├── QuotaExceededError        a tenant has used what it may
├── RateLimitedError          a tenant or a key is too fast
├── UnauthenticatedError      no credentials, or none that count
├── PermissionDeniedError     the caller may not do this
├── UnavailableError          a part of the service cannot be reached
│   ├── StoreUnavailableError         Redis
│   ├── ObjectStoreUnavailableError   where files are stored
│   └── ModelServerUnavailableError   Triton, or one of its models
├── LeaseLostError            a write by a worker that no longer holds the job
├── CheckpointError           a checkpoint that is corrupt, foreign, gone or not written
├── InputUnusableError        what a video is to be made from is gone, or cannot be used
└── ModelError                a model failed on this input; trying again will not help

Rooms raise these or ValueError. Only telecine.api turns them into gRPC codes and
HTTP statuses.
"""


class TelecineError(Exception):
    """Any error of the service.

    Attributes:
        reason: a stable UPPER_SNAKE name of what went wrong.
        message: the same for a person.
    """

    reason = "INTERNAL"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidFieldError(TelecineError):
    """A request's field is wrong; `field` is its path in the request, `spec.prompt` say."""

    reason = "INVALID_FIELD"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.description = message


class OutOfRangeError(InvalidFieldError):
    """A field points past the end of what there is; it may be right later."""

    reason = "OUT_OF_RANGE"


class NotFoundError(TelecineError):
    """No resource of that name; `field` is where the request asked for it."""

    reason = "NOT_FOUND"

    def __init__(self, resource_name: str, *, field: str = "name") -> None:
        super().__init__(f"{resource_name} does not exist")
        self.resource_name = resource_name
        self.field = field


class AlreadyExistsError(TelecineError):
    """The request id was used before, for another request."""

    reason = "REQUEST_ID_REUSED"

    def __init__(self, request_id: str) -> None:
        super().__init__(f"request_id: {request_id} was used for another request")
        self.request_id = request_id


class VideoStateError(TelecineError):
    """Not possible in the video's present state.

    Attributes:
        state: that state's name.
        field: where the request names the video; empty where the request is all about it.
    """

    reason = "WRONG_STATE"

    def __init__(self, message: str, *, state: str, field: str = "") -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.state = state
        self.field = field


class VideoEndedError(VideoStateError):
    """The video ended without the file that was waited for; the reason is that of its end."""

    def __init__(self, message: str, *, state: str, reason: str) -> None:
        super().__init__(message, state=state)
        self.reason = reason


class ContentBlockedError(VideoEndedError):
    """The video was made and is withheld: what it shows may not leave the service."""


class LiveFileChangedError(TelecineError):
    """A file that was followed is being made anew, with other bytes than those sent."""

    reason = "LIVE_FILE_CHANGED"


class UploadIdleError(TelecineError):
    """An upload of which nothing more comes."""

    reason = "UPLOAD_IDLE"


class BodyTooLargeError(TelecineError):
    """A request of more bytes than are taken."""

    reason = "BODY_TOO_LARGE"


class EventsTrimmedError(TelecineError):
    """The event log no longer reaches back to the event asked for."""

    reason = "EVENTS_TRIMMED"


class NotImplementedYetError(TelecineError):
    """A feature that this version does not have; `field` is what asked for it."""

    reason = "NOT_IMPLEMENTED"

    def __init__(self, field: str, feature: str) -> None:
        super().__init__(f"{field}: {feature} is not implemented yet")
        self.field = field


class QueueFullError(TelecineError):
    """No more jobs are taken now; `retry_seconds` says when to try again."""

    reason = "QUEUE_FULL"

    def __init__(self, message: str, *, retry_seconds: float) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class QuotaExceededError(TelecineError):
    """A tenant has used what it may of something.

    Attributes:
        quota: which limit, as telecine.v1.Quota names it.
        limit: how much it may use.
        used: how much it has used.
        retry_seconds: when to try again; None where time alone does not help.
    """

    reason = "QUOTA_EXCEEDED"

    def __init__(
        self, message: str, *, quota: str, limit: int, used: int, retry_seconds: float | None
    ) -> None:
        super().__init__(message)
        self.quota = quota
        self.limit = limit
        self.used = used
        self.retry_seconds = retry_seconds


class RateLimitedError(TelecineError):
    """A tenant or a key is too fast.

    Attributes:
        quota: which limit, as telecine.v1.Quota names it.
        limit: how much it may use at once.
        remaining: how much of that is left.
        reset_seconds: when all of it is there again.
        retry_seconds: when there is enough for this request.
    """

    reason = "RATE_LIMITED"

    def __init__(
        self,
        message: str,
        *,
        quota: str,
        limit: int,
        remaining: int,
        reset_seconds: float,
        retry_seconds: float,
    ) -> None:
        super().__init__(message)
        self.quota = quota
        self.limit = limit
        self.remaining = remaining
        self.reset_seconds = reset_seconds
        self.retry_seconds = retry_seconds


class UnauthenticatedError(TelecineError):
    """No credentials, or none that count.

    Its reason is CREDENTIALS_MISSING, CREDENTIALS_MALFORMED, CREDENTIALS_IN_URL, API_KEY_INVALID,
    API_KEY_EXPIRED, API_KEY_REVOKED, ACCESS_TOKEN_INVALID or ACCESS_TOKEN_EXPIRED.
    """

    reason = "UNAUTHENTICATED"

    def __init__(self, message: str, *, reason: str = reason) -> None:
        super().__init__(message)
        self.reason = reason


class PermissionDeniedError(TelecineError):
    """The caller may not do this.

    Attributes:
        scope: the one that it lacks; empty where it is none of them.
        field: what in the request it may not ask for; empty where it is all of it.
    """

    reason = "PERMISSION_DENIED"

    def __init__(self, message: str, *, scope: str = "", field: str = "") -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.scope = scope
        self.field = field


class UnavailableError(TelecineError):
    """A part of the service cannot be reached; `retry_seconds` says when to try again."""

    reason = "UNAVAILABLE"

    def __init__(self, message: str, *, retry_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class StoreUnavailableError(UnavailableError):
    """Redis cannot be reached."""

    reason = "STORE_UNAVAILABLE"


class ObjectStoreUnavailableError(UnavailableError):
    """Files cannot be stored or read: the store cannot be reached, or is full."""

    reason = "OBJECT_STORE_UNAVAILABLE"


class ModelServerUnavailableError(UnavailableError):
    """Triton, or one of its models, cannot be reached or has stopped answering.

    `dead_model` is the model whose process is dead or silent; empty where all of Triton is.
    """

    reason = "MODEL_SERVER_UNAVAILABLE"

    def __init__(self, message: str, *, dead_model: str = "", retry_seconds: float = 1.0) -> None:
        super().__init__(message, retry_seconds=retry_seconds)
        self.dead_model = dead_model


class LeaseLostError(TelecineError):
    """A write by a worker that no longer holds the job: its fencing token is stale."""

    reason = "LEASE_LOST"


class CheckpointError(TelecineError):
    """A checkpoint that cannot be used or kept.

    Its reason is CHECKPOINT_CORRUPT, CHECKPOINT_FOREIGN (of another model), CHECKPOINT_MISSING or
    CHECKPOINT_NOT_WRITTEN where that is known.
    """

    reason = "CHECKPOINT_UNUSABLE"

    def __init__(self, message: str, *, reason: str = reason) -> None:
        super().__init__(message)
        self.reason = reason


class InputUnusableError(TelecineError):
    """What a video is to be made from is gone, or cannot be used: an image, a video, a track.

    `field` is where the request named it, `spec.input_image` say.
    """

    reason = "INPUT_UNUSABLE"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


class ModelError(TelecineError):
    """A model failed on this input; trying again will not help."""

    reason = "MODEL_FAILED"
