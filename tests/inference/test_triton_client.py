"""Triton's models through a real server, against the same engine in this process."""

import asyncio
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from request_in_process import conditioning, config_of

from telecine.backend.frames import to_frames
from telecine.engine.denoise import denoise_slice, initial_state
from telecine.engine.families import load_family
from telecine.engine.families.prompt_encoder import PromptEncoder
from telecine.engine.numerics import describe_numerics
from telecine.engine.state import DenoiseState
from telecine.errors import CheckpointError, ModelError, ModelServerUnavailableError
from telecine.inference.frame_ring import FrameRing
from telecine.inference.requests import DecodeRequest, SliceRequest, StepResult
from telecine.inference.shared_memory import CLIENT_PREFIX, SHARED_MEMORY_FOLDER
from telecine.inference.triton_client import TritonClient, require_all
from telecine.inference.triton_server import TritonServer, TritonServerConfig

CPU = torch.device("cpu")
LARGE_PIXELS = 576  # its state and its chunks of frames are over 1 MB each


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """The server's models run one thread each, and sums depend on how they are split."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


async def run_slice(client: TritonClient, request: SliceRequest) -> list[StepResult]:
    return [result async for result in client.denoise_slice("toybox", request)]


@torch.inference_mode()
def denoise_in_process(weights: Path, request: SliceRequest) -> DenoiseState:
    family = load_family(str(weights))
    config = config_of(family, request)
    negative = request.negative_prompt
    *_, last = denoise_slice(
        family.load_denoiser(CPU),
        conditioning(request.prompt),
        None if negative is None else conditioning(negative),
        config=config,
        state=initial_state(config, CPU),
        num_steps=request.num_steps,
    )
    return replace(last.state, numerics=describe_numerics(CPU))


async def test_prompt_encoder_equals_the_encoders_in_process(
    triton_client: TritonClient, random_weights: Path
) -> None:
    family = load_family(str(random_weights))
    prompt = "A small red circle moving left on a white background"
    tokens = family.load_tokenizer().encode(prompt)
    expected = PromptEncoder(family).encode(prompt)

    encoded = await triton_client.encode_prompt("toybox", prompt)

    # ONNX Runtime sums in another order than PyTorch: float32 rounding, no more.
    assert set(encoded.tensors) == set(expected)
    for name, values in encoded.tensors.items():
        np.testing.assert_allclose(values, expected[name][0], atol=1e-5)
    assert (encoded.num_tokens, encoded.is_truncated) == (tokens.num_tokens, False)


async def test_long_prompt_is_reported_as_truncated(triton_client: TritonClient) -> None:
    encoded = await triton_client.encode_prompt("toybox", "red circle " * 100)
    assert encoded.is_truncated
    assert encoded.tensors["attention_mask"].all()


async def test_empty_prompt_is_encoded_for_guidance(triton_client: TritonClient) -> None:
    encoded = await triton_client.encode_prompt("toybox", "")
    assert encoded.tensors["attention_mask"].sum() == 1


@pytest.mark.parametrize("sampler", ["euler", "heun", "ddpm"])
async def test_slice_through_triton_is_bit_identical_to_the_engine(
    triton_client: TritonClient, random_weights: Path, slice_request: SliceRequest, sampler: str
) -> None:
    request = replace(slice_request, sampler=sampler)
    results = await run_slice(triton_client, request)
    assert results[-1].state == denoise_in_process(random_weights, request).to_bytes()


async def test_slice_without_guidance_is_bit_identical_to_the_engine(
    triton_client: TritonClient, random_weights: Path, slice_request: SliceRequest
) -> None:
    request = replace(slice_request, negative_prompt=None, attention="causal")
    results = await run_slice(triton_client, request)
    assert results[-1].state == denoise_in_process(random_weights, request).to_bytes()


async def test_two_slices_equal_one(
    triton_client: TritonClient, slice_request: SliceRequest
) -> None:
    whole = await run_slice(triton_client, slice_request)
    first = await run_slice(triton_client, replace(slice_request, num_steps=2))
    assert first[-1].state
    second = await run_slice(
        triton_client, replace(slice_request, num_steps=2, state=first[-1].state)
    )
    assert second[-1].state == whole[-1].state


async def test_every_step_answers_and_the_last_carries_the_state(
    triton_client: TritonClient, slice_request: SliceRequest
) -> None:
    results = await run_slice(triton_client, replace(slice_request, preview_steps=(2, 4)))
    assert [result.step_index for result in results] == [1, 2, 3, 4]
    assert [result.state is not None for result in results] == [False, False, False, True]
    assert results[-1].sigma == 0.0
    assert all(result.step_seconds > 0 for result in results)
    assert [result.preview[8:12] for result in results] == [b"", b"WEBP", b"", b"WEBP"]
    assert results[1].preview_content_type == "image/webp"


async def test_closed_iterator_stops_the_sampler_within_one_step(
    triton_server: TritonServer,
    triton_client: TritonClient,
    slice_request: SliceRequest,
    endless_request: SliceRequest,
) -> None:
    async with aclosing(triton_client.denoise_slice("toybox", endless_request)) as results:
        async for result in results:
            if result.step_index == 3:
                break
    # One instance, one slice at a time: the next slice runs once the first one has ended.
    await run_slice(triton_client, slice_request)
    cancelled = re.findall(r"cancelled after (\d+) resp", triton_server.config.log_file.read_text())
    assert int(cancelled[-1]) in {3, 4}


async def test_state_of_another_job_is_refused_and_the_next_slice_works(
    triton_client: TritonClient, slice_request: SliceRequest
) -> None:
    first = await run_slice(triton_client, replace(slice_request, num_steps=2))
    assert first[-1].state
    with pytest.raises(CheckpointError, match="another job"):
        await run_slice(triton_client, replace(slice_request, seed=6, state=first[-1].state))
    assert len(await run_slice(triton_client, slice_request)) == 4


async def test_input_that_the_model_cannot_take_is_its_own_error(
    triton_client: TritonClient, slice_request: SliceRequest
) -> None:
    with pytest.raises(ModelError, match="no_such_sampler"):
        await run_slice(triton_client, replace(slice_request, sampler="no_such_sampler"))
    with pytest.raises(ModelError):
        await triton_client.load_model("no_such_model")


@torch.inference_mode()
def decode_in_process(weights: Path, state: bytes) -> list[np.ndarray]:
    vae = load_family(str(weights)).load_vae(CPU)
    latents = DenoiseState.from_bytes(state).latents
    return [to_frames(chunk) for chunk in vae.decode_chunks(latents)]


def whole_clip(state: bytes) -> DecodeRequest:
    latents = DenoiseState.from_bytes(state).latents
    return DecodeRequest(
        state=state,
        height=16 * latents.shape[3],
        width=16 * latents.shape[4],
        first_latent_frame=0,
        end_latent_frame=latents.shape[2],
    )


async def decode(client: TritonClient, state: bytes) -> list[np.ndarray]:
    chunks = client.decode_frames("toybox", whole_clip(state))
    return [chunk.frames async for chunk in chunks]


def assert_same_chunks(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    assert [chunk.shape for chunk in found] == [chunk.shape for chunk in expected]
    for chunk, reference in zip(found, expected, strict=True):
        np.testing.assert_array_equal(chunk, reference)


async def test_decoded_frames_equal_the_engines(
    triton_client: TritonClient, random_weights: Path, slice_request: SliceRequest
) -> None:
    state = (await run_slice(triton_client, slice_request))[-1].state
    assert state
    frames = await decode(triton_client, state)
    assert_same_chunks(frames, decode_in_process(random_weights, state))
    assert [len(chunk) for chunk in frames] == [1, 4, 4]


async def test_chunks_larger_than_a_slot_come_whole(
    triton_client: TritonClient,
    random_weights: Path,
    slice_request: SliceRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    side = LARGE_PIXELS
    state = (await run_slice(triton_client, replace(slice_request, height=side, width=side)))[-1]
    create = partial(FrameRing.create, slot_bytes=3 * side * side * 3)
    monkeypatch.setattr(FrameRing, "create", create)
    chunks = await decode(triton_client, state.state or b"")
    assert [len(chunk) for chunk in chunks] == [1, 3, 1, 3, 1]
    expected = decode_in_process(random_weights, state.state or b"")
    assert_same_chunks([np.concatenate(chunks)], [np.concatenate(expected)])


def test_stream_of_which_a_part_is_missing_is_asked_for_again() -> None:
    require_all("toybox__audio_decoder", 500, 500)
    with pytest.raises(ModelServerUnavailableError, match="sent 500 frames or samples, 400 came"):
        require_all("toybox__audio_decoder", 400, 500)


async def test_clip_decoded_in_two_runs_equals_one(
    triton_client: TritonClient, random_weights: Path, slice_request: SliceRequest
) -> None:
    state = (await run_slice(triton_client, slice_request))[-1].state
    assert state
    whole = whole_clip(state)
    first = replace(whole, end_latent_frame=2, has_more=True)
    *chunks, end = [chunk async for chunk in triton_client.decode_frames("toybox", first)]
    assert len(end.frames) == 0
    rest = replace(whole, first_latent_frame=2, feat_cache=end.feat_cache)
    chunks += [chunk async for chunk in triton_client.decode_frames("toybox", rest)]
    assert_same_chunks([chunk.frames for chunk in chunks], decode_in_process(random_weights, state))


async def test_causal_video_is_made_chunk_by_chunk(
    triton_client: TritonClient, slice_request: SliceRequest
) -> None:
    request = replace(slice_request, attention="causal", num_frames=17, num_steps=100)
    steps = request.num_inference_steps
    first = await run_slice(triton_client, request)
    assert [result.num_final_frames for result in first] == [0] * (steps - 1) + [3]
    second = await run_slice(triton_client, replace(request, state=first[-1].state or b""))
    assert [result.step_index for result in second] == [steps + k + 1 for k in range(steps)]
    assert second[-1].num_final_frames == 5
    assert not any(result.is_numerics_changed for result in second)


async def test_state_made_by_other_numerics_is_told(
    triton_client: TritonClient, slice_request: SliceRequest
) -> None:
    request = replace(slice_request, num_steps=1)
    state = (await run_slice(triton_client, request))[-1].state
    foreign = replace(DenoiseState.from_bytes(state or b""), numerics="another machine")
    resumed = await run_slice(triton_client, replace(request, state=foreign.to_bytes()))
    assert [result.is_numerics_changed for result in resumed] == [True]


async def test_large_state_and_frames_go_through_shared_memory_and_leave_none(
    triton_client: TritonClient, random_weights: Path, slice_request: SliceRequest
) -> None:
    request = replace(
        slice_request,
        num_frames=33,
        height=LARGE_PIXELS,
        width=LARGE_PIXELS,
        num_inference_steps=2,
        num_steps=1,
    )
    state = (await run_slice(triton_client, request))[-1].state
    assert state
    assert len(state) > 1_000_000
    state = (await run_slice(triton_client, replace(request, state=state)))[-1].state
    assert state == denoise_in_process(random_weights, replace(request, num_steps=2)).to_bytes()
    assert_same_chunks(await decode(triton_client, state), decode_in_process(random_weights, state))
    assert not list(SHARED_MEMORY_FOLDER.glob(f"{CLIENT_PREFIX}{os.getpid()}_*"))


async def test_decoder_waits_for_a_slow_reader_and_stops_for_one_that_leaves(
    triton_client: TritonClient, slice_request: SliceRequest
) -> None:
    request = replace(slice_request, num_frames=81)
    state = (await run_slice(triton_client, request))[-1].state
    assert state
    num_frames = 0
    async with aclosing(triton_client.decode_frames("toybox", whole_clip(state))) as chunks:
        async for chunk in chunks:
            num_frames += len(chunk.frames)
            if num_frames >= 5:
                break
    # The decoder is free again, though nobody took the rest.
    async with asyncio.timeout(20):
        assert sum(map(len, await decode(triton_client, state))) == 81


POOLED = (
    r'output \{\n  name: "pooled_prompt_embeds"\n  data_type: TYPE_FP32\n  dims: 192\n\}\n',
    r'    output_map \{\n      key: "pooled_prompt_embeds"\n.*\n    \}\n',
)


async def test_another_model_of_the_same_name_is_asked_for_its_own_outputs(
    triton_repository: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    for role in ("tokenizer", "t5_encoder", "clip_encoder", "text_projection", "prompt_encoder"):
        shutil.copytree(triton_repository / f"toybox__{role}", repository / f"toybox__{role}")
    config = TritonServerConfig.on_free_ports(
        repository, tmp_path / "triton.log", loads_models=False
    )
    with TritonServer(config) as server:
        client = TritonClient(server.grpc_url, stream_timeout_seconds=20.0)
        await client.load_model("toybox")
        assert "pooled_prompt_embeds" in (await client.encode_prompt("toybox", "a ball")).tensors
        await client.unload_model("toybox")
        ensemble = repository / "toybox__prompt_encoder" / "config.pbtxt"
        text = ensemble.read_text()
        for part in POOLED:
            text, num_removed = re.subn(part, "", text)
            assert num_removed == 1
        ensemble.write_text(text)
        await client.load_model("toybox")
        encoded = await client.encode_prompt("toybox", "a ball")
        assert set(encoded.tensors) == {"prompt_embeds", "attention_mask"}
        await client.close()


async def test_requests_of_many_callers_are_all_answered(
    triton_client: TritonClient, slice_request: SliceRequest
) -> None:
    async def one_video(seed: int) -> bytes | None:
        results = await run_slice(triton_client, replace(slice_request, seed=seed))
        return results[-1].state

    states = await asyncio.gather(*(one_video(seed) for seed in (1, 2, 3, 1)))
    assert states[0] == states[3]
    assert len(set(states)) == 3
