"""Turns the latents of one video into frames, run by run, as they become final."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from telecine.errors import ModelError
from telecine.inference.triton_client import DecodeRequest, TritonClient
from telecine.media.transcoder import Frames
from telecine.worker.held_video import HeldVideo, SliceEnd


class Decoding:
    """How far one video is decoded.

    A run that broke off is asked for again; what it had yielded is left out, since the same
    latents give the same frames.
    """

    def __init__(self, triton: TritonClient, held: HeldVideo) -> None:
        self._triton = triton
        self._model_id = held.model_id
        self._video = held.video
        self._num_latent_frames = 0
        self._feat_cache = b""
        self._num_frames_of_run = 0
        self.num_frames = 0
        """Frames yielded so far."""

    async def run(self, end: SliceEnd) -> AsyncGenerator[Frames, None]:
        """Yields the frames that became final with a slice.

        Raises:
            ModelServerUnavailableError: the run broke off.
            ModelError: the decoder gave too few frames.
        """
        is_last = end.step.step_index == self._video.num_steps
        request = DecodeRequest(
            state=end.state,
            height=self._video.spec.size.height,
            width=self._video.spec.size.width,
            first_latent_frame=self._num_latent_frames,
            end_latent_frame=end.num_final_frames,
            has_more=not is_last,
            feat_cache=self._feat_cache,
        )
        feat_cache, num_skipped = b"", self._num_frames_of_run
        async with aclosing(self._triton.decode_frames(self._model_id, request)) as chunks:
            async for chunk in chunks:
                feat_cache = chunk.feat_cache or feat_cache
                fresh = chunk.frames[num_skipped:]
                num_skipped = max(0, num_skipped - len(chunk.frames))
                if len(fresh):
                    self.num_frames += len(fresh)
                    self._num_frames_of_run += len(fresh)
                    yield fresh
        if is_last and self.num_frames < self._video.num_frames:
            raise ModelError(
                f"the decoder gave {self.num_frames} of {self._video.num_frames} frames"
            )
        self._num_latent_frames, self._feat_cache = end.num_final_frames, feat_cache
        self._num_frames_of_run = 0
