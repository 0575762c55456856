"""What clients are told of a model, from what its family says and its files hold."""

import re
from collections.abc import Mapping
from math import prod

from telecine.backend.precision import LARGE_PARAMETERS
from telecine.engine.families.protocol import FamilyCard, HeldPart
from telecine.engine.families.safetensors_header import TensorHeader
from telecine.engine.families.weights_check import CheckedWeights
from telecine.engine.parallel.layout import ONE_RANK, ParallelConfig
from telecine.inference.model_configs import Target
from telecine.v1 import model_pb2, video_pb2

MAX_NUM_INFERENCE_STEPS = 200
MAX_FPS = 60
MAX_GUIDANCE_SCALE = 30.0
_DENOISERS = ("transformer", "transformer_2")
_STREAMED_MODES = ("offload", "disk")
_EIGHT_BIT_MODES = ("int8", "fp8")
_BLOCKS_AT_A_TIME = 2
# Of the network itself: blocks of a part of it, toybox's sound say, are neither streamed nor split.
_BLOCK = re.compile(r"^([^.]*blocks\.\d+)\.")
_NANOS = 1_000_000_000


def model_card(card: FamilyCard, *, version: str, memory_bytes: int) -> model_pb2.Model:
    """Return the card of a model, without its name and digest."""
    width, height = card.sizes[0]
    model = model_pb2.Model(
        display_name=card.display_name,
        family=card.family,
        version=version,
        extend_guidance_scale=card.extend_guidance_scale,
        features=[model_pb2.Model.Feature.Value(f"FEATURE_{each}") for each in card.features],
        limits=model_pb2.ModelLimits(
            sizes=[video_pb2.Size(width=width, height=height) for width, height in card.sizes],
            min_num_frames=1,
            max_num_frames=card.max_num_frames,
            frames_multiple=card.frames_multiple,
            min_num_inference_steps=1,
            max_num_inference_steps=MAX_NUM_INFERENCE_STEPS,
            min_fps=1,
            max_fps=MAX_FPS,
            min_guidance_scale=1.0,
            max_guidance_scale=MAX_GUIDANCE_SCALE,
            samplers=card.samplers,
            audio_modes=[
                video_pb2.AudioMode.Value(f"AUDIO_MODE_{each}")
                for each in ("NONE", *card.audio_modes)
            ],
            max_prompt_tokens=card.max_prompt_tokens,
            memory_bytes=memory_bytes,
            memory_bytes_per_megapixel=card.memory_bytes_per_megapixel,
            chunk_latent_frames=card.chunk_latent_frames,
            is_image_required=card.is_image_required,
            max_context_frames=card.max_context_frames,
            attention_strategies=card.attention_strategies,
            window_memory_bytes_per_megapixel=card.window_memory_bytes_per_megapixel,
        ),
        defaults=video_pb2.VideoSpec(
            num_inference_steps=card.default_num_inference_steps,
            guidance_scale=card.default_guidance_scale,
            negative_prompt=card.default_negative_prompt,
            fps=card.fps,
            size=video_pb2.Size(width=width, height=height),
            sampler=card.samplers[0],
            # Where it has sound, the tier says how it is made.
            audio_mode=(
                video_pb2.AUDIO_MODE_UNSPECIFIED if card.audio_modes else video_pb2.AUDIO_MODE_NONE
            ),
        ),
    )
    model.limits.max_duration.FromNanoseconds(card.max_num_frames * _NANOS // card.fps)
    model.defaults.duration.FromNanoseconds(card.default_num_frames * _NANOS // card.fps)
    return model


def loaded_bytes(
    checked: CheckedWeights,
    *,
    target: Target,
    weights_mode: str,
    parallel: ParallelConfig = ONE_RANK,
) -> int:
    """Return about what the loaded weights take, in bytes of the memory of the fullest device.

    Networks are in float32 on a CPU; on a GPU as the family's card says, else in bfloat16;
    denoisers as `weights_mode` says.
    On GPUs that is the first rank's, which has all other networks too; on a CPU all ranks share
    one memory. What of a block stays whole on every rank, norms for one, is too little to count.
    """
    is_shared = target == "cpu"
    held_parts = checked.family.card.held_parts
    denoiser_bytes = other_bytes = 0
    for part, tensors in checked.tensors.items():
        held = held_parts.get(part, HeldPart())
        is_float32 = is_shared or held.is_float32 or _is_small_encoder(part, tensors)
        value_bytes = 4 if is_float32 else 2
        num_others = held.num_copies
        if part in _DENOISERS:
            num_others -= 1
            denoiser_bytes += _network_bytes(
                tensors, value_bytes, weights_mode, num_shares=parallel.tensor_parallel_size
            )
        other_bytes += num_others * _network_bytes(tensors, value_bytes)
    return other_bytes + denoiser_bytes * (parallel.num_ranks if is_shared else 1)


def _is_small_encoder(part: str, tensors: Mapping[str, TensorHeader]) -> bool:
    """Whether it is a text encoder that computes in float32; see backend/precision.py."""
    num_parameters = sum(prod(tensor.shape) for tensor in tensors.values())
    return part.startswith("text_encoder") and num_parameters < LARGE_PARAMETERS


def _network_bytes(
    tensors: Mapping[str, TensorHeader],
    value_bytes: int,
    weights_mode: str = "full",
    *,
    num_shares: int = 1,
) -> int:
    sizes: dict[str, int] = {}
    for name, tensor in tensors.items():
        block = _BLOCK.match(name)
        key = block[1] if block else ""
        sizes[key] = sizes.get(key, 0) + prod(tensor.shape)
    other, blocks = sizes.pop("", 0), sorted(sizes.values())
    if weights_mode in _STREAMED_MODES:
        return value_bytes * (other + sum(blocks[-_BLOCKS_AT_A_TIME:]))
    if weights_mode in _EIGHT_BIT_MODES:
        return value_bytes * other + sum(blocks)
    return value_bytes * (other + sum(blocks) // num_shares)
