"""What ModelService does, for any edge."""

import base64
import binascii

from telecine.api.gateway_parts import GatewayParts
from telecine.api.request_validation import check_page_size, parse_model_name
from telecine.errors import InvalidFieldError
from telecine.v1 import model_pb2, model_service_pb2


async def list_models(
    parts: GatewayParts, request: model_service_pb2.ListModelsRequest
) -> model_service_pb2.ListModelsResponse:
    """Returns a page of models, by name."""
    page_size = check_page_size(request.page_size)
    after = _name_in(request.page_token) if request.page_token else ""
    models = sorted(await parts.models.directory.list_models(), key=lambda model: model.name)
    following = [model for model in models if model.name > after]
    page = following[:page_size]
    token = _token_after(page[-1].name) if len(following) > page_size else ""
    return model_service_pb2.ListModelsResponse(models=page, next_page_token=token)


async def get_model(
    parts: GatewayParts, request: model_service_pb2.GetModelRequest
) -> model_pb2.Model:
    """Returns one model."""
    model_id = parse_model_name(request.name, field="name")
    return await parts.models.directory.get(model_id)


def _token_after(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def _name_in(page_token: str) -> str:
    try:
        name = base64.b64decode(page_token, altchars=b"-_", validate=True).decode()
        parse_model_name(name, field="page_token")
    except (binascii.Error, ValueError, InvalidFieldError) as error:
        raise InvalidFieldError("page_token", "was not given out by this service") from error
    return name
