"""The lane that keeps the GPU busy: prompts to embeddings, noise to latents, those to frames."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from telecine.errors import CheckpointError, ModelError, ModelServerUnavailableError
from telecine.inference.embeddings_cache import EmbeddingsCache
from telecine.inference.requests import ClipInputs, LoraScale
from telecine.inference.triton_client import PromptEmbeds, SliceRequest, TritonClient
from telecine.jobs.job_types import FinishedStep, Verdict
from telecine.media.sound import Sound
from telecine.media.transcoder import Frames
from telecine.v1 import video_pb2
from telecine.worker.decoding import Decoding
from telecine.worker.held_video import HeldVideo, SliceEnd
from telecine.worker.interruptions import HandBack, VideoCancelled, VideoPaused
from telecine.worker.model_server_watch import ModelServerWatch
from telecine.worker.progress_manager import (
    ProgressManager,
    TailEstimate,
    choose_preview_steps,
)
from telecine.worker.sound_making import is_sound_made, make_sound, slice_audio_mode
from telecine.worker.video_inputs import InputReader, VideoInputs
from telecine.worker.worker_models import MODEL_NOT_LOADED, WorkerModels
from telecine.worker.worker_state import WorkerState

_T = TypeVar("_T")
# A video that ends the model server so often, with no slice finished between, is to blame.
_MAX_SERVER_LOSSES = 3
_NUMERICS_CHANGED = (
    "the video goes on from a state that another kind of machine or another version made; "
    "its last bits may differ from those of an undisturbed run"
)


@dataclass(frozen=True)
class GpuLaneOptions:
    """How the lane cuts a video, and what it keeps of one for the next.

    Attributes:
        slice_steps: the work lost at most with a worker.
        embeddings_cache_bytes: what encoded prompts may take in the worker's memory.
    """

    slice_steps: int
    previews_per_video: int
    embeddings_cache_bytes: int = 256 << 20


class GpuLane:
    """Drives the model server for one video at a time.

    A model server that goes away is waited for, and the work goes on from the last
    slice's state: it never fails a video.
    """

    def __init__(
        self,
        triton: TritonClient,
        watch: ModelServerWatch,
        options: GpuLaneOptions,
        *,
        draining: asyncio.Event,
        models: WorkerModels,
        inputs: InputReader,
    ) -> None:
        self._triton = triton
        self._watch = watch
        self._options = options
        self._draining = draining
        self._models = models
        self._inputs = inputs
        self._embeddings = EmbeddingsCache(triton, max_bytes=options.embeddings_cache_bytes)
        self.tail = TailEstimate()

    @asynccontextmanager
    async def prepare(self, held: HeldVideo) -> AsyncIterator[None]:
        """Has the video's model loaded, and keeps it so while the block lasts.

        Raises:
            HandBack: the model does not load here, the model server was away for too long, or
                the worker drains.
        """
        held.state.enter(WorkerState.LOADING)
        await held.enter_stage(video_pb2.STAGE_LOADING)
        async with AsyncExitStack() as stack:
            await self._load(held, stack)
            held.state.enter(WorkerState.READY)
            yield

    async def make(self, held: HeldVideo) -> AsyncGenerator[Frames | Sound, None]:
        """Yields the video's frames as they are done, all at the end or chunk by chunk.

        After the last ones comes its sound, where it has any.

        Raises:
            HandBack: another video is due, the worker drains, or the model server was away for
                too long or was lost again and again.
            VideoPaused: its owner wants it set aside.
            ModelError: the model failed on this input.
            InputUnusableError: what it is made from is gone, or cannot be used.
        """
        held.state.enter(WorkerState.INITIALIZING)
        await held.enter_stage(video_pb2.STAGE_CONDITIONING)
        async with self._inputs.open(held) as inputs:
            request = await self._insist(held, lambda: self._condition(held, inputs))
            decoding = Decoding(self._triton, held, inputs)
            async with aclosing(self._make_frames(held, request, decoding)) as chunks:
                async for frames in chunks:
                    yield frames
            if inputs.track is not None or is_sound_made(held.video.spec):
                yield await self._make_sound(held, replace(request, state=decoding.state), inputs)

    async def _make_sound(
        self, held: HeldVideo, finished: SliceRequest, inputs: VideoInputs
    ) -> Sound:
        held.state.enter(WorkerState.AUDIO_SYNC)
        await held.enter_stage(video_pb2.STAGE_AUDIO)
        if inputs.track is not None:
            return inputs.track
        start_time = time.monotonic()
        call = partial(make_sound, self._triton, held.model_id, finished, spec=held.video.spec)
        sound = await self._insist(held, call)
        held.decode_seconds += time.monotonic() - start_time
        return sound

    async def _make_frames(
        self, held: HeldVideo, request: SliceRequest, decoding: Decoding
    ) -> AsyncGenerator[Frames, None]:
        """Yields frames, from the newest checkpoint that can be used."""
        while not decoding.is_done:
            if held.has_checkpoints:
                held.state.enter(WorkerState.RECOVERING)
            state, step_index = await held.load_checkpoint()
            try:
                ends = self._denoise_slices(held, replace(request, state=state), step_index)
                async with aclosing(ends):
                    async for end in ends:
                        async with aclosing(self._decode(held, decoding, end)) as chunks:
                            async for frames in chunks:
                                yield frames
            except CheckpointError as error:
                if not state:
                    raise
                await held.notify(error.reason, f"step {step_index}: {error}")

    async def _decode(
        self, held: HeldVideo, decoding: Decoding, end: SliceEnd
    ) -> AsyncGenerator[Frames, None]:
        """Yields the frames that have become final; a decode that broke off is begun again."""
        held.state.enter(WorkerState.DECODING)
        await held.enter_stage(video_pb2.STAGE_DECODING)
        held.tail_start = time.monotonic()
        is_done = False
        while not is_done:
            try:
                async with aclosing(decoding.run(end)) as chunks:
                    async for frames in chunks:
                        yield frames
                is_done = True
            except ModelServerUnavailableError as error:
                await self._recover_from_loss(held, error)
        held.decode_seconds += time.monotonic() - held.tail_start

    async def _condition(self, held: HeldVideo, inputs: VideoInputs) -> SliceRequest:
        spec = held.video.spec
        expanded = held.video.expanded_prompt
        return SliceRequest(
            prompt=await self._encode(
                held, "expanded_prompt" if expanded else "prompt", expanded or spec.prompt
            ),
            negative_prompt=(
                await self._encode(held, "negative_prompt", spec.negative_prompt)
                if spec.guidance_scale > 1.0
                else None
            ),
            seed=spec.seed,
            num_inference_steps=spec.num_inference_steps,
            guidance_scale=spec.guidance_scale,
            sampler=spec.sampler,
            num_frames=inputs.clip_frames,
            height=spec.size.height,
            width=spec.size.width,
            fps=spec.fps,
            attention=held.video.attention,
            inputs=await self._encode_inputs(held, inputs),
            state=b"",
            num_steps=0,
            preview_steps=choose_preview_steps(
                held.video.num_steps, self._options.previews_per_video
            ),
            loras=tuple(LoraScale(lora.name, lora.scale) for lora in spec.loras),
            audio_mode=slice_audio_mode(spec),
        )

    async def _encode_inputs(self, held: HeldVideo, inputs: VideoInputs) -> ClipInputs | None:
        clip = None if inputs.frames is None else await self._encode_pictures(held, inputs)
        if inputs.heard is None:
            return clip
        latents = await self._triton.encode_sound(
            held.model_id, inputs.heard, num_frames=inputs.clip_frames, fps=held.video.spec.fps
        )
        return replace(clip or ClipInputs(), given_audio_latents=latents)

    async def _encode_pictures(self, held: HeldVideo, inputs: VideoInputs) -> ClipInputs:
        assert inputs.frames is not None
        size = held.video.spec.size
        encoded = await self._triton.encode_images(
            held.model_id,
            inputs.frames,
            size=(size.width, size.height),
            num_frames=inputs.clip_frames,
        )
        return inputs.for_sampler(
            encoded, is_image_required=self._models.needs_image(held.model_id)
        )

    async def _encode(self, held: HeldVideo, field: str, text: str) -> PromptEmbeds:
        embeds = await self._embeddings.encode(held.model_id, held.identity, text)
        if embeds.is_truncated:
            await held.warn(
                "PROMPT_TRUNCATED",
                f"{field}: the model reads the first {embeds.max_tokens} of its "
                f"{embeds.num_tokens} tokens; the last {embeds.num_tokens - embeds.max_tokens} "
                "are cut off",
            )
        return embeds

    async def _denoise_slices(
        self, held: HeldVideo, request: SliceRequest, step_index: int
    ) -> AsyncGenerator[SliceEnd, None]:
        """Yields the ends of slices with which frames became final."""
        num_steps = held.video.num_steps
        progress = ProgressManager(
            num_steps, tail_seconds=self.tail.predict(num_pixels(held.video))
        )
        num_final_frames = 0
        if step_index >= num_steps:  # lost after its last step: what follows is left
            yield _end_without_slice(held, request)
        while step_index < num_steps:
            held.state.enter(WorkerState.GENERATING)
            await held.enter_stage(video_pb2.STAGE_DENOISING)
            slice_steps = min(self._options.slice_steps, num_steps - step_index)
            slice_request = replace(request, num_steps=slice_steps)
            end = await self._insist(
                held, partial(self._denoise_slice, held, slice_request, progress)
            )
            request, step_index = replace(request, state=end.state), end.step.step_index
            await self._end_slice(held, end)
            if self._draining.is_set() and step_index < num_steps:
                raise HandBack("WORKER_DRAINED")
            if end.num_final_frames > num_final_frames:
                num_final_frames = end.num_final_frames
                yield end

    async def _end_slice(self, held: HeldVideo, end: SliceEnd) -> None:
        held.state.enter(WorkerState.CHECKPOINTING)
        verdict = await held.finish_slice(
            end, capability=self._models.capability(), slice_steps=self._options.slice_steps
        )
        match verdict:
            case Verdict.CANCEL:
                raise VideoCancelled
            case Verdict.PAUSE:
                raise VideoPaused
            case Verdict.YIELD:
                raise HandBack("PREEMPTED")
        held.state.enter(WorkerState.GENERATING)

    async def _denoise_slice(
        self, held: HeldVideo, request: SliceRequest, progress: ProgressManager
    ) -> SliceEnd:
        end: SliceEnd | None = None
        has_told = False
        held.begin_slice()
        async with aclosing(self._triton.denoise_slice(held.model_id, request)) as results:
            async for result in results:
                now = progress.finish_step(result.step_index, step_seconds=result.step_seconds)
                if result.is_numerics_changed and not has_told:
                    has_told = True
                    await held.notify("NUMERICS_CHANGED", _NUMERICS_CHANGED)
                step = FinishedStep(
                    step_index=result.step_index,
                    num_inference_steps=held.video.num_steps,
                    sigma=result.sigma,
                    elapsed_seconds=now.elapsed_seconds,
                    eta_seconds=now.eta_seconds,
                    preview=result.preview,
                    preview_content_type=result.preview_content_type,
                )
                if result.state is None:
                    await held.finish_step(step, gpu_seconds=result.step_seconds)
                else:
                    end = SliceEnd(step, result.step_seconds, result.state, result.num_final_frames)
        if end is None:
            raise ModelError("the sampler ended a slice without its state")
        return end

    async def _load(self, held: HeldVideo, stack: AsyncExitStack) -> None:
        while True:
            try:
                await self._watch.require_ready()
                await stack.enter_async_context(self._models.using(held.video))
                # Since it was asked for, the model may have got other weights.
                held.identity = self._models.digest_of(held.model_id)
            except ModelServerUnavailableError as error:  # not the video's doing
                await self._wait(held, error, self._watch.wait_until_ready)
            except ModelError as error:  # it may load elsewhere
                await held.notify(MODEL_NOT_LOADED, error.message)
                raise HandBack(MODEL_NOT_LOADED, counts_as_loss=True) from error
            else:
                return

    async def _insist(self, held: HeldVideo, call: Callable[[], Awaitable[_T]]) -> _T:
        while True:
            try:
                return await call()
            except ModelServerUnavailableError as error:
                await self._recover_from_loss(held, error)

    async def _recover_from_loss(self, held: HeldVideo, error: ModelServerUnavailableError) -> None:
        held.num_server_losses += 1
        # For the next video too.
        await self._wait(held, error, partial(self._watch.wait_until_repaired, held.model_id))
        if held.num_server_losses >= _MAX_SERVER_LOSSES:
            raise HandBack("MODEL_SERVER_LOST", counts_as_loss=True)

    async def _wait(
        self,
        held: HeldVideo,
        error: ModelServerUnavailableError,
        until_back: Callable[[], Awaitable[None]],
    ) -> None:
        interrupted = held.state.state
        held.state.enter(WorkerState.RECOVERING)
        held.has_waited = True
        await held.notify(error.reason, f"{error.message}; the video waits for the model server")
        await until_back()
        await held.notify("MODEL_SERVER_AVAILABLE", "the model server is back; the video goes on")
        held.state.enter(interrupted)


def _end_without_slice(held: HeldVideo, request: SliceRequest) -> SliceEnd:
    """Returns the end of a slice that an earlier attempt has done, the video's last one."""
    num_steps = held.video.num_steps
    step = FinishedStep(
        step_index=num_steps,
        num_inference_steps=num_steps,
        sigma=0.0,
        elapsed_seconds=0.0,
        eta_seconds=0.0,
    )
    # Latent frames are not more than frames, and all of them are final.
    return SliceEnd(step, 0.0, request.state, num_final_frames=request.num_frames)


def num_pixels(video: video_pb2.Video) -> int:
    """Returns the pixels of all frames together, what decoding and encoding cost by."""
    return video.num_frames * video.spec.size.width * video.spec.size.height
