"""Two models and a broken one in the memory of a real Triton server."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from telecine.errors import ModelError, ModelServerUnavailableError
from telecine.inference.triton_client import PromptEmbeds, SliceRequest, TritonClient
from telecine.inference.triton_server import TritonServer, TritonServerConfig
from telecine.worker.model_residency import ModelResidency

pytestmark = pytest.mark.slow

# Each takes 10 of a budget of 25: two fit, a third does not.
SIZES = {"toybox": 10, "other": 10, "third": 10, "broken": 5}
BUDGET = 25
ROLES = ("t5_encoder", "dit_sampler")


def copy_model(source: Path, target: Path, model: str) -> None:
    """Adds a model, with two of its roles, to a repository."""
    for role in ROLES:
        folder = target / f"{model}__{role}"
        shutil.copytree(source / f"toybox__{role}", folder)
        config = folder / "config.pbtxt"
        config.write_text(config.read_text().replace("toybox__", f"{model}__"))


@pytest.fixture(scope="module")
def repository(triton_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("residency") / "repository"
    for model in SIZES:
        copy_model(triton_repository, folder, model)
    config = folder / "broken__dit_sampler" / "config.pbtxt"
    config.write_text(config.read_text().replace('key: "weights"', 'key: "no_weights"'))
    return folder


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[TritonServer]:
    config = TritonServerConfig.on_free_ports(
        repository, repository.parent / "triton.log", loads_models=False
    )
    with TritonServer(config) as server:
        yield server


@pytest.fixture
async def triton(server: TritonServer) -> AsyncIterator[TritonClient]:
    client = TritonClient(server.grpc_url, stream_timeout_seconds=60.0)
    yield client
    await client.close()


@pytest.fixture
async def residency(triton: TritonClient) -> ModelResidency:
    """With nothing loaded."""
    for model in await triton.list_loaded_models():
        await triton.unload_model(model)
    return ModelResidency(triton, BUDGET, memory_bytes=SIZES)


def endless_slice() -> SliceRequest:
    generator = np.random.default_rng(1)
    prompt = PromptEmbeds(
        tensors={
            "prompt_embeds": generator.standard_normal((32, 192), np.float32),
            "pooled_prompt_embeds": generator.standard_normal(192, np.float32),
            "attention_mask": (np.arange(32) < 7).astype(np.int64),
        },
        num_tokens=7,
        max_tokens=32,
        is_truncated=False,
    )
    return SliceRequest(
        prompt=prompt,
        negative_prompt=None,
        seed=5,
        num_inference_steps=100_000,
        guidance_scale=1.0,
        sampler="euler",
        num_frames=9,
        height=64,
        width=64,
        fps=16,
        attention="full",
        state=b"",
        num_steps=100_000,
    )


async def test_models_are_loaded_as_needed_and_the_longest_unused_goes(
    residency: ModelResidency, triton: TritonClient
) -> None:
    assert residency.loaded_models() == ()
    await residency.ensure_loaded("toybox")
    await residency.ensure_loaded("other")
    await residency.ensure_loaded("toybox")
    assert residency.loaded_models() == ("toybox", "other")
    await residency.ensure_loaded("third")
    assert residency.loaded_models() == ("third", "toybox")
    assert await triton.list_loaded_models() == {"third", "toybox"}
    # A large video takes the place of a model.
    await residency.ensure_loaded("third", video_bytes=10)
    assert await triton.list_loaded_models() == {"third"}


async def test_a_model_that_runs_a_slice_is_not_unloaded(
    residency: ModelResidency, triton: TritonClient
) -> None:
    is_running = asyncio.Event()
    is_enough = asyncio.Event()

    async def run_slice() -> int:
        num_steps = 0
        async with (
            residency.using("toybox"),
            aclosing(triton.denoise_slice("toybox", endless_slice())) as steps,
        ):
            async for _ in steps:
                num_steps += 1
                is_running.set()
                if is_enough.is_set():
                    break
        return num_steps

    running = asyncio.create_task(run_slice())
    await is_running.wait()
    await residency.ensure_loaded("other")
    # The only one that may go is the newer one.
    await residency.ensure_loaded("third")
    assert residency.loaded_models() == ("third", "toybox")
    waiting = asyncio.create_task(residency.ensure_loaded("other", video_bytes=10))
    while "third" in await triton.list_loaded_models():  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    assert not waiting.done()
    is_enough.set()
    assert await running > 0
    await waiting
    assert await triton.list_loaded_models() == {"other"}


async def test_who_only_looks_does_not_wait_for_a_load(
    triton: TritonClient, residency: ModelResidency
) -> None:
    is_loading, may_load = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def provide(_: str) -> AsyncIterator[bool]:
        is_loading.set()
        await may_load.wait()
        yield True

    residency = ModelResidency(triton, BUDGET, memory_bytes=SIZES, provide=provide)
    loading = asyncio.create_task(residency.ensure_loaded("toybox"))
    await is_loading.wait()
    async with asyncio.timeout(5.0):
        await residency.refresh()
        assert not await residency.drop_unused("other")
    assert not loading.done()
    may_load.set()
    await loading
    await residency.refresh()
    assert residency.loaded_models() == ("toybox",)
    assert await residency.drop_unused("toybox")


async def test_a_user_that_is_cancelled_while_it_lets_go_has_let_go(
    residency: ModelResidency,
) -> None:
    is_using, may_end = asyncio.Event(), asyncio.Event()

    async def use() -> None:
        async with residency.using("toybox"):
            is_using.set()
            await may_end.wait()

    user = asyncio.create_task(use())
    await is_using.wait()
    looking = asyncio.create_task(residency.refresh())
    await asyncio.sleep(0)  # it asks Triton now
    may_end.set()
    await asyncio.sleep(0)
    user.cancel()
    await asyncio.gather(user, return_exceptions=True)
    await looking
    assert await residency.drop_unused("toybox")


async def test_a_model_that_does_not_load_is_reported_and_takes_no_memory(
    residency: ModelResidency, triton: TritonClient
) -> None:
    await residency.ensure_loaded("toybox")
    with pytest.raises(ModelError, match="broken__dit_sampler"):
        await residency.ensure_loaded("broken")
    assert await triton.list_loaded_models() == {"toybox"}
    assert await triton._loader._is_unloaded("broken")
    await residency.ensure_loaded("other")
    assert residency.loaded_models() == ("other", "toybox")


async def test_a_model_that_can_never_fit_is_refused_and_nothing_is_unloaded(
    residency: ModelResidency, triton: TritonClient
) -> None:
    await residency.ensure_loaded("toybox")
    with pytest.raises(ModelError, match="other needs 26 bytes"):
        await residency.ensure_loaded("other", video_bytes=16)
    assert await triton.list_loaded_models() == {"toybox"}


async def test_without_a_budget_all_stay(triton: TritonClient, residency: ModelResidency) -> None:
    residency = ModelResidency(triton, 0, memory_bytes=SIZES)
    for model in ("toybox", "other", "third"):
        await residency.ensure_loaded(model)
    assert await triton.list_loaded_models() == {"toybox", "other", "third"}


async def test_files_are_provided_while_a_model_is_loaded(
    triton: TritonClient, residency: ModelResidency
) -> None:
    provided: set[str] = set()

    @asynccontextmanager
    async def provide(model_id: str) -> AsyncIterator[bool]:
        provided.add(model_id)
        yield True
        provided.remove(model_id)

    residency = ModelResidency(triton, 15, memory_bytes=SIZES, provide=provide)
    await residency.ensure_loaded("toybox")
    assert provided == {"toybox"}
    await residency.ensure_loaded("other")
    assert provided == {"other"}
    with pytest.raises(ModelError):
        await residency.ensure_loaded("broken")
    assert provided == {"other"}
    await residency.close()
    assert provided == set()


async def test_a_broken_model_leaves_the_others_served(repository: Path, tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    for model in ("toybox", "broken"):
        for role in ROLES:
            shutil.copytree(repository / f"{model}__{role}", folder / f"{model}__{role}")
    config = TritonServerConfig.on_free_ports(folder, tmp_path / "triton.log")
    with TritonServer(config) as server:
        client = TritonClient(server.grpc_url, stream_timeout_seconds=60.0)
        assert await client.is_ready()
        assert await client.list_loaded_models() == {"toybox"}
        assert list(server.failures()) == ["broken__dit_sampler"]
        await client.close()


async def test_a_server_that_is_away_is_an_error() -> None:
    client = TritonClient("127.0.0.1:1", stream_timeout_seconds=1.0)
    with pytest.raises(ModelServerUnavailableError):
        await ModelResidency(client, 0).ensure_loaded("toybox")
    await client.close()
