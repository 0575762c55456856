"""A model published to S3, fetched by a worker and served by a real Triton server."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from telecine.config import WorkerSettings
from telecine.errors import ModelError
from telecine.inference.triton_client import TritonClient
from telecine.inference.triton_server import TritonServer, TritonServerConfig
from telecine.storage import open_object_store
from telecine.storage.local_object_store import LocalObjectStore
from telecine.worker.model_manifest import MANIFEST_NAME
from telecine.worker.model_publishing import publish_model
from telecine.worker.model_residency import ModelResidency
from telecine.worker.served_models import ServedModels

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def weights(random_weights: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    shutil.copytree(random_weights, folder)
    (folder / "model.json").write_text('{"version": "1", "limits": {"memoryBytes": 10}}')
    return folder


@pytest.fixture
def registry_url(weights: Path, s3_url: str) -> str:
    """Where `tiny` is published, as its owner would do it."""
    script = CHECKOUT / "scripts" / "publish_model.py"
    subprocess.run([sys.executable, script, weights, s3_url], check=True, capture_output=True)
    return s3_url


@pytest.mark.slow
async def test_a_published_model_is_fetched_when_it_is_needed_and_served(
    registry_url: str, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    served = await ServedModels.read(
        WorkerSettings(
            models=("tiny@1", "tiny@2"),
            model_registry=registry_url,
            model_cache_folder=tmp_path / "cache",
            triton_repository=repository,
        )
    )
    assert list(served.models) == ["tiny"]
    assert not (tmp_path / "cache").exists()
    config = TritonServerConfig.on_free_ports(
        repository, tmp_path / "triton.log", loads_models=False
    )
    with TritonServer(config) as server:
        triton = TritonClient(server.grpc_url, stream_timeout_seconds=60.0)
        residency = ModelResidency(triton, 0, provide=served.provide)
        await residency.ensure_loaded("tiny")
        prompt = await triton.encode_prompt("tiny", "a red circle moves right")
        assert prompt.num_tokens > 1
        assert (repository / "tiny__dit_sampler" / "1" / "model.py").is_symlink()
        await residency.close()
        await triton.close()
    assert list(repository.glob("tiny__*")) == []


@pytest.mark.slow
async def test_a_version_that_was_published_while_the_worker_was_away_takes_the_old_one_s_place(
    registry_url: str, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    config = TritonServerConfig.on_free_ports(
        repository, tmp_path / "triton.log", loads_models=False
    )
    settings = WorkerSettings(
        models=("tiny",),
        model_registry=registry_url,
        model_cache_folder=tmp_path / "cache",
        triton_repository=repository,
    )
    with TritonServer(config) as server:
        triton = TritonClient(server.grpc_url, stream_timeout_seconds=60.0)
        for version in ("1", "2"):
            served = await ServedModels.read(settings)
            residency = ModelResidency(triton, 0, provide=served.provide)
            await residency.ensure_loaded("tiny")
            assert f"/tiny/{version}/" in await weights_that_are_served(triton)
            if version == "1":
                fetched = next((tmp_path / "cache").glob("tiny/1/*/weights"))
                await publish_again(fetched, registry_url, version="2")
        await residency.close()
        await triton.close()


async def publish_again(fetched: Path, registry_url: str, *, version: str) -> None:
    """Publishes a version as another one."""
    folder = fetched.parent / "tiny"
    shutil.copytree(fetched, folder)
    (folder / MANIFEST_NAME).unlink()
    (folder / "model.json").write_text(f'{{"version": "{version}"}}')
    await publish_model(folder, open_object_store(registry_url))


async def weights_that_are_served(triton: TritonClient) -> str:
    """The folder that the loaded denoiser has read its weights from."""
    answer = await triton._triton.get_model_config("tiny__dit_sampler", as_json=True)
    return str(answer["config"]["parameters"]["weights"]["string_value"])


async def test_a_model_that_cannot_be_fetched_is_an_error_of_the_model(
    weights: Path, tmp_path: Path
) -> None:
    await publish_model(weights, LocalObjectStore(tmp_path / "registry"))
    served = await ServedModels.read(
        WorkerSettings(
            models=("tiny",),
            model_registry=str(tmp_path / "registry"),
            model_cache_folder=tmp_path / "cache",
            triton_repository=tmp_path / "repository",
        )
    )
    with pytest.raises(ModelError, match="published without its Triton models"):
        async with served.provide("tiny"):
            raise AssertionError
    for path in (tmp_path / "cache").glob("tiny/1/*/weights"):
        path.rename(path.with_name("gone"))
    shutil.rmtree(tmp_path / "registry")
    with pytest.raises(ModelError, match=r"tiny/1 is not whole: .* does not exist"):
        async with served.provide("tiny"):
            raise AssertionError


async def test_a_registry_needs_a_repository_to_put_models_into(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"worker\.triton_repository"):
        await ServedModels.read(WorkerSettings(model_registry=str(tmp_path)))
