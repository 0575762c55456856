"""The OpenAPI document, with what FastAPI cannot see: bodies that routes read themselves."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from telecine.api.http.error_answers import ErrorBody
from telecine.api.http.video_request import CreateBody, LoraField, ReferenceUrl

_BODIES = (CreateBody, LoraField, ReferenceUrl, ErrorBody)
_REFERENCE = "#/components/schemas/{model}"
_ERROR = {
    "description": "What is wrong, with the field's name.",
    "content": {"application/json": {"schema": {"$ref": _REFERENCE.format(model="ErrorBody")}}},
}


def body_content(json_schema: str, form_schema: str) -> dict[str, Any]:
    """Returns how the document describes a body that comes as JSON or as a form."""
    content = {
        "application/json": {"schema": {"$ref": _REFERENCE.format(model=json_schema)}},
        "multipart/form-data": {"schema": {"$ref": _REFERENCE.format(model=form_schema)}},
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
    schemas["CreateForm"] = _form_of(schemas["CreateBody"], file="input_reference")
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = _ERROR
    return document


def _form_of(body: dict[str, Any], *, file: str) -> dict[str, Any]:
    """Returns a body's schema as a form has it: one of its fields may be a file.

    Objects and lists are flattened with brackets, `input_reference[image_url]`, `loras[]`.
    """
    properties = body["properties"] | {file: {"type": "string", "format": "binary"}}
    return body | {"title": "CreateForm", "properties": properties}
