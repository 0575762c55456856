"""Checks of the fields that many requests share. Each names the field it refuses."""

import re
from collections.abc import Mapping

from google.protobuf.timestamp_pb2 import Timestamp

from telecine.errors import InvalidFieldError

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000
MAX_LABELS = 32
MAX_LABEL_CHARACTERS = 63

RESOURCE_ID = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_VIDEO_NAME = re.compile(rf"videos/({RESOURCE_ID})")
_MODEL_NAME = re.compile(rf"models/({RESOURCE_ID})")
_WORKER_NAME = re.compile(rf"workers/({RESOURCE_ID})")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{0,64}")
_LABEL_KEY = re.compile(rf"[a-z0-9_-]{{1,{MAX_LABEL_CHARACTERS}}}")
_TIMESTAMP_SECONDS = range(-62_135_596_800, 253_402_300_800)  # years 1 to 9999


def shown(text: str) -> str:
    """Returns a caller's text, quoted, short and harmless enough for an error message."""
    return ascii(text if len(text) <= 80 else f"{text[:77]}...")


def check_video_name(name: str) -> None:
    """Raises InvalidFieldError unless `name` has the form `videos/{video}`."""
    if not _VIDEO_NAME.fullmatch(name):
        raise InvalidFieldError("name", f"{shown(name)} is not of the form videos/{{video}}")


def parse_model_name(name: str, *, field: str) -> str:
    """Returns the model id in `models/{model}`.

    Raises:
        InvalidFieldError: it has another form.
    """
    match = _MODEL_NAME.fullmatch(name)
    if match is None:
        raise InvalidFieldError(field, f"{shown(name)} is not of the form models/{{model}}")
    return match.group(1)


def check_worker_name(name: str, *, field: str) -> None:
    """Raises InvalidFieldError unless `name` has the form `workers/{worker}`."""
    if not _WORKER_NAME.fullmatch(name):
        raise InvalidFieldError(field, f"{shown(name)} is not of the form workers/{{worker}}")


def check_request_id(request_id: str) -> None:
    """Raises InvalidFieldError unless it is empty or made of the characters allowed."""
    if not _REQUEST_ID.fullmatch(request_id):
        raise InvalidFieldError("request_id", "takes at most 64 characters from [A-Za-z0-9._-]")


def check_page_size(page_size: int) -> int:
    """Returns the page size to use: the default for 0, never more than the largest.

    Raises:
        InvalidFieldError: it is negative.
    """
    if page_size < 0:
        raise InvalidFieldError("page_size", f"{page_size} is negative")
    return min(page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)


def check_labels(labels: Mapping[str, str], *, field: str) -> None:
    """Raises InvalidFieldError for too many labels, or one of another form."""
    if len(labels) > MAX_LABELS:
        raise InvalidFieldError(field, f"has {len(labels)} labels; the limit is {MAX_LABELS}")
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key):
            raise InvalidFieldError(
                field,
                f"the key {shown(key)} is not made of 1 to {MAX_LABEL_CHARACTERS} "
                "characters from [a-z0-9_-]",
            )
        if len(value) > MAX_LABEL_CHARACTERS or not value.isprintable():
            raise InvalidFieldError(
                f'{field}["{key}"]',
                f"takes at most {MAX_LABEL_CHARACTERS} printable characters",
            )


def check_timestamp(time: Timestamp, *, field: str) -> None:
    """Raises InvalidFieldError for a time outside the years 1 to 9999."""
    if time.seconds not in _TIMESTAMP_SECONDS or not 0 <= time.nanos < 1_000_000_000:
        raise InvalidFieldError(field, "is not a time of the years 1 to 9999")
