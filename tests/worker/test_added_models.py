"""Models that were added on this machine, as a worker finds them."""

import shutil
from pathlib import Path

import pytest

from telecine.config import WorkerSettings
from telecine.worker.added_models import (
    RECORD_NAME,
    RETRY_SECONDS,
    AddedModel,
    AddedModels,
    FoundModels,
    read_added,
    require_unchanged,
)
from telecine.worker.model_manifest import MANIFEST_NAME, describe_folder
from telecine.worker.model_registry import CARD_NAME
from telecine.worker.served_models import ServedModels

CARD = '{"version": "1", "limits": {"memoryBytes": 10}}'


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A folder of weights, as far as a worker looks at it."""
    folder = tmp_path / "weights" / "transformer"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"numbers")
    return folder.parent


def add(folder: Path, weights: Path) -> Path:
    """Write what `telecine models add` writes of a model."""
    folder.mkdir(parents=True)
    (folder / CARD_NAME).write_text(CARD)
    (folder / MANIFEST_NAME).write_text(describe_folder(weights).to_json())
    record = AddedModel(weights=str(weights), target="cpu", weights_mode="full")
    (folder / RECORD_NAME).write_text(record.to_json())
    return folder


def test_an_added_model_has_its_folder_s_name_and_its_weights_digest(
    weights: Path, tmp_path: Path
) -> None:
    model = read_added(add(tmp_path / "models" / "wan", weights))
    assert model.model_id == "wan"
    assert model.card.digest == describe_folder(weights).digest


def test_weights_that_are_gone_or_cut_off_are_named(weights: Path, tmp_path: Path) -> None:
    folder = add(tmp_path / "models" / "wan", weights)
    file = weights / "transformer" / "model.safetensors"
    file.write_bytes(b"numb")
    with pytest.raises(ValueError, match=f"{file}: has 4 bytes, not 7"):
        read_added(folder)
    file.unlink()
    with pytest.raises(ValueError, match=f"{file}: missing"):
        read_added(folder)


def test_weights_with_other_bytes_are_named_when_all_is_read(weights: Path, tmp_path: Path) -> None:
    folder = add(tmp_path / "models" / "wan", weights)
    require_unchanged(folder)
    (weights / "transformer" / "model.safetensors").write_bytes(b"numbets")
    read_added(folder)  # looks at sizes alone
    with pytest.raises(ValueError, match=r"model\.safetensors: not as"):
        require_unchanged(folder)


async def test_a_worker_serves_what_is_added_and_lets_go_of_what_is_removed(
    weights: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "models"
    served = await ServedModels.read(WorkerSettings(added_models_folder=folder))
    assert set(served.models) == {"toybox"}
    add(folder / "wan", weights)
    assert await served.refresh() == set()
    assert set(served.models) == {"toybox", "wan"}
    assert served.memory_bytes["wan"] == 10
    shutil.rmtree(folder / "wan")
    assert await served.refresh() == {"wan"}
    assert set(served.models) == {"toybox"}


async def test_a_broken_added_model_costs_the_others_nothing(weights: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    add(folder / "wan", weights)
    (add(folder / "mochi", weights) / CARD_NAME).write_text("{")
    served = await ServedModels.read(WorkerSettings(added_models_folder=folder))
    assert set(served.models) == {"toybox", "wan"}


def test_weights_whose_disk_is_mounted_later_are_found(weights: Path, tmp_path: Path) -> None:
    now = 0.0
    folder = tmp_path / "models"
    late = tmp_path / "late"
    shutil.copytree(weights, late)
    add(folder / "wan", weights)
    add(folder / "mochi", late)
    late.rename(tmp_path / "unmounted")
    models = AddedModels(folder, clock=lambda: now)
    assert ids(models.read_if_changed()) == (["wan"], ["mochi"])
    assert models.read_if_changed() is None
    now += RETRY_SECONDS
    assert ids(models.read_if_changed()) == (["wan"], ["mochi"])
    (tmp_path / "unmounted").rename(late)
    assert models.read_if_changed() is None  # not every time
    now += RETRY_SECONDS
    assert ids(models.read_if_changed()) == (["mochi", "wan"], [])
    now += RETRY_SECONDS
    assert models.read_if_changed() is None


def test_what_is_served_is_not_read_again_with_what_is_rejected(
    weights: Path, tmp_path: Path
) -> None:
    now = 0.0
    folder = tmp_path / "models"
    add(folder / "wan", weights)
    (add(folder / "mochi", weights) / CARD_NAME).write_text("{")
    models = AddedModels(folder, clock=lambda: now)
    assert ids(models.read_if_changed()) == (["wan"], ["mochi"])
    shutil.rmtree(weights)
    now += RETRY_SECONDS
    assert ids(models.read_if_changed()) == (["wan"], ["mochi"])


def ids(found: FoundModels | None) -> tuple[list[str], list[str]]:
    """Which are good and which are rejected."""
    assert found is not None
    return [model.model_id for model in found.models], [each.weights for each in found.rejected]


async def test_no_added_model_takes_the_place_of_one_the_settings_name(
    weights: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "models"
    before = await ServedModels.read(WorkerSettings())
    add(folder / "toybox", weights)
    served = await ServedModels.read(WorkerSettings(added_models_folder=folder))
    assert served.models["toybox"].card.digest == before.models["toybox"].card.digest
