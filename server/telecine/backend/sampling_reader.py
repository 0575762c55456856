"""What a request to a denoiser, of a picture or of its sound, says of how it is denoised."""

from typing import NamedTuple

import torch

from telecine.backend.devices import batch_of_one
from telecine.backend.request_reader import RequestReader
from telecine.engine.denoise import Conditioning
from telecine.engine.families.protocol import Family
from telecine.engine.families.sampling import SamplingRequest, VideoSize


class Prompts(NamedTuple):
    """What to steer towards and, where the video is guided, away from."""

    prompt: Conditioning
    negative_prompt: Conditioning | None


def read_prompts(request: RequestReader, family: Family, device: torch.device) -> Prompts:
    """Bring a request's encoded prompts to the device, each as a batch of one.

    Raises:
        ValueError: a tensor is missing.
    """
    names = family.conditioning

    def read(prefix: str) -> Conditioning:
        return batch_of_one({name: request.array(prefix + name) for name in names}, device)

    is_guided = request.has(f"negative_{names[0]}")
    return Prompts(read(""), read("negative_") if is_guided else None)


def read_sampling(request: RequestReader) -> tuple[VideoSize, SamplingRequest]:
    """Read what every request has.

    Raises:
        ValueError: a tensor is missing.
    """
    size = VideoSize(*(request.integer(name) for name in VideoSize._fields))
    return size, SamplingRequest(
        seed=request.integer("seed"),
        num_inference_steps=request.integer("num_inference_steps"),
        guidance_scale=request.number("guidance_scale"),
        sampler=request.text("sampler"),
        attention=request.text("attention"),
    )
