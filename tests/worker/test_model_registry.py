"""Model cards and digests of weights folders."""

from pathlib import Path

import pytest

from telecine.worker.model_registry import digest_folder, find_weights, read_model, read_models

CARD = '{"version": "1", "limits": {"maxNumFrames": 9}}'


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    (folder / "vae").mkdir(parents=True)
    (folder / "model.json").write_text(CARD)
    (folder / "vae" / "weights.safetensors").write_bytes(bytes(range(256)) * 5000)
    return folder


def test_card_becomes_a_model_with_its_digest(weights: Path) -> None:
    model = read_model(str(weights))
    assert model.card.name == "models/tiny"
    assert model.model_id == "tiny"
    assert model.card.limits.max_num_frames == 9
    assert model.card.digest == digest_folder(weights)
    assert model.card.digest.startswith("sha256:")


def test_any_changed_byte_or_name_changes_the_digest(weights: Path) -> None:
    before = digest_folder(weights)
    file = weights / "vae" / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    changed = digest_folder(weights)
    file.rename(weights / "vae" / "other.safetensors")
    assert len({before, changed, digest_folder(weights)}) == 3


def test_hidden_files_do_not_count(weights: Path) -> None:
    before = digest_folder(weights)
    (weights / ".DS_Store").write_text("x")
    assert digest_folder(weights) == before


@pytest.mark.parametrize("card", ["{", '{"versoin": "1"}'])
def test_a_bad_card_is_named(weights: Path, card: str) -> None:
    (weights / "model.json").write_text(card)
    with pytest.raises(ValueError, match=r"model\.json"):
        read_model(str(weights))


async def test_a_folder_without_a_card_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=str(tmp_path)):
        await read_models((str(tmp_path),))


def test_a_bare_name_means_a_built_in_family() -> None:
    assert find_weights("toybox").parts[-2:] == ("weights", "toybox")
    assert find_weights("./toybox") == Path("toybox")
