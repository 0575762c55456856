"""What a slice's request asks for, in the engine's words."""

from torch import Tensor

from telecine.backend.denoising import Slice
from telecine.backend.devices import batch_of_one
from telecine.backend.request_reader import RequestReader
from telecine.backend.sampling_reader import read_prompts, read_sampling
from telecine.backend.slice_sampler import SliceSampler
from telecine.engine.adapters.use import LoraUse
from telecine.engine.denoise import ClipStart, Conditioning
from telecine.engine.families.sampling import sampling_config


def read_slice(request: RequestReader, sampler: SliceSampler) -> Slice:
    """Read a request, its tensors brought to the sampler's device.

    Raises:
        ValueError: a tensor is missing, or there is no such sampler, attention, sound or adapter.
    """
    state = request.optional_array("state")
    preview_steps = request.optional_array("preview_steps")
    size, asked = read_sampling(request)
    asked = asked._replace(
        loras=_loras(request),
        given_latent_frames=request.optional_integer("given_latent_frames", 0),
        strength=request.optional_number("strength", 1.0),
        audio_mode="JOINT" if _is_joint(request) else "NONE",
        is_audio_given=request.has("given_audio_latents"),
    )
    prompt, negative_prompt = read_prompts(request, sampler.family, sampler.device)
    start = ClipStart(
        given=_latents(request, sampler, "given_latents"),
        source=_latents(request, sampler, "source_latents"),
        given_audio=_latents(request, sampler, "given_audio_latents"),
    )
    return Slice(
        prompt={**prompt, **_image_conditioning(request, sampler)},
        negative_prompt=negative_prompt,
        config=sampling_config(sampler.family, size, asked),
        state=b"" if state is None else state.tobytes(),
        num_steps=request.integer("num_steps"),
        preview_steps=frozenset(() if preview_steps is None else preview_steps.tolist()),
        start=start,
    )


def _is_joint(request: RequestReader) -> bool:
    mode = request.text("audio_mode") if request.has("audio_mode") else "NONE"
    if mode not in ("NONE", "JOINT"):
        raise ValueError(f"audio_mode: {mode!r} is not made along with the picture")
    return mode == "JOINT"


def _image_conditioning(request: RequestReader, sampler: SliceSampler) -> Conditioning:
    arrays = {
        name: values
        for name in sampler.image_conditioning
        if (values := request.optional_array(name)) is not None
    }
    return batch_of_one(arrays, sampler.device)


def _latents(request: RequestReader, sampler: SliceSampler, name: str) -> Tensor | None:
    if not request.has(name):
        return None
    return batch_of_one({name: request.array(name)}, sampler.device)[name]


def _loras(request: RequestReader) -> tuple[LoraUse, ...]:
    if not request.has("lora_names"):
        return ()
    scales = request.array("lora_scales").tolist()
    names = request.texts("lora_names")
    if len(names) != len(scales):
        raise ValueError(f"lora_scales: {len(scales)} for {len(names)} adapters")
    return tuple(LoraUse(name, scale) for name, scale in zip(names, scales, strict=True))
