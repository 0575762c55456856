"""A model is added with what it can do in the layout that it is added in."""

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf import json_format
from random_family import DIT, write_random_family

from telecine.backend.model_addition import write_model
from telecine.engine.audio.audio_stream import AudioStreamConfig
from telecine.engine.families.weights_check import CheckedWeights, check_weights
from telecine.v1 import model_pb2, video_pb2
from telecine.worker.model_registry import CARD_NAME

SOURCES = Path(__file__).parents[2] / "model_repository"
JOINT, POST_SYNC = video_pb2.AUDIO_MODE_JOINT, video_pb2.AUDIO_MODE_POST_SYNC


@pytest.fixture(scope="module")
def sounding(tmp_path_factory: pytest.TempPathFactory) -> CheckedWeights:
    folder = tmp_path_factory.mktemp("sounding")
    write_random_family(folder, replace(DIT, audio=AudioStreamConfig(width=32, num_heads=2)))
    return check_weights(folder)


def added(checked: CheckedWeights, folder: Path, **layout: int) -> tuple[model_pb2.Model, set[str]]:
    """Its card, and its roles."""
    sizes = {"tensor_parallel": 1, "sequence_parallel": 1, "guidance_parallel": False, **layout}
    options = Namespace(name="it", target="cuda", load="full", sources=SOURCES, **sizes)
    write_model(checked, folder, options=options)
    card = json_format.Parse((folder / "model" / CARD_NAME).read_text(), model_pb2.Model())
    return card, {path.name.removeprefix("it__") for path in (folder / "triton").iterdir()}


def test_toybox_shared_by_sequence_has_sound_for_finished_pictures_alone(
    sounding: CheckedWeights, tmp_path: Path
) -> None:
    card, roles = added(sounding, tmp_path, sequence_parallel=2)
    assert JOINT not in card.limits.audio_modes
    assert POST_SYNC in card.limits.audio_modes
    assert model_pb2.Model.FEATURE_AUDIO_TO_VIDEO not in card.features
    assert model_pb2.Model.FEATURE_EDIT in card.features
    assert {"audio_dit", "audio_decoder"} <= roles
    assert "audio_encoder" not in roles


@pytest.mark.parametrize("layout", [{}, {"tensor_parallel": 3}, {"guidance_parallel": True}])
def test_toybox_laid_out_otherwise_keeps_its_sound(
    sounding: CheckedWeights, tmp_path: Path, layout: dict[str, int]
) -> None:
    card, roles = added(sounding, tmp_path, **layout)
    assert {JOINT, POST_SYNC} <= set(card.limits.audio_modes)
    assert model_pb2.Model.FEATURE_AUDIO_TO_VIDEO in card.features
    assert "audio_encoder" in roles
