"""Errors as HTTP answers, in the envelope that OpenAI's clients read."""

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse

from telecine import errors
from telecine.api.error_status import http_status_of, log_unknown_error
from telecine.api.http.text_forms import told
from telecine.api.rate_limiter import rate_limit_headers

_TYPES = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
}
# Where the dialect has another name for a field.
_PARAMS = {
    "request_id": "Idempotency-Key",
    "after_event_id": "after",
    "num_videos": "n",
}
_SPEC_PARAMS = {
    "duration": "seconds",
    "input_image": "input_reference",
    "edit.source": "video",
    "edit.strength": "strength",
    "extend.source": "video",
    "extend.duration": "seconds",
}
# The path's parameter that names a resource.
_IDS = {"videos": "video_id", "media": "media_id", "models": "model_id"}
# Trying the same again cannot help, which a client would else do after a 409, 429 or 5xx.
_FINAL = (
    errors.VideoStateError,
    errors.NotImplementedYetError,
    errors.BodyTooLargeError,
    errors.QuotaExceededError,
)
_SHORT_SECONDS = 60.0  # a quota that is free again so soon is worth another try


class ErrorDetails(BaseModel):
    """What went wrong, for a program and for a person."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """The body of every answer that is an error."""

    error: ErrorDetails


def answer_for(error: Exception, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Returns the answer that says what `error` was; one that is not known has a log id."""
    if not isinstance(error, errors.TelecineError):
        log_id = log_unknown_error(error)
        return envelope(
            HTTPStatus.INTERNAL_SERVER_ERROR, f"internal error; log id {log_id}", code="internal"
        )
    return envelope(
        http_status_of(error),
        message_of(error),
        code=error.reason.lower(),
        param=param_of(error),
        headers={**_headers(error), **(headers or {})},
    )


def envelope(
    status: HTTPStatus,
    message: str,
    *,
    code: str,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Returns an error in the dialect's form."""
    default = (
        "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
    )
    kind = _TYPES.get(status, default)
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return JSONResponse(body, status_code=status, headers=dict(headers or {}))


def param_of(error: errors.TelecineError) -> str | None:
    """Returns the request's field that an error is about, as the dialect names it."""
    if isinstance(error, errors.AlreadyExistsError):
        return _PARAMS["request_id"]
    field: str = getattr(error, "field", "")
    if not field:
        return None
    if isinstance(error, errors.NotFoundError) and field == "name":
        return _IDS.get(error.resource_name.partition("/")[0])
    of_spec = field.removeprefix("spec.")
    return _PARAMS.get(field, field) if of_spec == field else _SPEC_PARAMS.get(of_spec, of_spec)


def message_of(error: errors.TelecineError) -> str:
    """Returns the error's text with the field as the dialect names it."""
    field: str = getattr(error, "field", "")
    if field and error.message.startswith(f"{field}: "):
        return f"{param_of(error)}: {error.message.removeprefix(f'{field}: ')}"
    return error.message


async def answer_telecine_error(_: HTTPConnection, error: Exception) -> JSONResponse:
    """Answers any error of the service."""
    return answer_for(error)


async def answer_bad_parameter(_: HTTPConnection, error: Exception) -> JSONResponse:
    """Answers a query parameter, a path or a header that is not what the route takes."""
    assert isinstance(error, RequestValidationError | WebSocketRequestValidationError)
    first = error.errors()[0]
    name = first["loc"][1] if len(first["loc"]) > 1 else "request"
    return answer_for(errors.InvalidFieldError(str(name), told(first)))


async def answer_http_error(connection: HTTPConnection, error: Exception) -> JSONResponse:
    """Answers what the framework itself refuses: an unknown path, a method that is not there."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    headers = dict(error.headers or {})
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {"allow": _methods_of(connection)}
    return envelope(
        status,
        str(error.detail) or status.phrase,
        code=status.name.lower(),
        headers=headers,
    )


def _methods_of(connection: HTTPConnection) -> str:
    """Returns the methods of a path; the framework knows those of its first route alone."""
    path = connection.scope["path"]
    matching = [route for route in connection.app.state.routes if route.path_regex.fullmatch(path)]
    # `/v1/videos/edits` is a path of its own, although it could be that of a video.
    nearest = [route for route in matching if route.path == path] or matching
    methods = {method for route in nearest for method in getattr(route, "methods", None) or ()}
    return ", ".join(sorted(methods))


def field_error(error: ValidationError, fields: Mapping[str, Any]) -> errors.InvalidFieldError:
    """Returns the first thing that is wrong with a body, with its field's name."""
    details: list[Any] = error.errors()
    found = [
        (_path_of(detail, fields), detail)
        for detail in details
        if detail["loc"][:1] == details[0]["loc"][:1]
    ]
    # Of the forms that a field may have, the one that was meant is that which fits furthest.
    path, first = max(found, key=lambda each: len(each[0]))
    name = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in path
    ).removeprefix(".")
    if first["type"] == "extra_forbidden":
        return errors.InvalidFieldError(name, "is not a field of this request")
    if first["type"] == "model_type":
        return errors.InvalidFieldError(name, "is not an object")
    return errors.InvalidFieldError(name or "body", told(first))


def _path_of(detail: Any, fields: Any) -> list[str | int]:
    """Returns where an error is, without the names of our types that pydantic puts between."""
    path: list[str | int] = []
    node = fields
    for part in detail["loc"]:
        is_element = isinstance(node, list) and isinstance(part, int)
        if is_element or (isinstance(node, Mapping) and part in node):
            node = node[part]
            path.append(part)
    if detail["type"] == "missing":
        path.append(detail["loc"][-1])
    return path


def _is_final(error: errors.TelecineError) -> bool:
    is_short = isinstance(error, errors.QuotaExceededError) and (
        error.retry_seconds is not None and error.retry_seconds <= _SHORT_SECONDS
    )
    return isinstance(error, _FINAL) and not is_short


def _headers(error: errors.TelecineError) -> dict[str, str]:
    headers = {"x-should-retry": "false"} if _is_final(error) else {}
    if isinstance(error, errors.UnauthenticatedError):
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, errors.RateLimitedError):
        headers.update(rate_limit_headers(error))
    retry_seconds: float | None = getattr(error, "retry_seconds", None)
    if retry_seconds is not None:
        headers["retry-after"] = str(math.ceil(retry_seconds))
        headers["retry-after-ms"] = str(round(retry_seconds * 1000))
    return headers
