"""One slice of denoising a request, one response a step, the new state in the last."""

from functools import partial
from typing import Any

from telecine.backend.request_reader import RequestReader, optional_parameter, parameter
from telecine.backend.responses import stream_responses
from telecine.backend.slice_reader import read_slice
from telecine.backend.slice_sampler import SliceSampler


class TritonPythonModel:
    """Runs a family's denoiser; all a slice needs is in its request."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the denoiser, and the VAE for previews."""
        weights_mode = optional_parameter(args, "weights_mode", "full")
        self._sampler = SliceSampler(parameter(args, "weights"), weights_mode=weights_mode)

    def execute(self, requests: list[Any]) -> None:
        """Run each request's slice."""
        for request in requests:
            steps = self._sampler.run(partial(read_slice, RequestReader(request), self._sampler))
            stream_responses(steps, request.get_response_sender(), request)
