"""One slice of denoising a request, one response a step, the new state in the last."""

from functools import partial
from typing import Any

from telecine.backend.denoising import DenoisingConfig
from telecine.backend.request_reader import RequestReader, parameters
from telecine.backend.responses import stream_responses
from telecine.backend.slice_reader import read_slice
from telecine.backend.slice_sampler import SliceSampler


class TritonPythonModel:
    """Runs a family's denoiser; all a slice needs is in its request."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the denoiser, start the other ranks where it has some, load the VAE for previews."""
        self._sampler = SliceSampler(DenoisingConfig.from_parameters(parameters(args)))

    def execute(self, requests: list[Any]) -> None:
        """Run each request's slice."""
        for request in requests:
            steps = self._sampler.run(partial(read_slice, RequestReader(request), self._sampler))
            stream_responses(steps, request.get_response_sender(), request)

    def finalize(self) -> None:
        """End the other ranks."""
        self._sampler.close()
