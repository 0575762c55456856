"""Turns the latents of one video into frames, run by run, as they become final."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from telecine.errors import ModelError
from telecine.inference.triton_client import DecodeRequest, TritonClient
from telecine.media.transcoder import Frames
from telecine.worker.held_video import HeldVideo, SliceEnd
from telecine.worker.video_inputs import VideoInputs


class Decoding:
    """How far one video is decoded.

    A run that broke off is asked for again; what it had yielded is left out, since the same
    latents give the same frames.

    Attributes:
        state: that of the newest slice of which all frames are yielded.
    """

    def __init__(self, triton: TritonClient, held: HeldVideo, inputs: VideoInputs) -> None:
        self.state = b""
        self._triton = triton
        self._model_id = held.model_id
        self._video = held.video
        self._num_latent_frames = 0
        self._feat_cache = b""
        self._num_frames_of_run = 0
        self._inputs = inputs
        self._num_frames = 0
        self._has_kept = False

    @property
    def is_done(self) -> bool:
        """Whether every frame is yielded."""
        return self._num_frames >= self._inputs.clip_frames

    async def run(self, end: SliceEnd) -> AsyncGenerator[Frames, None]:
        """Yields the frames that became final with a slice.

        Before the first ones come those that are kept of a source.

        Raises:
            ModelServerUnavailableError: the run broke off.
            ModelError: the decoder gave too few frames.
        """
        if not self._has_kept:
            async with aclosing(self._inputs.kept_frames()) as kept:
                async for frames in kept:
                    yield frames
            self._has_kept = True
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
                    shown = self._inputs.stitched(fresh, first=self._num_frames)
                    self._num_frames += len(fresh)
                    self._num_frames_of_run += len(fresh)
                    if len(shown):
                        yield shown
        if is_last and not self.is_done:
            raise ModelError(
                f"the decoder gave {self._num_frames} of {self._inputs.clip_frames} frames"
            )
        self._num_latent_frames, self._feat_cache = end.num_final_frames, feat_cache
        self._num_frames_of_run = 0
        self.state = end.state
