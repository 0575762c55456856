"""Models in folders and in a registry."""

from pathlib import Path

import pytest

from telecine.storage import open_object_store
from telecine.storage.local_object_store import LocalObjectStore
from telecine.storage.object_store import ObjectStore
from telecine.worker.model_cache import ModelCache
from telecine.worker.model_manifest import PublishedVersion, describe_folder, parse_manifest
from telecine.worker.model_publishing import publish_model
from telecine.worker.model_registry import (
    ModelRegistry,
    find_weights,
    newest_version,
    read_folder,
)

CARD = '{"version": "%s", "limits": {"maxNumFrames": 9}}'


def write_model(folder: Path, *, version: str = "1", seed: int = 0) -> Path:
    """A weights folder with a card and one file."""
    (folder / "vae").mkdir(parents=True, exist_ok=True)
    (folder / "model.json").write_text(CARD % version)
    (folder / "vae" / "weights.safetensors").write_bytes(bytes(range(seed, 256)) * 5000)
    return folder


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return write_model(tmp_path / "tiny")


@pytest.fixture(params=["folder", "s3"])
def registry_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "registry")
    url: str = request.getfixturevalue("s3_url")
    return url


def test_card_becomes_a_model_with_its_digest(weights: Path) -> None:
    model = read_folder(weights)
    assert model.card.name == "models/tiny"
    assert model.model_id == "tiny"
    assert model.card.limits.max_num_frames == 9
    assert model.card.digest == describe_folder(weights).digest
    assert model.card.digest.startswith("sha256:")


def test_card_lists_the_adapters_of_the_folder(weights: Path) -> None:
    for name in ("sketch.safetensors", "film-grain/adapter_model.safetensors", "notes.txt"):
        path = weights / "loras" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"numbers")
    (weights / "loras" / "a b.safetensors").write_bytes(b"no name that a request can give")
    assert list(read_folder(weights).card.loras) == ["film-grain", "sketch"]


def test_any_changed_byte_or_name_changes_the_digest(weights: Path) -> None:
    before = describe_folder(weights).digest
    file = weights / "vae" / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    changed = describe_folder(weights).digest
    file.rename(weights / "vae" / "other.safetensors")
    assert len({before, changed, describe_folder(weights).digest}) == 3


def test_hidden_files_do_not_count(weights: Path) -> None:
    before = describe_folder(weights)
    (weights / ".DS_Store").write_text("x")
    assert describe_folder(weights) == before


@pytest.mark.parametrize("card", ["{", '{"versoin": "1"}', "{}"])
def test_a_bad_card_is_named(weights: Path, card: str) -> None:
    (weights / "model.json").write_text(card)
    with pytest.raises(ValueError, match=r"model\.json"):
        read_folder(weights)


def test_a_folder_that_is_not_what_its_manifest_says_is_refused(weights: Path) -> None:
    manifest = describe_folder(weights)
    (weights / "manifest.json").write_text(manifest.to_json())
    assert read_folder(weights).card.digest == manifest.digest
    (weights / "vae" / "weights.safetensors").write_bytes(b"truncated")
    with pytest.raises(ValueError, match=r"tiny: vae/weights.safetensors: not as manifest"):
        read_folder(weights)


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"files": {"../x": {}}}', '{"files": {"x": 1}}']
)
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_manifest(text)


def test_a_bare_name_means_a_built_in_family() -> None:
    assert find_weights("toybox").parts[-2:] == ("weights", "toybox")
    assert find_weights("./toybox") == Path("toybox")


async def test_bad_folders_are_reported_and_the_good_ones_served(
    weights: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    found = await ModelRegistry().read_all(
        [str(tmp_path / "empty"), str(weights), str(tmp_path / "none"), "unknown"]
    )
    assert [model.model_id for model in found.models] == ["tiny"]
    assert [rejected.weights for rejected in found.rejected] == [
        str(tmp_path / "empty"),
        str(tmp_path / "none"),
        "unknown",
    ]
    assert "empty/model.json" in found.rejected[0].reason


async def test_published_versions_are_found_by_name_and_the_newest_counts(
    registry_url: str, tmp_path: Path
) -> None:
    store = open_object_store(registry_url)
    for version in ("1.9", "1.10", "1.2"):
        await publish_model(write_model(tmp_path / "tiny", version=version), store)
    registry = ModelRegistry(store)
    newest = await registry.read("tiny")
    assert (newest.model_id, newest.card.version) == ("tiny", "1.10")
    older = await registry.read("tiny@1.2")
    assert older.card.version == "1.2"
    assert older.card.digest == describe_folder(tmp_path / "tiny").digest
    assert sorted(await registry.list_published()) == [
        ("tiny", "1.10"),
        ("tiny", "1.2"),
        ("tiny", "1.9"),
    ]
    found = await registry.read_all(["tiny@7", "other", "toybox"])
    assert [model.model_id for model in found.models] == ["toybox"]
    assert [rejected.reason for rejected in found.rejected] == [
        "tiny/7/manifest.json does not exist: not in the registry",
        "other: not in the registry",
    ]


async def test_a_version_never_changes(weights: Path, tmp_path: Path) -> None:
    store = LocalObjectStore(tmp_path / "registry")
    assert await publish_model(weights, store) == await publish_model(weights, store)
    write_model(weights, seed=1)
    with pytest.raises(ValueError, match="tiny/1 is published with other files"):
        await publish_model(weights, store)


async def test_a_version_whose_publishing_broke_off_is_not_there(
    weights: Path, tmp_path: Path
) -> None:
    store = LocalObjectStore(tmp_path / "registry")
    await publish_model(weights, store)
    (tmp_path / "registry" / "tiny" / "1" / "manifest.json").unlink()
    with pytest.raises(ValueError, match="tiny: not in the registry"):
        await ModelRegistry(store).read("tiny")


async def test_what_is_cached_is_served_while_the_registry_is_away(
    weights: Path, s3_credentials: None, tmp_path: Path
) -> None:
    store = LocalObjectStore(tmp_path / "registry")
    published = await publish_model(weights, store)
    cache = ModelCache(tmp_path / "cache", store, budget_bytes=1 << 30)
    async with cache.using(published):
        pass
    away: ObjectStore = open_object_store("s3://bucket/?endpoint=http://127.0.0.1:1&region=x")
    registry = ModelRegistry(away, cache)
    model = await registry.read("tiny")
    assert model.published == published
    assert model.card.digest == published.manifest.digest
    found = await registry.read_all(["other"])
    assert found.models == ()
    assert "object store failed" in found.rejected[0].reason


def test_versions_are_compared_by_their_numbers(weights: Path) -> None:
    manifest = describe_folder(weights)
    versions = [PublishedVersion("tiny", name, manifest) for name in ("2", "v10", "10", "9-rc1")]
    assert newest_version(versions).version == "10"
