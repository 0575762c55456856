"""Resolves the adapters that a request names against those that the model has."""

from telecine.api.request_validation import shown
from telecine.errors import InvalidFieldError
from telecine.v1 import model_pb2, video_pb2

MAX_LORAS = 8
MAX_LORA_SCALE = 4.0


def copy_loras(
    sent: video_pb2.VideoSpec, spec: video_pb2.VideoSpec, model: model_pb2.Model
) -> None:
    """Copies the adapters of `sent`, their scales set.

    Raises:
        InvalidFieldError: the model has no such adapter, or its scale is out of range.
    """
    if len(sent.loras) > MAX_LORAS:
        raise InvalidFieldError("spec.loras", f"{len(sent.loras)} are more than {MAX_LORAS}")
    for index, lora in enumerate(sent.loras):
        field = f"spec.loras[{index}]"
        if lora.name not in model.loras:
            has = ", ".join(model.loras) or "none"
            raise InvalidFieldError(
                f"{field}.name", f"{model.name} has no {shown(lora.name)}; it has {has}"
            )
        if any(lora.name == other.name for other in sent.loras[:index]):
            raise InvalidFieldError(f"{field}.name", f"{shown(lora.name)} is there twice")
        scale = lora.scale if lora.HasField("scale") else 1.0
        if not -MAX_LORA_SCALE <= scale <= MAX_LORA_SCALE:  # NaN is within nothing
            raise InvalidFieldError(
                f"{field}.scale", f"{scale} is not from -{MAX_LORA_SCALE:g} to {MAX_LORA_SCALE:g}"
            )
        spec.loras.add(name=lora.name, scale=scale)
