"""One step of a model, from a prompt to frames: whether all of its roles work together."""

from dataclasses import replace

import numpy as np

from telecine.errors import ModelError
from telecine.inference.requests import ClipInputs, DecodeRequest, SliceRequest
from telecine.inference.triton_client import TritonClient
from telecine.v1 import model_pb2, video_pb2

_JOINT, _POST_SYNC = video_pb2.AUDIO_MODE_JOINT, video_pb2.AUDIO_MODE_POST_SYNC
_AUDIO_TO_VIDEO = model_pb2.Model.FEATURE_AUDIO_TO_VIDEO
_SILENCE = np.zeros(1, np.float32)
_PROMPT = "a red circle moves left"


async def smoke_test(triton: TritonClient, model_id: str, card: model_pb2.Model) -> None:
    """Make the smallest video of two latent frames in one step.

    Raises:
        ModelServerUnavailableError: a role's process ended or does not answer.
        ModelError: a role does not load or fails, or frames or sound are not as asked for.
    """
    await triton.load_model(model_id)
    size = min(card.limits.sizes, key=lambda size: size.width * size.height)
    request = SliceRequest(
        prompt=await triton.encode_prompt(model_id, _PROMPT),
        negative_prompt=await triton.encode_prompt(model_id, card.defaults.negative_prompt),
        seed=0,
        num_inference_steps=1,
        guidance_scale=card.defaults.guidance_scale,
        sampler=card.defaults.sampler,
        num_frames=card.limits.frames_multiple + 1,
        height=size.height,
        width=size.width,
        fps=card.defaults.fps,
        attention="full",
        state=b"",
        num_steps=1,
        audio_mode="JOINT" if _JOINT in card.limits.audio_modes else "NONE",
    )
    if set(card.features) - {_AUDIO_TO_VIDEO}:
        request = replace(request, inputs=await _from_gray(triton, model_id, card, request))
    *_, last = [result async for result in triton.denoise_slice(model_id, request)]
    assert last.state is not None
    decode = DecodeRequest(last.state, size.height, size.width, 0, last.num_final_frames)
    shapes = [
        decoded.frames.shape
        async for decoded in triton.decode_frames(model_id, decode)
        if not decoded.feat_cache
    ]
    num_frames = sum(shape[0] for shape in shapes)
    if num_frames != request.num_frames or {shape[1:3] for shape in shapes} != {
        (size.height, size.width)
    }:
        raise ModelError(
            f"asked for {request.num_frames} frames of {size.width}x{size.height}, its decoder "
            f"gave {num_frames}: {shapes}"
        )
    await _check_sound(triton, model_id, card, replace(request, state=last.state))


async def _check_sound(
    triton: TritonClient, model_id: str, card: model_pb2.Model, finished: SliceRequest
) -> None:
    states = [finished.state] if _JOINT in card.limits.audio_modes else []
    if _POST_SYNC in card.limits.audio_modes:
        states.append(await triton.make_sound(model_id, finished))
    for state in states:
        sound = await triton.decode_sound(model_id, state)
        if not np.isfinite(sound.samples).all():
            raise ModelError("its sound is not of finite numbers")
    if _AUDIO_TO_VIDEO in card.features:
        latents = await triton.encode_sound(
            model_id, _SILENCE, num_frames=finished.num_frames, fps=finished.fps
        )
        if not np.isfinite(latents).all():
            raise ModelError("its latents of a given sound are not of finite numbers")


async def _from_gray(
    triton: TritonClient, model_id: str, card: model_pb2.Model, request: SliceRequest
) -> ClipInputs:
    """Makes the video of a gray first frame, or out of a gray video."""
    starts_with_image = model_pb2.Model.FEATURE_IMAGE_TO_VIDEO in card.features
    num_frames = 1 if starts_with_image else request.num_frames
    frames = np.full((num_frames, request.height, request.width, 3), 128, np.uint8)
    encoded = await triton.encode_images(
        model_id, frames, size=(request.width, request.height), num_frames=request.num_frames
    )
    if not starts_with_image:
        return ClipInputs(source_latents=encoded.latents)
    return ClipInputs(conditioning=encoded.conditioning, given_latents=encoded.latents)
