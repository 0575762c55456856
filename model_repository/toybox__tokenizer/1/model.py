"""Prompts to tokens."""

from typing import Any

import numpy as np

from telecine.backend.request_reader import RequestReader, parameter
from telecine.backend.responses import Outputs, answer_each
from telecine.engine.families import load_tokenizer


class TritonPythonModel:
    """Runs a family's tokenizer."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the tokenizer."""
        self._tokenizer = load_tokenizer(parameter(args, "weights"))

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request."""
        return answer_each(requests, self._tokenize)

    def _tokenize(self, request: RequestReader) -> Outputs:
        prompts = [self._tokenizer.encode(prompt) for prompt in request.texts("prompt")]
        return {
            "input_ids": np.concatenate([prompt.input_ids for prompt in prompts]),
            "attention_mask": np.concatenate([prompt.attention_mask for prompt in prompts]),
            "num_tokens": np.array([[prompt.num_tokens] for prompt in prompts], np.int64),
            "max_tokens": np.array([[prompt.input_ids.shape[1]] for prompt in prompts], np.int64),
            "is_truncated": np.array([[prompt.is_truncated] for prompt in prompts], np.bool_),
        }
