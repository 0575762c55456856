"""Pictures of any size to the video's."""

from typing import Any

from telecine.backend.picture_fitting import open_fitter
from telecine.backend.request_reader import RequestReader
from telecine.backend.responses import Outputs, answer_each


class TritonPythonModel:
    """Scales pictures to cover the video, and crops them around the middle."""

    def initialize(self, args: dict[str, str]) -> None:  # noqa: ARG002
        """Build the pipeline."""
        self._fitter = open_fitter()

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request."""
        return answer_each(requests, self._fit)

    def _fit(self, request: RequestReader) -> Outputs:
        height, width = request.integer("height"), request.integer("width")
        return {
            "fitted_frames": self._fitter.fit(request.array("frames"), height=height, width=width)
        }
