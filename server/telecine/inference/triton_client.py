"""The models of one Triton server as typed calls."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager

import grpc
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferResult
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from telecine.errors import ModelError, ModelServerUnavailableError
from telecine.inference.failures import translate
from telecine.inference.frame_ring import FrameRing
from telecine.inference.model_configs import PROMPT_FACTS
from telecine.inference.model_loader import ModelLoader
from telecine.inference.model_stream import StreamTimeouts, stream_responses
from telecine.inference.request_inputs import (
    add_decode_inputs,
    add_slice_inputs,
    add_sound_inputs,
)
from telecine.inference.requests import (
    Array,
    DecodedFrames,
    DecodedSound,
    DecodeRequest,
    EncodedImages,
    PromptEmbeds,
    SliceRequest,
    StepResult,
)
from telecine.inference.tensor_exchange import TensorExchange, scalar, text

__all__ = [
    "DecodeRequest",
    "DecodedFrames",
    "PromptEmbeds",
    "SliceRequest",
    "StepResult",
    "TritonClient",
]

_PREVIEW_CONTENT_TYPE = "image/webp"
_STATE_BYTES_PER_PIXEL = 12
"""More than any state takes: the whole video as float32, where latents are a fraction of it."""
_SOUND_BYTES_PER_SECOND = 1 << 20
"""More than the latents of a second's sound take: a hundred times LTX-2's."""
_IMAGE_FEATURE_BYTES = 16 << 20
"""Room for what a vision network makes of a picture, whatever its size: ten times CLIP's."""
_CACHE_BYTES_PER_PIXEL = 512
"""Room for what a decoder remembers: ten times toybox's."""
_NO_FRAMES = np.empty((0, 0, 0, 3), np.uint8)
_STEP_OUTPUTS = (
    "step_index",
    "sigma",
    "step_seconds",
    "num_final_frames",
    "is_numerics_changed",
)
_CHANNEL_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # A restarted server is found at once, not after gRPC's two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]


class TritonClient:
    """Speaks to one Triton server. Every call may raise what `encode_prompt` may."""

    def __init__(
        self,
        grpc_url: str,
        *,
        stream_timeout_seconds: float,
        first_response_timeout_seconds: float | None = None,
        call_timeout_seconds: float = 60.0,
    ) -> None:
        self._triton = InferenceServerClient(grpc_url, channel_args=_CHANNEL_OPTIONS)
        self._call_timeout_seconds = call_timeout_seconds
        self._timeouts = StreamTimeouts(
            first_seconds=first_response_timeout_seconds or 5 * stream_timeout_seconds,
            next_seconds=stream_timeout_seconds,
        )
        self._loader = ModelLoader(self._triton)
        self._output_bytes: dict[str, dict[str, int]] = {}

    async def close(self) -> None:
        """Close the connection."""
        await self._triton.close()

    async def is_ready(self) -> bool:
        """Whether the server answers and has tried to load all its models."""
        try:
            return bool(await self._triton.is_server_ready(client_timeout=5.0))
        except InferenceServerException:
            return False

    async def load_model(self, model: str) -> None:
        """Load every role of a model that is not loaded yet.

        Raises:
            ModelServerUnavailableError: Triton cannot be reached.
            ModelError: it has no such model, or the model does not load.
        """
        await self._loader.load_missing(model)

    async def unload_model(self, model: str) -> None:
        """Unload every role of a model and return once their memory is free.

        Raises:
            ModelServerUnavailableError: Triton cannot be reached, or a process does not end.
        """
        # What is loaded by that name later may be of another family.
        for name in [name for name in self._output_bytes if name.startswith(f"{model}__")]:
            del self._output_bytes[name]
        await self._loader.unload(model)

    async def list_loaded_models(self) -> set[str]:
        """Return the models of which every role is loaded; raises as `unload_model` does."""
        return await self._loader.list_loaded()

    async def repair(self, model: str) -> None:
        """Bring back the roles of a model whose processes calls have found dead or silent.

        Call it after a call has raised ModelServerUnavailableError; it raises what
        `load_model` may.
        """
        await self._loader.load_missing(model)
        await self._loader.reload_dead(model)

    async def encode_prompt(self, model: str, prompt: str) -> PromptEmbeds:
        """Encode a prompt, or a negative one.

        Raises:
            ModelServerUnavailableError: Triton or a model's process is down or silent.
            ModelError: the model failed on this input.
        """
        name = f"{model}__prompt_encoder"
        with self._calling(name):
            return await self._encode(name, prompt)

    async def encode_images(
        self, model: str, frames: NDArray[np.uint8], *, size: tuple[int, int], num_frames: int
    ) -> EncodedImages:
        """Encode the first frames, or all, of a video of `num_frames`.

        Args:
            model: a model that makes videos of pictures.
            frames: [n, H, W, 3] of any one size; they are scaled to cover the video, and cropped.
            size: width and height of the video.
            num_frames: of the video.
        """
        name = f"{model}__image_conditioner"
        with self._calling(name):
            return await self._encode_images(name, frames, size=size, num_frames=num_frames)

    async def encode_sound(
        self, model: str, waveform: NDArray[np.float32], *, num_frames: int, fps: int
    ) -> Array:
        """Encode the sound that a picture is made to; returns its latents [C, A].

        Args:
            model: a model that can, by `FEATURE_AUDIO_TO_VIDEO`.
            waveform: [n] of HEARD_SAMPLE_RATE; silence is put behind one that is too short.
            num_frames: of the video.
            fps: of the video.
        """
        name = f"{model}__audio_encoder"
        with self._calling(name):
            async with TensorExchange(self._triton) as exchange:
                await exchange.add_input("waveform", waveform)
                await exchange.add_input("num_frames", scalar(num_frames, np.int64))
                await exchange.add_input("fps", scalar(fps, np.int64))
                await exchange.add_output("audio_latents")
                result = await self._infer(name, exchange, self._timeouts.first_seconds)
                return _required(exchange, result, "audio_latents")

    async def denoise_slice(
        self, model: str, request: SliceRequest
    ) -> AsyncGenerator[StepResult, None]:
        """Run a slice and yield each step as the device finishes it.

        Closing the iterator stops the model before its next step.
        """
        name = f"{model}__dit_sampler"
        num_pixels = request.num_frames * request.height * request.width
        async with (
            TensorExchange(self._triton) as exchange,
            aclosing(self._stream(name, exchange, last_output="state")) as results,
        ):
            await add_slice_inputs(exchange, request)
            for output in (*_STEP_OUTPUTS, "preview"):
                await exchange.add_output(output)
            max_bytes = _STATE_BYTES_PER_PIXEL * num_pixels
            if request.audio_mode != "NONE":
                max_bytes += _sound_bytes(request)
            await exchange.add_output("state", max_bytes=max_bytes)
            async for result in results:
                yield _read_step(exchange, result)

    async def decode_frames(
        self, model: str, request: DecodeRequest
    ) -> AsyncGenerator[DecodedFrames, None]:
        """Decode some of a state's latents; yields frames as they are done.

        The model stays at most a few chunks ahead of the caller. A run that does not reach
        the clip's end yields, last of all, the `feat_cache` to go on with.
        """
        name = f"{model}__vae_decoder"
        with FrameRing.create() as ring:
            async with (
                TensorExchange(self._triton) as exchange,
                aclosing(self._stream(name, exchange, last_output="num_frames")) as results,
            ):
                await add_decode_inputs(exchange, request)
                await exchange.add_input("ring", text([ring.name], (1,)))
                for output in ("frames", "frames_shape", "num_frames"):
                    await exchange.add_output(output)
                if request.has_more:
                    max_bytes = _CACHE_BYTES_PER_PIXEL * request.height * request.width
                    await exchange.add_output("feat_cache", max_bytes=max_bytes)
                chunk_index = num_frames = 0
                async for result in results:
                    if (feat_cache := exchange.read(result, "feat_cache")) is not None:
                        yield DecodedFrames(_NO_FRAMES, feat_cache.tobytes())
                    elif (num_sent := exchange.read(result, "num_frames")) is not None:
                        require_all(name, num_frames, int(num_sent.item()))
                    else:
                        frames = _take_chunk(exchange, result, ring, chunk_index)
                        num_frames += len(frames)
                        chunk_index += 1
                        yield DecodedFrames(frames)

    async def make_sound(self, model: str, request: SliceRequest) -> bytes:
        """Make sound for a finished picture; returns its state with the sound's latents in it.

        Args:
            model: a model that can, by `POST_SYNC`.
            request: the picture's, with its last state.
        """
        name = f"{model}__audio_dit"
        async with (
            TensorExchange(self._triton) as exchange,
            aclosing(self._stream(name, exchange, last_output="state")) as results,
        ):
            await add_sound_inputs(exchange, request)
            max_bytes = len(request.state) + _sound_bytes(request)
            await exchange.add_output("state", max_bytes=max_bytes)
            state = b""
            async for result in results:  # an empty one for each step, then the state
                if (made := exchange.read(result, "state")) is not None:
                    state = made.tobytes()
            return state

    async def decode_sound(self, model: str, state: bytes) -> DecodedSound:
        """Decode the sound of a state."""
        name = f"{model}__audio_decoder"
        async with (
            TensorExchange(self._triton) as exchange,
            aclosing(self._stream(name, exchange, last_output="num_samples")) as results,
        ):
            await exchange.add_input("state", np.frombuffer(state, np.uint8))
            for output in ("samples", "sample_rate", "num_samples"):
                await exchange.add_output(output)
            chunks, sample_rate = [], 0
            async for result in results:
                sample_rate = int(_required(exchange, result, "sample_rate").item())
                if (samples := exchange.read(result, "samples")) is not None:
                    chunks.append(samples)
                elif (num_sent := exchange.read(result, "num_samples")) is not None:
                    num_samples = sum(chunk.shape[1] for chunk in chunks)
                    require_all(name, num_samples, int(num_sent.item()))
        if not chunks:
            raise ModelError(f"{name} gave no samples")
        return DecodedSound(np.concatenate(chunks, axis=1), sample_rate)

    async def _stream(
        self, name: str, exchange: TensorExchange, *, last_output: str
    ) -> AsyncGenerator[InferResult, None]:
        results = stream_responses(
            self._triton, name, exchange, last_output=last_output, timeouts=self._timeouts
        )
        with self._loader.watching():
            async with aclosing(results):
                async for result in results:
                    yield result

    @contextmanager
    def _calling(self, name: str) -> Iterator[None]:
        with self._loader.watching():
            try:
                yield
            except (InferenceServerException, grpc.RpcError) as error:
                raise translate(error, called=name) from error

    async def _infer(self, name: str, exchange: TensorExchange, seconds: float) -> InferResult:
        return await self._triton.infer(
            name, exchange.inputs, outputs=exchange.outputs, client_timeout=seconds
        )

    async def _encode(self, name: str, prompt: str) -> PromptEmbeds:
        output_bytes = await self._fixed_output_bytes(name)
        async with TensorExchange(self._triton) as exchange:
            await exchange.add_input("prompt", text([prompt], (1, 1)))
            for output, num_bytes in output_bytes.items():
                await exchange.add_output(output, max_bytes=num_bytes)
            result = await self._infer(name, exchange, self._call_timeout_seconds)
            outputs = {output: _required(exchange, result, output)[0] for output in output_bytes}
            num_tokens, max_tokens, is_truncated = (
                outputs.pop(fact).item() for fact in PROMPT_FACTS
            )
            return PromptEmbeds(
                tensors=outputs,
                num_tokens=int(num_tokens),
                max_tokens=int(max_tokens),
                is_truncated=bool(is_truncated),
            )

    async def _encode_images(
        self, name: str, frames: NDArray[np.uint8], *, size: tuple[int, int], num_frames: int
    ) -> EncodedImages:
        width, height = size
        max_bytes = _STATE_BYTES_PER_PIXEL * num_frames * width * height + _IMAGE_FEATURE_BYTES
        output_names = await self._fixed_output_bytes(name)
        async with TensorExchange(self._triton) as exchange:
            await exchange.add_input("frames", frames)
            for field, value in {
                "height": height,
                "width": width,
                "num_frames": num_frames,
            }.items():
                await exchange.add_input(field, scalar(value, np.int64))
            for output in output_names:
                await exchange.add_output(output, max_bytes=max_bytes)
            result = await self._infer(name, exchange, self._timeouts.first_seconds)
            outputs = {output: _required(exchange, result, output) for output in output_names}
            return EncodedImages(latents=outputs.pop("latents"), conditioning=outputs)

    async def _fixed_output_bytes(self, model_name: str) -> dict[str, int]:
        """How large each output of a model with fixed shapes is, for a batch of one."""
        if model_name not in self._output_bytes:
            metadata = await self._triton.get_model_metadata(
                model_name, client_timeout=self._call_timeout_seconds
            )
            self._output_bytes[model_name] = {
                output.name: 8 * int(np.prod(np.abs(output.shape), dtype=np.int64))
                for output in metadata.outputs
            }
        return self._output_bytes[model_name]


def _sound_bytes(request: SliceRequest) -> int:
    return _SOUND_BYTES_PER_SECOND * (request.num_frames // request.fps + 1)


def _read_step(exchange: TensorExchange, result: InferResult) -> StepResult:
    preview = exchange.read(result, "preview")
    state = exchange.read(result, "state")
    return StepResult(
        step_index=int(_required(exchange, result, "step_index").item()),
        sigma=float(_required(exchange, result, "sigma").item()),
        step_seconds=float(_required(exchange, result, "step_seconds").item()),
        num_final_frames=int(_required(exchange, result, "num_final_frames").item()),
        is_numerics_changed=bool(_required(exchange, result, "is_numerics_changed").item()),
        preview=b"" if preview is None else preview.tobytes(),
        preview_content_type="" if preview is None else _PREVIEW_CONTENT_TYPE,
        state=None if state is None else state.tobytes(),
    )


def _take_chunk(
    exchange: TensorExchange, result: InferResult, ring: FrameRing, chunk_index: int
) -> NDArray[np.uint8]:
    frames = exchange.read(result, "frames")
    if frames is None:
        shape = _required(exchange, result, "frames_shape")
        frames = ring.read(chunk_index, tuple(shape.tolist()))
    ring.release(chunk_index)
    return frames


def require_all(model_name: str, num_received: int, num_sent: int) -> None:
    """Raise ModelServerUnavailableError where a response was lost on its way from a model."""
    if num_received != num_sent:
        raise ModelServerUnavailableError(
            f"{model_name} sent {num_sent} frames or samples, {num_received} came",
            dead_model=model_name,
        )


def _required(exchange: TensorExchange, result: InferResult, name: str) -> Array:
    values = exchange.read(result, name)
    if values is None:
        raise ModelError(f"Triton's answer has no {name}")
    return values
