"""Pictures to what a family's denoiser reads of them."""

from typing import Any

import torch

from telecine.backend.devices import choose_device
from telecine.backend.frames import to_video
from telecine.backend.request_reader import RequestReader, parameter
from telecine.backend.responses import Outputs, answer_each
from telecine.engine.families import load_family


class TritonPythonModel:
    """Runs a family's image encoder."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the encoder."""
        self._device = choose_device()
        self._encoder = load_family(parameter(args, "weights")).load_image_encoder(self._device)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request."""
        return answer_each(requests, self._encode)

    @torch.inference_mode()
    def _encode(self, request: RequestReader) -> Outputs:
        video = to_video(request.array("fitted_frames"), self._device)
        encoded = self._encoder.encode(video, num_frames=request.integer("num_frames"))
        return {name: values[0].float().cpu().numpy() for name, values in encoded.items()}
