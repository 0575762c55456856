"""Clients are told of a model what its family says."""

from pathlib import Path

from google.protobuf import json_format

from telecine.backend.model_card import model_card
from telecine.engine.families import BUILT_IN_WEIGHTS, load_family
from telecine.v1 import model_pb2

TOYBOX = BUILT_IN_WEIGHTS / "toybox"


def shipped_card(folder: Path) -> model_pb2.Model:
    return json_format.Parse((folder / "model.json").read_text(), model_pb2.Model())


def test_the_built_in_model_s_card_has_its_family_s_lengths_and_attention() -> None:
    shipped = shipped_card(TOYBOX).limits
    told = model_card(load_family(str(TOYBOX)).card, version="1", memory_bytes=0).limits
    for name in (
        "max_num_frames",
        "frames_multiple",
        "max_duration",
        "chunk_latent_frames",
        "attention_strategies",
        "memory_bytes_per_megapixel",
        "window_memory_bytes_per_megapixel",
    ):
        assert getattr(shipped, name) == getattr(told, name), name
    assert list(told.attention_strategies) == ["full", "causal", "window"]
