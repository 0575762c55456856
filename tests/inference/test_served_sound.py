"""Sound of a finished picture through the real server: the built-in model's `audio_dit` alone."""

import asyncio
import re
import shutil
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from request_in_process import conditioning, config_of
from tritonclient.grpc import InferResult

from telecine.engine.denoise import SamplingConfig, initial_state
from telecine.engine.families import load_family
from telecine.engine.state import DenoiseState
from telecine.inference import triton_client as triton_client_module
from telecine.inference.model_stream import stream_responses
from telecine.inference.requests import SliceRequest
from telecine.inference.triton_client import TritonClient
from telecine.inference.triton_server import TritonServer, TritonServerConfig

CPU = torch.device("cpu")
ROLE = "toybox__audio_dit"
SOURCES = Path(__file__).parents[2] / "model_repository"
NUM_STEPS = 4


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    folder: Path = tmp_path_factory.mktemp("repository")
    shutil.copytree(SOURCES / ROLE, folder / ROLE)
    config = TritonServerConfig.on_free_ports(folder, folder / "triton.log")
    with TritonServer(config) as running:
        yield running


def post_sync(request: SliceRequest) -> SamplingConfig:
    return config_of(load_family("toybox"), request, audio_mode="POST_SYNC")


@pytest.fixture
def finished(slice_request: SliceRequest) -> SliceRequest:
    state = replace(initial_state(post_sync(slice_request), CPU), audio_latents=None)
    return replace(slice_request, state=state.to_bytes())


@pytest.fixture
def responses(monkeypatch: pytest.MonkeyPatch) -> asyncio.Queue[InferResult]:
    """Every response, as it comes."""
    seen: asyncio.Queue[InferResult] = asyncio.Queue()

    async def watched(*args: Any, **options: Any) -> AsyncGenerator[InferResult, None]:
        async with aclosing(stream_responses(*args, **options)) as results:
            async for result in results:
                seen.put_nowait(result)
                yield result

    monkeypatch.setattr(triton_client_module, "stream_responses", watched)
    return seen


@torch.inference_mode()
def sound_in_process(request: SliceRequest) -> torch.Tensor:
    assert request.negative_prompt is not None
    *_, sound = (
        load_family("toybox")
        .load_audio_denoiser(CPU)
        .denoise(
            conditioning(request.prompt),
            conditioning(request.negative_prompt),
            latents=DenoiseState.from_bytes(request.state).latents,
            config=post_sync(request),
        )
    )
    return sound


async def test_sound_is_the_engine_s_and_is_heard_from_at_each_step(
    client: TritonClient, finished: SliceRequest, responses: asyncio.Queue[InferResult]
) -> None:
    made = DenoiseState.from_bytes(await client.make_sound("toybox", finished))
    assert made.audio_latents is not None
    torch.testing.assert_close(made.audio_latents, sound_in_process(finished))
    assert torch.equal(made.latents, DenoiseState.from_bytes(finished.state).latents)
    assert responses.qsize() == NUM_STEPS + 1


async def test_cancelled_call_stops_the_model_within_one_step(
    server: TritonServer,
    client: TritonClient,
    finished: SliceRequest,
    responses: asyncio.Queue[InferResult],
) -> None:
    endless = replace(finished, num_inference_steps=100_000)
    making = asyncio.create_task(client.make_sound("toybox", endless))
    async with asyncio.timeout(60.0):
        await responses.get()
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    # One instance, one sound at a time: the next one is made once the first has ended.
    async with asyncio.timeout(60.0):
        await client.make_sound("toybox", finished)
    assert re.search(r"cancelled after \d+ responses", server.config.log_file.read_text())
