"""Wan and LTX-2 folders through the real server: the videos of diffusers' pipelines."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_ltx2
import tiny_wan
import torch
from PIL import Image
from torch import Tensor

from telecine.backend.model_repository import build_repository
from telecine.backend.picture_fitting import Frames
from telecine.engine.families import load_family
from telecine.engine.state import DenoiseState
from telecine.errors import ModelError
from telecine.inference.requests import ClipInputs, DecodeRequest, EncodedImages, SliceRequest
from telecine.inference.triton_client import TritonClient
from telecine.inference.triton_server import TritonServer, TritonServerConfig

# Of diffusers, and of the ONNX exporter.
IGNORED = [f"ignore::{kind}Warning" for kind in ("User", "Future", "Deprecation")]
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings(*IGNORED)]

SOURCES = Path(__file__).parents[2] / "model_repository"
PROMPT, NEGATIVE_PROMPT = "a red circle moving left", "blurred details"
NUM_STEPS, TOLERANCE = 4, 1e-4
SIZES = {
    "wan": {"num_frames": 9, "height": 32, "width": 48},
    "ltx2": tiny_ltx2.SIZE,
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder: Path = tmp_path_factory.mktemp("weights")
    tiny_wan.write_wan(folder / "wan", "2.2-i2v")
    tiny_ltx2.write_tiny_ltx2(folder / "ltx2", "2.3")
    return {name: folder / name for name in SIZES}


@pytest.fixture(scope="module")
def server(
    weights: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TritonServer]:
    folder: Path = tmp_path_factory.mktemp("repository")
    for model, path in weights.items():
        build_repository(folder, SOURCES, model=model, weights=str(path))
    config = TritonServerConfig.on_free_ports(folder, folder / "triton.log")
    running = TritonServer(config)
    # Most of its processes import diffusers, which takes long on a busy machine.
    running.start(ready_timeout_seconds=300.0)
    yield running
    running.stop()


async def run_in_two_slices(client: TritonClient, model: str, **options: Any) -> DenoiseState:
    request = SliceRequest(
        prompt=await client.encode_prompt(model, PROMPT),
        negative_prompt=await client.encode_prompt(model, NEGATIVE_PROMPT),
        seed=3,
        num_inference_steps=NUM_STEPS,
        attention="full",
        state=b"",
        num_steps=2,
        **SIZES[model],
        **options,
    )
    step_index = 0
    while step_index < NUM_STEPS:
        *_, last = [result async for result in client.denoise_slice(model, request)]
        assert last.state is not None
        request, step_index = replace(request, state=last.state), last.step_index
    return DenoiseState.from_bytes(request.state)


def relative_error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


async def encode(client: TritonClient, model: str, frames: Frames) -> EncodedImages:
    size = SIZES[model]["width"], SIZES[model]["height"]
    return await client.encode_images(
        model, frames, size=size, num_frames=SIZES[model]["num_frames"]
    )


def random_frames(num_frames: int) -> Frames:
    return np.random.default_rng(0).integers(0, 256, (num_frames, 32, 48, 3), np.uint8)


async def test_wan_s_two_experts_make_the_pipeline_s_video_of_a_first_frame(
    client: TritonClient, weights: dict[str, Path]
) -> None:
    frames = random_frames(1)
    encoded = await encode(client, "wan", frames)
    assert set(encoded.conditioning) == {"image_latents"}
    inputs = ClipInputs(conditioning=encoded.conditioning, given_latents=encoded.latents)
    state = await run_in_two_slices(
        client, "wan", guidance_scale=5.0, sampler="unipc", fps=16, inputs=inputs
    )
    expected = tiny_wan.load_pipeline(weights["wan"])(
        image=Image.fromarray(frames[0]),
        prompt=PROMPT,
        negative_prompt=NEGATIVE_PROMPT,
        num_inference_steps=NUM_STEPS,
        guidance_scale=5.0,
        generator=torch.Generator("cpu").manual_seed(3),
        output_type="latent",
        **SIZES["wan"],
    ).frames
    assert relative_error(state.latents, expected) < TOLERANCE
    decode = DecodeRequest(state.to_bytes(), 32, 48, 0, 3)
    chunks = [decoded.frames async for decoded in client.decode_frames("wan", decode)]
    assert [chunk.shape for chunk in chunks] == [(1, 32, 48, 3), (4, 32, 48, 3), (4, 32, 48, 3)]


async def test_wan_keeps_more_of_a_source_the_weaker_it_is_changed(client: TritonClient) -> None:
    encoded = await encode(client, "wan", random_frames(SIZES["wan"]["num_frames"]))
    source = torch.from_numpy(np.array(encoded.latents))[None]
    options = {"guidance_scale": 1.0, "sampler": "euler", "fps": 16}
    errors = []
    for strength in (0.25, 0.5, 1.0):
        inputs = ClipInputs(
            conditioning=encoded.conditioning,
            source_latents=encoded.latents,
            strength=strength,
        )
        state = await run_in_two_slices(client, "wan", inputs=inputs, **options)
        errors.append(float((state.latents - source).abs().mean() / source.abs().mean()))
    assert errors[0] < errors[1] < errors[2]
    # The last step alone is done, from the schedule's last noise level.
    assert errors[0] < 0.75 * errors[2]


async def test_ltx2_makes_the_pipeline_s_picture_and_sound(
    client: TritonClient, weights: dict[str, Path]
) -> None:
    state = await run_in_two_slices(
        client, "ltx2", guidance_scale=3.0, sampler="euler", fps=24, audio_mode="JOINT"
    )
    pipeline, seen = tiny_ltx2.load_pipeline(weights["ltx2"]), []
    pipeline._callback_tensor_inputs = ["latents", "audio_latents"]

    def remember(_: Any, step: int, timestep: Tensor, tensors: dict[str, Tensor]) -> Any:
        seen.append((tensors["latents"].clone(), tensors["audio_latents"].clone()))
        return tensors

    pipeline(
        PROMPT,
        negative_prompt=NEGATIVE_PROMPT,
        num_inference_steps=NUM_STEPS,
        generator=torch.Generator("cpu").manual_seed(3),
        callback_on_step_end=remember,
        callback_on_step_end_tensor_inputs=["latents", "audio_latents"],
        # The authors' block 28 is beyond this small network's last.
        stg_scale=0.0,
        audio_stg_scale=0.0,
        **SIZES["ltx2"],
    )
    picture, sound = seen[-1]
    assert state.audio_latents is not None
    assert relative_error(state.latents.flatten(2).transpose(1, 2), picture) < TOLERANCE
    assert relative_error(state.audio_latents.transpose(1, 2).flatten(2), sound) < TOLERANCE
    decoder = load_family(str(weights["ltx2"])).load_audio_decoder(torch.device("cpu"))
    with torch.inference_mode():
        (expected,) = decoder.decode_chunks(state.audio_latents)
    decoded = await client.decode_sound("ltx2", state.to_bytes())
    assert decoded.sample_rate == decoder.sample_rate
    assert relative_error(torch.from_numpy(np.array(decoded.samples))[None], expected) < TOLERANCE
    silent = replace(state, audio_latents=None)
    with pytest.raises(ModelError, match="state: has no sound"):
        await client.decode_sound("ltx2", silent.to_bytes())


async def test_mode_of_sound_that_is_not_made_with_the_picture_is_the_request_s_own_error(
    client: TritonClient,
) -> None:
    options: dict[str, Any] = {"guidance_scale": 1.0, "sampler": "euler", "fps": 24}
    with pytest.raises(ModelError, match="audio_mode: 'POST_SYNC' is not made along"):
        await run_in_two_slices(client, "ltx2", audio_mode="POST_SYNC", **options)
