"""The OpenAPI document, with what FastAPI cannot see: bodies that routes read themselves."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from telecine.api.http.error_answers import ErrorBody, ErrorDetails
from telecine.api.http.video_request import (
    CreateBody,
    EditBody,
    EstimateBody,
    ExtendBody,
    LoraField,
    ReferenceUrl,
    RemixBody,
    SourceVideo,
    UploadReference,
)

_BODIES = (
    CreateBody,
    EditBody,
    ExtendBody,
    RemixBody,
    EstimateBody,
    LoraField,
    ReferenceUrl,
    SourceVideo,
    UploadReference,
    ErrorBody,
    ErrorDetails,
)
# Those whose form may bring files, with the fields of theirs that may be one.
_FORMS = {
    "CreateBody": ("input_reference", "input_audio"),
    "EditBody": ("video", "input_audio"),
    "ExtendBody": ("video", "input_audio"),
    "RemixBody": ("input_audio",),
}
_FILE = {"type": "string", "format": "binary"}
_REFERENCE = "#/components/schemas/{model}"
# A key or an access token, in either header.
_KEYS = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}
# What is done next with a video that was made.
_NEXT = (
    ("retrieve", "/v1/videos/{video_id}", "get"),
    ("watch", "/v1/videos/{video_id}/events", "get"),
    ("download", "/v1/videos/{video_id}/content", "get"),
    ("pause", "/v1/videos/{video_id}/pause", "post"),
    ("resume", "/v1/videos/{video_id}/resume", "post"),
    ("cancel", "/v1/videos/{video_id}/cancel", "post"),
    ("remix", "/v1/videos/{video_id}/remix", "post"),
    ("delete", "/v1/videos/{video_id}", "delete"),
)
_ERROR = {
    "description": "What is wrong, with the field's name.",
    "content": {"application/json": {"schema": {"$ref": _REFERENCE.format(model="ErrorBody")}}},
}


def body_content(body: str) -> dict[str, Any]:
    """Returns how the document describes a body, which comes as JSON or as a form."""
    forms = {"application/json": body, "multipart/form-data": _form_name(body)}
    content = {
        content_type: {"schema": {"$ref": _REFERENCE.format(model=name)}}
        for content_type, name in forms.items()
    }
    return {"requestBody": {"required": True, "content": content}}


def describe_api(app: FastAPI) -> None:
    """Gives an application its document, which is made once, when it is first asked for."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document_of(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document_of(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, routes=app.routes)
    schemas = document["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for body in _BODIES:
        schema = body.model_json_schema(ref_template=_REFERENCE)
        schema.pop("$defs", None)
        schemas[body.__name__] = schema
        schemas[_form_name(body.__name__)] = _form_of(body.__name__, schema)
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = _ERROR
    document["components"]["securitySchemes"] = _KEYS
    document["security"] = [{name: []} for name in _KEYS]
    made = document["paths"]["/v1/videos"]["post"]["responses"]["202"]
    made["links"] = {name: _link(document["paths"], path, method) for name, path, method in _NEXT}
    return document


def _link(paths: dict[str, Any], path: str, method: str) -> dict[str, Any]:
    """Returns how the video that an answer shows is the parameter of another call."""
    operation = paths[path][method]["operationId"]
    return {"operationId": operation, "parameters": {"video_id": "$response.body#/id"}}


def _form_name(body: str) -> str:
    return body.replace("Body", "Form") if body in _FORMS else body


def _form_of(name: str, body: dict[str, Any]) -> dict[str, Any]:
    """Returns a body's schema as a form has it: some of its fields may be files.

    Objects and lists are flattened with brackets: `input_reference[image_url]`, `loras[]`.
    """
    if name not in _FORMS:
        return body
    files = dict.fromkeys(_FORMS[name], _FILE)
    return body | {"title": _form_name(name), "properties": body["properties"] | files}
