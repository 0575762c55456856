"""Adapters of a request are those that its model has, within a scale that makes sense."""

import pytest

from telecine.api.video_adapters import copy_loras
from telecine.errors import InvalidFieldError
from telecine.v1 import model_pb2, video_pb2

MODEL = model_pb2.Model(name="models/wan", loras=["film-grain", "sketch"])


def resolve(*loras: video_pb2.Lora) -> video_pb2.VideoSpec:
    spec = video_pb2.VideoSpec()
    copy_loras(video_pb2.VideoSpec(loras=loras), spec, MODEL)
    return spec


def test_an_adapter_acts_as_it_was_trained_unless_the_request_says_more() -> None:
    spec = resolve(video_pb2.Lora(name="sketch"), video_pb2.Lora(name="film-grain", scale=0.0))
    assert [(lora.name, lora.scale) for lora in spec.loras] == [("sketch", 1), ("film-grain", 0)]


@pytest.mark.parametrize(
    ("loras", "field"),
    [
        ([video_pb2.Lora(name="nobody")], "spec.loras[0].name"),
        ([video_pb2.Lora()], "spec.loras[0].name"),
        ([video_pb2.Lora(name="sketch")] * 2, "spec.loras[1].name"),
        ([video_pb2.Lora(name="sketch", scale=4.5)], "spec.loras[0].scale"),
        ([video_pb2.Lora(name="sketch", scale=float("nan"))], "spec.loras[0].scale"),
        ([video_pb2.Lora(name="sketch")] * 9, "spec.loras"),
    ],
)
def test_a_bad_adapter_is_refused_by_its_field(loras: list[video_pb2.Lora], field: str) -> None:
    with pytest.raises(InvalidFieldError) as refused:
        resolve(*loras)
    assert refused.value.field == field


def test_an_unknown_adapter_s_refusal_says_which_there_are() -> None:
    with pytest.raises(InvalidFieldError, match="it has film-grain, sketch"):
        resolve(video_pb2.Lora(name="nobody"))
