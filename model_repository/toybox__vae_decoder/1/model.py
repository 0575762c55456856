"""Latents to frames, one response a chunk, through the VAE's feature cache."""

from collections.abc import Generator
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch

from telecine.backend.devices import choose_device, memory_given_back
from telecine.backend.frames import send_chunks
from telecine.backend.request_reader import RequestReader, parameter
from telecine.backend.responses import Outputs, stream_responses
from telecine.engine.families import load_family
from telecine.engine.state import DenoiseState
from telecine.engine.vae.layers import FeatCache
from telecine.inference.frame_ring import FrameRing


class TritonPythonModel:
    """Runs a family's VAE decoder."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the VAE."""
        self._device = choose_device()
        self._vae = load_family(parameter(args, "weights")).load_vae(self._device)

    def execute(self, requests: list[Any]) -> None:
        """Decode each request's latents."""
        for request in requests:
            chunks = self._decode(RequestReader(request), request)
            stream_responses(chunks, request.get_response_sender(), request)

    @torch.inference_mode()
    def _decode(self, reader: RequestReader, request: Any) -> Generator[Outputs, None, None]:
        state = DenoiseState.from_bytes(reader.array("state").tobytes(), self._device)
        first, end = reader.integer("first_latent_frame"), reader.integer("end_latent_frame")
        stored = reader.optional_array("feat_cache")
        feat_cache = (
            FeatCache() if stored is None else FeatCache.from_bytes(stored.tobytes(), self._device)
        )
        with ExitStack() as stack:
            stack.enter_context(memory_given_back(self._device))
            has_ring = reader.has("ring")
            ring = stack.enter_context(FrameRing.attach(reader.text("ring"))) if has_ring else None
            chunks = self._vae.decode_chunks(state.latents[:, :, first:end], feat_cache)
            num_frames = yield from send_chunks(chunks, ring, request.is_cancelled)
            if end < state.latents.shape[2]:
                yield {"feat_cache": np.frombuffer(feat_cache.to_bytes(), np.uint8)}
            yield {"num_frames": np.array([num_frames], np.int64)}
