"""The inputs of requests to a model's roles."""

import numpy as np

from telecine.inference.model_configs import SLICE_INTEGERS, SOUND_INTEGERS
from telecine.inference.requests import ClipInputs, DecodeRequest, PromptEmbeds, SliceRequest
from telecine.inference.tensor_exchange import TensorExchange, scalar, text


async def add_slice_inputs(exchange: TensorExchange, request: SliceRequest) -> None:
    """Add what `dit_sampler` reads."""
    await _add_prompts(exchange, request)
    for name in SLICE_INTEGERS:
        await exchange.add_input(name, scalar(getattr(request, name), np.int64))
    await exchange.add_input("guidance_scale", scalar(request.guidance_scale, np.float64))
    await exchange.add_input("sampler", text([request.sampler], (1,)))
    await exchange.add_input("attention", text([request.attention], (1,)))
    if request.audio_mode != "NONE":
        await exchange.add_input("audio_mode", text([request.audio_mode], (1,)))
    if request.state:
        await exchange.add_input("state", np.frombuffer(request.state, np.uint8))
    if request.loras:
        names, scales = zip(*request.loras, strict=True)
        await exchange.add_input("lora_names", text(list(names), (len(names),)))
        await exchange.add_input("lora_scales", np.array(scales, np.float64))
    if request.inputs is not None:
        await _add_clip_inputs(exchange, request.inputs, has_state=bool(request.state))
    if request.preview_steps:
        await exchange.add_input("preview_steps", np.array(request.preview_steps, np.int64))


async def _add_clip_inputs(
    exchange: TensorExchange, inputs: ClipInputs, *, has_state: bool
) -> None:
    for name, values in inputs.conditioning.items():
        await exchange.add_input(name, values)
    if inputs.given_audio_latents is not None:
        await exchange.add_input("given_audio_latents", inputs.given_audio_latents)
    if inputs.source_latents is not None:
        await exchange.add_input("strength", scalar(inputs.strength, np.float64))
    if inputs.given_latents is not None:
        num_given = inputs.given_latents.shape[1]
        await exchange.add_input("given_latent_frames", scalar(num_given, np.int64))
    # A state holds what the video was begun with.
    for name in () if has_state else ("given_latents", "source_latents"):
        if (latents := getattr(inputs, name)) is not None:
            await exchange.add_input(name, latents)


async def add_sound_inputs(exchange: TensorExchange, request: SliceRequest) -> None:
    """Add what `audio_dit` reads: a request whose state is the finished picture's."""
    await _add_prompts(exchange, request)
    for name in SOUND_INTEGERS:
        await exchange.add_input(name, scalar(getattr(request, name), np.int64))
    await exchange.add_input("guidance_scale", scalar(request.guidance_scale, np.float64))
    await exchange.add_input("sampler", text([request.sampler], (1,)))
    await exchange.add_input("attention", text([request.attention], (1,)))
    await exchange.add_input("state", np.frombuffer(request.state, np.uint8))


async def add_decode_inputs(exchange: TensorExchange, request: DecodeRequest) -> None:
    """Add what `vae_decoder` reads."""
    await exchange.add_input("state", np.frombuffer(request.state, np.uint8))
    for name in ("first_latent_frame", "end_latent_frame"):
        await exchange.add_input(name, scalar(getattr(request, name), np.int64))
    if request.feat_cache:
        await exchange.add_input("feat_cache", np.frombuffer(request.feat_cache, np.uint8))


async def _add_prompts(exchange: TensorExchange, request: SliceRequest) -> None:
    await _add_prompt(exchange, request.prompt, prefix="")
    if request.negative_prompt is not None:
        await _add_prompt(exchange, request.negative_prompt, prefix="negative_")


async def _add_prompt(exchange: TensorExchange, prompt: PromptEmbeds, *, prefix: str) -> None:
    for name, values in prompt.tensors.items():
        await exchange.add_input(f"{prefix}{name}", values)
