"""The two encoders' features to the widths of the denoiser."""

from typing import Any

import torch

from telecine.backend.request_reader import RequestReader, parameter
from telecine.backend.responses import Outputs, answer_each
from telecine.engine.families import load_family


class TritonPythonModel:
    """Runs a family's text projection."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the projection."""
        self._projection = load_family(parameter(args, "weights")).load_text_projection()

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request."""
        return answer_each(requests, self._project)

    @torch.inference_mode()
    def _project(self, request: RequestReader) -> Outputs:
        features = (request.array(name) for name in ("t5_hidden_states", "clip_pooled"))
        prompt_embeds, pooled = self._projection(*map(torch.tensor, features))
        return {"prompt_embeds": prompt_embeds.numpy(), "pooled_prompt_embeds": pooled.numpy()}
