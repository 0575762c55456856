"""Clients are told of a model what its family says."""

from dataclasses import replace
from pathlib import Path

from google.protobuf import json_format

from telecine.backend.model_card import model_card
from telecine.engine.families import BUILT_IN_WEIGHTS, load_family
from telecine.v1 import model_pb2, video_pb2

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
        "audio_modes",
        "memory_bytes_per_megapixel",
        "window_memory_bytes_per_megapixel",
    ):
        assert getattr(shipped, name) == getattr(told, name), name
    assert list(told.attention_strategies) == ["full", "causal", "window"]


def test_modes_of_sound_are_told_with_none_first_and_their_default_is_the_tier_s() -> None:
    silent = load_family(str(TOYBOX)).card
    for modes, default in (
        ((), video_pb2.AUDIO_MODE_NONE),
        (("JOINT", "POST_SYNC"), video_pb2.AUDIO_MODE_UNSPECIFIED),
    ):
        told = model_card(replace(silent, audio_modes=modes), version="1", memory_bytes=0)
        names = [video_pb2.AudioMode.Name(mode) for mode in told.limits.audio_modes]
        assert names == [f"AUDIO_MODE_{mode}" for mode in ("NONE", *modes)]
        assert told.defaults.audio_mode == default
