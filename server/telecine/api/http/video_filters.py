"""Which videos a list has: the filters in its address, as ListVideos has them."""

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import BaseModel, Field
from starlette.datastructures import QueryParams

from telecine.api.http.video_object import Status, states_of
from telecine.api.http.video_request import model_name
from telecine.api.request_validation import MAX_LABEL_CHARACTERS, MAX_LABELS, check_labels
from telecine.errors import InvalidFieldError
from telecine.v1 import video_service_pb2

_LAST_SECOND = 253_402_300_799  # of the year 9999
_UnixTime = Annotated[int, Field(ge=0, le=_LAST_SECOND)]

_LABEL = "label"
_LABEL_NAME = re.compile(rf"{_LABEL}\[([^\[\]]*)\]")
LABEL_PARAMETER: dict[str, Any] = {
    "parameters": [
        {
            "name": _LABEL,
            "in": "query",
            "description": "Only videos that have all of these labels: `label[team]=red`.",
            "style": "deepObject",
            "explode": True,
            "schema": {
                "type": "object",
                "maxProperties": MAX_LABELS,
                "additionalProperties": {"type": "string", "maxLength": MAX_LABEL_CHARACTERS},
            },
        }
    ]
}
"""What the document says of labels, whose names FastAPI cannot know."""


class ListParameters(BaseModel):
    """What `GET /v1/videos` takes in its address, beside labels."""

    after: Annotated[str | None, Field(description="The last id of the page before.")] = None
    limit: Annotated[int, Field(ge=1, le=100, description="Videos a page.")] = 20
    order: Literal["asc", "desc"] = "desc"
    status: Annotated[list[Status], Field(description="Only videos in one of these.")] = []
    model: Annotated[str | None, Field(description="Only videos of this model.")] = None
    created_after: Annotated[
        _UnixTime | None, Field(description="Only videos created at this Unix time or later.")
    ] = None
    created_before: Annotated[
        _UnixTime | None, Field(description="Only videos created before this Unix time.")
    ] = None


def list_request_of(
    parameters: ListParameters, query: QueryParams
) -> video_service_pb2.ListVideosRequest:
    """Returns what an address asks for, but for `after`.

    Raises:
        InvalidFieldError: a name is not known, or a label is of another form.
    """
    labels = _labels_of(query)
    check_labels(labels, field=_LABEL)
    return video_service_pb2.ListVideosRequest(
        page_size=parameters.limit,
        is_oldest_first=parameters.order == "asc",
        states=[state for word in parameters.status for state in states_of(word)],
        model=model_name(parameters.model) if parameters.model else "",
        labels=labels,
        create_time_from=_timestamp(parameters.created_after),
        create_time_until=_timestamp(parameters.created_before),
    )


def begin_behind(query: video_service_pb2.ListVideosRequest, place: Timestamp) -> None:
    """Has a list begin behind a video that was created then: no two have the same time."""
    if query.is_oldest_first:
        later = Timestamp()
        later.FromDatetime(place.ToDatetime() + timedelta(microseconds=1))
        if later.ToNanoseconds() > query.create_time_from.ToNanoseconds():
            query.create_time_from.CopyFrom(later)
    elif not query.HasField("create_time_until") or (
        place.ToNanoseconds() < query.create_time_until.ToNanoseconds()
    ):
        query.create_time_until.CopyFrom(place)


def _labels_of(query: QueryParams) -> dict[str, str]:
    labels: dict[str, str] = {}
    for name, value in query.multi_items():
        label = _LABEL_NAME.fullmatch(name)
        if label is None:
            if name not in ListParameters.model_fields:
                raise InvalidFieldError(name or "query", "is not a parameter of this request")
        elif label[1] in labels:
            raise InvalidFieldError(name, "is there twice")
        else:
            labels[label[1]] = value
    return labels


def _timestamp(seconds: int | None) -> Timestamp | None:
    return None if seconds is None else Timestamp(seconds=seconds)
