"""One slice of denoising a request, one response a step, the new state in the last."""

from functools import partial
from typing import Any

from telecine.backend.denoising import Slice
from telecine.backend.request_reader import RequestReader, parameter
from telecine.backend.responses import stream_responses
from telecine.backend.slice_sampler import SliceSampler
from telecine.engine.denoise import Conditioning
from telecine.engine.families.sampling import SamplingRequest, VideoSize, sampling_config


class TritonPythonModel:
    """Runs a family's denoiser; all a slice needs is in its request."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the denoiser, and the VAE for previews."""
        self._sampler = SliceSampler(parameter(args, "weights"))

    def execute(self, requests: list[Any]) -> None:
        """Run each request's slice."""
        for request in requests:
            steps = self._sampler.run(partial(self._read, RequestReader(request)))
            stream_responses(steps, request.get_response_sender(), request)

    def _read(self, request: RequestReader) -> Slice:
        state = request.optional_array("state")
        preview_steps = request.optional_array("preview_steps")
        return Slice(
            prompt=self._conditioning(request, ""),
            negative_prompt=(
                self._conditioning(request, "negative_")
                if request.has(f"negative_{self._sampler.family.conditioning[0]}")
                else None
            ),
            config=sampling_config(
                self._sampler.family,
                VideoSize(*(request.integer(name) for name in VideoSize._fields)),
                SamplingRequest(
                    seed=request.integer("seed"),
                    num_inference_steps=request.integer("num_inference_steps"),
                    guidance_scale=request.number("guidance_scale"),
                    sampler=request.text("sampler"),
                    attention=request.text("attention"),
                ),
            ),
            state=b"" if state is None else state.tobytes(),
            num_steps=request.integer("num_steps"),
            preview_steps=frozenset(() if preview_steps is None else preview_steps.tolist()),
        )

    def _conditioning(self, request: RequestReader, prefix: str) -> Conditioning:
        names = self._sampler.family.conditioning
        return self._sampler.conditioning({name: request.array(prefix + name) for name in names})
