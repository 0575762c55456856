"""The models, as the dialect lists them and with what each can do."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from google.protobuf.json_format import MessageToDict
from pydantic import BaseModel

from telecine.api import models
from telecine.api.http import text_forms
from telecine.api.http.dependencies import Call, CallOf
from telecine.api.http.enum_words import enum_word
from telecine.api.http.option_objects import seconds_text
from telecine.api.http.video_object import size_text
from telecine.api.request_validation import MAX_PAGE_SIZE
from telecine.v1 import model_pb2, model_service_pb2, video_pb2

router = APIRouter(prefix="/v1/models", tags=["models"])

_ModelId = Annotated[str, Path(pattern=text_forms.ID, description="The model's id.")]


class ModelObject(BaseModel):
    """A model; from `state` on the fields are ours, named as in telecine.v1.Model."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "telecine"
    display_name: str
    is_default: bool
    state: str
    version: str
    digest: str
    features: list[str]
    loras: list[str]
    aliases: list[str]
    limits: dict[str, Any]
    defaults: dict[str, Any]


class ModelList(BaseModel):
    """All models."""

    object: Literal["list"] = "list"
    data: list[ModelObject]


@router.get("")
async def list_models(call: CallOf) -> ModelList:
    """List the models."""
    query = model_service_pb2.ListModelsRequest(page_size=MAX_PAGE_SIZE)
    answer = await models.list_models(call.parts, query)
    return ModelList(data=[_model_object(model, call) for model in answer.models])


@router.get("/{model_id}")
async def retrieve_model(model_id: _ModelId, call: CallOf) -> ModelObject:
    """Return one model."""
    query = model_service_pb2.GetModelRequest(name=f"models/{model_id}")
    return _model_object(await models.get_model(call.parts, query), call)


def _model_object(model: model_pb2.Model, call: Call) -> ModelObject:
    return ModelObject(
        id=model.name.removeprefix("models/"),
        display_name=model.display_name,
        is_default=call.parts.router.is_default(model),
        state=enum_word(model_pb2.Model.State.Name(model.state), "STATE_"),
        version=model.version,
        digest=model.digest,
        features=[
            enum_word(model_pb2.Model.Feature.Name(feature), "FEATURE_")
            for feature in model.features
        ],
        loras=list(model.loras),
        aliases=list(model.aliases),
        limits=_limits(model.limits),
        defaults=_defaults(model.defaults),
    )


def _limits(limits: model_pb2.ModelLimits) -> dict[str, Any]:
    fields = MessageToDict(
        limits, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return fields | {
        "sizes": [size_text(size) for size in limits.sizes],
        "memory_bytes": limits.memory_bytes,
        "memory_bytes_per_megapixel": limits.memory_bytes_per_megapixel,
    }


def _defaults(spec: video_pb2.VideoSpec) -> dict[str, Any]:
    return {
        "seconds": seconds_text(spec.duration),
        "size": size_text(spec.size),
        "negative_prompt": spec.negative_prompt,
        "num_inference_steps": spec.num_inference_steps,
        "guidance_scale": spec.guidance_scale,
        "fps": spec.fps,
        "sampler": spec.sampler,
    }
