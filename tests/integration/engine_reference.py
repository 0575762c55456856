"""What the engine makes, in the test's own process, of what a video was made from."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from telecine.backend.frames import to_frames, to_video
from telecine.engine.denoise import ClipStart, Conditioning, denoise_slice, initial_state
from telecine.engine.families import load_family
from telecine.engine.families.protocol import Family
from telecine.engine.families.sampling import SamplingRequest, VideoSize, sampling_config
from telecine.inference.triton_client import TritonClient
from telecine.v1 import video_pb2

from .input_files import CPU, Frames, fading

# Equal as a rule; where a pixel is rounded the other way, H.264 goes another way too.
SAME_DB = 45.0
# A fade into noise, which random weights draw, doubles that: 43 was the least seen of the right
# clip, 38 the most of one made from frames that are one frame off, 27 of one of another seed.
SAME_FADE_DB = 40.0


async def made_by_the_engine(
    weights: Path, video: video_pb2.Video, frames: Frames, *, triton_url: str
) -> Frames:
    """All frames of a clip that begins with frames, or that changes them as the video asks."""
    return _made(weights, video, frames, await _encoded(triton_url, video))


async def _encoded(triton_url: str, video: video_pb2.Video) -> dict[str, Conditioning]:
    """A video's prompts; what ONNX Runtime makes of one differs in its last bits from PyTorch's."""
    model, spec = video.spec.model.removeprefix("models/"), video.spec
    triton = TritonClient(triton_url, stream_timeout_seconds=60.0)
    texts = (spec.prompt, spec.negative_prompt)
    encoded = {text: await triton.encode_prompt(model, text) for text in texts}
    await triton.close()
    return {
        text: {name: torch.tensor(values)[None] for name, values in prompt.tensors.items()}
        for text, prompt in encoded.items()
    }


@torch.inference_mode()
def _made(
    weights: Path, video: video_pb2.Video, frames: Frames, prompts: Mapping[str, Conditioning]
) -> Frames:
    family, spec = load_family(str(weights)), video.spec
    is_edit = spec.HasField("edit")
    num_frames = len(frames) if is_edit else num_clip_frames(family, spec.extend)
    encoder = family.load_image_encoder(CPU)
    encoded = dict(encoder.encode(to_video(frames, CPU), num_frames=num_frames))
    latents = encoded.pop("latents")
    job = sampling_config(
        family,
        VideoSize(num_frames, spec.size.height, spec.size.width, spec.fps),
        SamplingRequest(
            seed=spec.seed,
            num_inference_steps=spec.num_inference_steps,
            guidance_scale=spec.guidance_scale,
            sampler=spec.sampler,
            attention=video.attention,
            given_latent_frames=0 if is_edit else latents.shape[2],
            strength=spec.edit.strength if is_edit else 1.0,
        ),
    )
    is_image_read = family.card.is_image_required or not is_edit
    prompt = {**prompts[spec.prompt], **(encoded if is_image_read else {})}
    negative = prompts[spec.negative_prompt] if spec.guidance_scale > 1 else None
    start = ClipStart(source=latents) if is_edit else ClipStart(given=latents)
    state, denoiser = initial_state(job, CPU, start), family.load_denoiser(CPU)
    while state.step_index < job.num_steps:
        *_, last = denoise_slice(denoiser, prompt, negative, config=job, state=state, num_steps=999)
        state = last.state
    decoded = torch.cat(list(family.load_vae(CPU).decode_chunks(state.latents)), 2)
    return to_frames(decoded)


def num_clip_frames(family: Family, extend: video_pb2.Extend) -> int:
    """Frames of an extension's clip: a whole latent frame more where it has an overlap."""
    more = family.card.frames_multiple if extend.num_overlap_frames else 0
    return extend.num_context_frames + more + extend.num_frames


def stitched(source: Frames, clip: Frames, extend: video_pb2.Extend) -> Frames:
    """The source, its last frames on their way into the clip's, and the clip's new ones."""
    new = extend.num_context_frames + extend.num_overlap_frames
    num_fading = 2 * extend.num_overlap_frames or extend.num_context_frames
    kept, last = source[:-num_fading], source[-num_fading:]
    faded = fading(last, clip[new - num_fading : new])
    return np.concatenate((kept, faded, clip[new : new + extend.num_frames]))


def context_of(source: Frames, extend: video_pb2.Extend) -> Frames:
    """The source's frames that an extension's clip is given."""
    end = len(source) - extend.num_overlap_frames
    return source[end - extend.num_context_frames : end]
