"""What ModelService does, for any edge."""

from functools import partial

from telecine.api.gateway_parts import GatewayParts
from telecine.api.name_pages import page_by_name
from telecine.api.request_validation import check_page_size, parse_model_name
from telecine.errors import NotFoundError
from telecine.v1 import model_pb2, model_service_pb2


async def list_models(
    parts: GatewayParts, request: model_service_pb2.ListModelsRequest
) -> model_service_pb2.ListModelsResponse:
    """Returns a page of models, by name."""
    page, token = page_by_name(
        map(parts.router.with_aliases, await parts.models.directory.list_models()),
        page_size=check_page_size(request.page_size),
        page_token=request.page_token,
        check_name=partial(parse_model_name, field="page_token"),
    )
    return model_service_pb2.ListModelsResponse(models=page, next_page_token=token)


async def get_model(
    parts: GatewayParts, request: model_service_pb2.GetModelRequest
) -> model_pb2.Model:
    """Returns one model, by its name or by an alias."""
    model_id = parse_model_name(request.name, field="name")
    try:
        model = await parts.models.directory.get(model_id)
    except NotFoundError:
        name = await parts.router.name_of(request.name)
        if name == request.name:
            raise
        model = await parts.models.directory.get(name.removeprefix("models/"))
    return parts.router.with_aliases(model)
