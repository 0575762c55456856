"""The committed repository: thin models, and configs that the code writes."""

from pathlib import Path

import pytest

from telecine.backend.model_repository import describe_model
from telecine.inference.model_configs import write_configs

REPOSITORY = Path(__file__).parents[2] / "model_repository"
MODEL_FILES = sorted(REPOSITORY.glob("*/1/model.py"))


@pytest.mark.parametrize("path", MODEL_FILES, ids=lambda path: path.parts[-3])
def test_model_only_names_tensors_and_calls_the_engine(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 60


def test_every_role_is_there_with_the_config_that_the_code_writes() -> None:
    configs = write_configs(describe_model("toybox", "toybox"))
    assert {path.name for path in REPOSITORY.glob("toybox__*")} == {f"toybox__{r}" for r in configs}
    assert (REPOSITORY / "toybox__prompt_encoder" / "1" / ".gitkeep").exists()
    for role, text in configs.items():
        assert (REPOSITORY / f"toybox__{role}" / "config.pbtxt").read_text() == text
