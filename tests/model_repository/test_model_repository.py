"""The committed repository: thin models, and configs that the code writes."""

from pathlib import Path

import pytest
from google.protobuf import json_format

from telecine.backend.model_repository import describe_model
from telecine.engine.families import BUILT_IN_WEIGHTS, load_family
from telecine.inference.model_configs import write_configs
from telecine.v1.model_pb2 import Model
from telecine.worker.model_registry import CARD_NAME

REPOSITORY = Path(__file__).parents[2] / "model_repository"
MODEL_FILES = sorted(REPOSITORY.glob("*/1/model.py"))


@pytest.mark.parametrize("path", MODEL_FILES, ids=lambda path: path.parts[-3])
def test_model_only_names_tensors_and_calls_the_engine(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 60


def test_every_role_is_there_with_the_config_that_the_code_writes() -> None:
    configs = write_configs(describe_model("toybox", "toybox"))
    assert {path.name for path in REPOSITORY.glob("toybox__*")} == {f"toybox__{r}" for r in configs}
    for ensemble in ("prompt_encoder", "image_conditioner"):
        assert (REPOSITORY / f"toybox__{ensemble}" / "1" / ".gitkeep").exists()
    for role, text in configs.items():
        assert (REPOSITORY / f"toybox__{role}" / "config.pbtxt").read_text() == text


def test_the_built_in_card_promises_what_the_family_can_do() -> None:
    card = json_format.Parse((BUILT_IN_WEIGHTS / "toybox" / CARD_NAME).read_text(), Model())
    family = load_family("toybox").card
    assert {Model.Feature.Name(each) for each in card.features} == {
        f"FEATURE_{each}" for each in family.features
    }
    assert card.limits.max_context_frames == family.max_context_frames
    assert card.extend_guidance_scale == family.extend_guidance_scale
    assert card.limits.chunk_latent_frames == family.chunk_latent_frames
