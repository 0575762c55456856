"""What a slice's request asks for, in the engine's words."""

from torch import Tensor

from telecine.backend.denoising import Slice
from telecine.backend.request_reader import RequestReader
from telecine.backend.slice_sampler import SliceSampler
from telecine.engine.adapters.use import LoraUse
from telecine.engine.denoise import ClipStart, Conditioning
from telecine.engine.families.sampling import SamplingRequest, VideoSize, sampling_config


def read_slice(request: RequestReader, sampler: SliceSampler) -> Slice:
    """Read a request, its tensors brought to the sampler's device.

    Raises:
        ValueError: a tensor is missing, or there is no such sampler, attention, sound or adapter.
    """
    state = request.optional_array("state")
    preview_steps = request.optional_array("preview_steps")
    is_guided = request.has(f"negative_{sampler.family.conditioning[0]}")
    start = ClipStart(
        given=_latents(request, sampler, "given_latents"),
        source=_latents(request, sampler, "source_latents"),
    )
    return Slice(
        prompt={
            **_conditioning(request, sampler, prefix=""),
            **_image_conditioning(request, sampler),
        },
        negative_prompt=_conditioning(request, sampler, prefix="negative_") if is_guided else None,
        config=sampling_config(
            sampler.family,
            VideoSize(*(request.integer(name) for name in VideoSize._fields)),
            SamplingRequest(
                seed=request.integer("seed"),
                num_inference_steps=request.integer("num_inference_steps"),
                guidance_scale=request.number("guidance_scale"),
                sampler=request.text("sampler"),
                attention=request.text("attention"),
                loras=_loras(request),
                given_latent_frames=request.optional_integer("given_latent_frames", 0),
                strength=request.optional_number("strength", 1.0),
                audio_mode="JOINT" if _is_joint(request) else "NONE",
            ),
        ),
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


def _conditioning(request: RequestReader, sampler: SliceSampler, *, prefix: str) -> Conditioning:
    names = sampler.family.conditioning
    return sampler.conditioning({name: request.array(prefix + name) for name in names})


def _image_conditioning(request: RequestReader, sampler: SliceSampler) -> Conditioning:
    arrays = {
        name: values
        for name in sampler.image_conditioning
        if (values := request.optional_array(name)) is not None
    }
    return sampler.conditioning(arrays)


def _latents(request: RequestReader, sampler: SliceSampler, name: str) -> Tensor | None:
    if not request.has(name):
        return None
    return sampler.conditioning({name: request.array(name)})[name]


def _loras(request: RequestReader) -> tuple[LoraUse, ...]:
    if not request.has("lora_names"):
        return ()
    scales = request.array("lora_scales").tolist()
    names = request.texts("lora_names")
    if len(names) != len(scales):
        raise ValueError(f"lora_scales: {len(scales)} for {len(names)} adapters")
    return tuple(LoraUse(name, scale) for name, scale in zip(names, scales, strict=True))
