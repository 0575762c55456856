"""A Mochi folder through the real server: the video of diffusers' pipeline, adapters included."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import MochiPipeline
from safetensors.torch import save_file
from tiny_mochi import write_tiny_mochi

from telecine.backend.frames import to_frames
from telecine.backend.model_repository import BuildOptions, build_repository
from telecine.engine.state import DenoiseState
from telecine.errors import ModelError
from telecine.inference.requests import DecodeRequest, LoraScale, SliceRequest
from telecine.inference.triton_client import TritonClient
from telecine.inference.triton_server import TritonServer, TritonServerConfig

# Of diffusers, and of the ONNX exporter.
IGNORED = [f"ignore::{kind}Warning" for kind in ("User", "Future", "Deprecation")]
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings(*IGNORED)]

SOURCES = Path(__file__).parents[2] / "model_repository"
PROMPT, NEGATIVE_PROMPT = "a red circle moves left over the sea", "blurry"
NUM_STEPS, TOLERANCE = 4, 1e-4
SIZE = {"num_frames": 13, "height": 32, "width": 48}
LAYER = "transformer_blocks.1.attn1.to_q"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("tiny_mochi")
    write_tiny_mochi(folder)
    (folder / "loras").mkdir()
    generator = torch.Generator().manual_seed(0)
    tensors = {
        f"transformer.{LAYER}.lora_A.weight": torch.randn(2, 32, generator=generator),
        f"transformer.{LAYER}.lora_B.weight": torch.randn(32, 2, generator=generator),
    }
    save_file(tensors, folder / "loras" / "sketch.safetensors")
    return folder


@pytest.fixture(scope="module")
def pipeline(weights: Path) -> Any:
    loaded = MochiPipeline.from_pretrained(weights, local_files_only=True)
    loaded.set_progress_bar_config(disable=True)
    return loaded


@pytest.fixture(scope="module")
def server(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """The same weights twice: in full, and streamed block by block."""
    folder: Path = tmp_path_factory.mktemp("repository")
    build_repository(folder, SOURCES, model="mochi", weights=str(weights))
    streamed = BuildOptions(weights_mode="disk")
    build_repository(folder, SOURCES, model="streamed", weights=str(weights), options=streamed)
    config = TritonServerConfig.on_free_ports(folder, folder / "triton.log")
    with TritonServer(config) as running:
        yield running


@pytest.fixture
async def request_(client: TritonClient) -> SliceRequest:
    """The whole video, in one slice."""
    return SliceRequest(
        prompt=await client.encode_prompt("mochi", PROMPT),
        negative_prompt=await client.encode_prompt("mochi", NEGATIVE_PROMPT),
        seed=3,
        num_inference_steps=NUM_STEPS,
        guidance_scale=4.5,
        sampler="euler",
        fps=30,
        attention="full",
        state=b"",
        num_steps=NUM_STEPS,
        **SIZE,
    )


def pipeline_output(pipeline: Any, output_type: str) -> Any:
    return pipeline(
        PROMPT,
        negative_prompt=NEGATIVE_PROMPT,
        num_inference_steps=NUM_STEPS,
        guidance_scale=4.5,
        generator=torch.Generator("cpu").manual_seed(3),
        output_type=output_type,
        **SIZE,
    ).frames


async def run(client: TritonClient, request: SliceRequest, model: str = "mochi") -> bytes:
    *_, last = [result async for result in client.denoise_slice(model, request)]
    assert last.state is not None
    return last.state


def relative_error(state: bytes, expected: torch.Tensor) -> float:
    found = DenoiseState.from_bytes(state).latents
    return float((found - expected).abs().max() / expected.abs().max())


async def test_video_equals_the_pipeline_s_with_a_resume_between(
    client: TritonClient, request_: SliceRequest, pipeline: Any
) -> None:
    half = await run(client, replace(request_, num_steps=2))
    state = await run(client, replace(request_, num_steps=2, state=half))
    assert relative_error(state, pipeline_output(pipeline, "latent")) < TOLERANCE
    decode = DecodeRequest(state, SIZE["height"], SIZE["width"], 0, 3)
    chunks = [decoded.frames async for decoded in client.decode_frames("mochi", decode)]
    assert [len(chunk) for chunk in chunks] == [1, 6, 6]
    video = pipeline_output(pipeline, "pt") * 2.0 - 1.0
    expected = to_frames(video.transpose(1, 2)).astype(int)
    assert np.abs(np.concatenate(chunks).astype(int) - expected).max() <= 1


async def test_streamed_weights_make_the_same_bits(
    client: TritonClient, request_: SliceRequest
) -> None:
    full, streamed = [await run(client, request_, model) for model in ("mochi", "streamed")]
    assert full == streamed


async def test_an_adapter_acts_on_the_request_that_names_it_alone(
    client: TritonClient, request_: SliceRequest, pipeline: Any, weights: Path
) -> None:
    plain = pipeline_output(pipeline, "latent")
    pipeline.load_lora_weights(weights / "loras", weight_name="sketch.safetensors")
    pipeline.set_adapters(["default_0"], [0.5])
    expected = pipeline_output(pipeline, "latent")
    pipeline.unload_lora_weights()
    adapted = await run(client, replace(request_, loras=(LoraScale("sketch", 0.5),)))
    assert relative_error(adapted, expected) < TOLERANCE < relative_error(adapted, plain)
    assert relative_error(await run(client, request_), plain) < TOLERANCE


async def test_an_adapter_that_is_not_there_fails_its_request_by_name(
    client: TritonClient, request_: SliceRequest
) -> None:
    with pytest.raises(ModelError, match="loras: there is no 'nobody'"):
        await run(client, replace(request_, loras=(LoraScale("nobody", 1.0),)))
