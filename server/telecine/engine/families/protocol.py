"""What a family offers. Each part loads alone, since each runs in a process of its own."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, Self

import torch
from torch import Tensor, nn

from telecine.engine.denoise import Conditioning, Denoiser, SamplingConfig
from telecine.engine.dit.attention import AttentionKind
from telecine.engine.offload.options import FULL, LoadOptions
from telecine.engine.parallel.layout import ParallelConfig, ParallelPlan
from telecine.engine.rollout import Rollout
from telecine.engine.text_encoders.tokenizer import Tokenizer
from telecine.engine.vae.layers import FeatCache

Feature = Literal["IMAGE_TO_VIDEO", "EDIT", "EXTEND", "AUDIO_TO_VIDEO"]
"""What a network can make a video from, beside a prompt: Model.Feature of the contract."""
SoundMode = Literal["JOINT", "POST_SYNC"]
"""How a model makes sound: along with the picture, or for the finished picture."""
_LIVE_TENSORS, _PROMPTS, _BFLOAT16_BYTES = 10, 2, 2
_LEAST_BYTES_PER_MEGAPIXEL = 60_000_000


@dataclass(frozen=True)
class EncoderRole:
    """One network of the chain that turns a prompt's tokens into conditioning.

    Attributes:
        name: its role in the Triton repository, such as `t5_encoder`.
        inputs: tensors that it reads, of the tokenizer (`input_ids`, `attention_mask`, both
            [B, L]) or of other roles; in the order of its forward's arguments.
        outputs: tensors that it gives, in the order in which its forward returns them.
        runtime: what runs it: ONNX Runtime or a TensorRT plan, or PyTorch.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    runtime: Literal["onnx", "torch"]


@dataclass(frozen=True)
class HeldPart:
    """How the processes of a model hold one part of its weights.

    Attributes:
        num_copies: processes that have it, each for itself.
        is_float32: whether it is in float32 on a GPU too.
    """

    num_copies: int = 1
    is_float32: bool = False


def pass_bytes_per_megapixel(*, width: int, pixels_per_token: int) -> int:
    """About what a guided pass in bfloat16 holds for each million pixels, beside the weights.

    Counted, not measured, and no less than frames and previews take: the tokens, their norm in
    float32, queries, keys and values, and what attention or the MLP makes of them, for both
    prompts.
    """
    tokens = 1_000_000 / pixels_per_token
    counted = int(_LIVE_TENSORS * _PROMPTS * _BFLOAT16_BYTES * width * tokens)
    return max(counted, _LEAST_BYTES_PER_MEGAPIXEL)


@dataclass(frozen=True)
class FamilyCard:
    """What a request may ask of a family's model, and what one that says nothing gets.

    Attributes:
        family: the family's name, such as `wan`.
        display_name: the model's name for a person.
        sizes: (width, height) in pixels, the default first.
        frames_multiple: frames of a video are this times k, plus one.
        fps: frames a second that the network was trained at.
        samplers: the names that `Family.sigmas` takes, the default first.
        max_prompt_tokens: tokens of a prompt that reach the network.
        chunk_latent_frames: latent frames that a REALTIME video is denoised by at a time; 0 where
            every video is made whole.
        audio_modes: how sound is made; none where the model is silent.
        is_sound_always_denoised: whether no picture is denoised without its sound, wanted or not.
        features: what a video can be made from beside a prompt.
        is_image_required: whether there is no video without a first frame.
        max_context_frames: frames of a source that the network goes on from at most, of the form
            frames_multiple x k + 1; 0 where it cannot.
        extend_guidance_scale: the default one of what goes on from a source; 0 for the same.
        guidance_floor: the noise level below which no picture, nor sound along with it, is guided.
        memory_bytes_per_megapixel: what a video takes beside the weights, for each million
            pixels of all its frames.
        attention_strategies: which frames can see which, over time.
        window_memory_bytes_per_megapixel: as memory_bytes_per_megapixel, of `window` attention; 0
            where it is the same.
        held_parts: how a model's processes hold parts of its weights, by their folders' names; one
            that is not named is held once, in bfloat16 on a GPU.
    """

    family: str
    display_name: str
    sizes: tuple[tuple[int, int], ...]
    frames_multiple: int
    max_num_frames: int
    default_num_frames: int
    fps: int
    samplers: tuple[str, ...]
    default_num_inference_steps: int
    default_guidance_scale: float
    default_negative_prompt: str
    max_prompt_tokens: int
    chunk_latent_frames: int = 0
    audio_modes: tuple[SoundMode, ...] = ()
    is_sound_always_denoised: bool = False
    features: tuple[Feature, ...] = ()
    is_image_required: bool = False
    max_context_frames: int = 0
    extend_guidance_scale: float = 0.0
    guidance_floor: float = 0.0
    memory_bytes_per_megapixel: int = _LEAST_BYTES_PER_MEGAPIXEL
    attention_strategies: tuple[AttentionKind, ...] = ("full",)
    window_memory_bytes_per_megapixel: int = 0
    held_parts: Mapping[str, HeldPart] = field(default_factory=dict)

    @property
    def is_made_from_pictures(self) -> bool:
        """Whether a video can be made from pictures: its first frame, say."""
        return bool({*self.features} - {"AUDIO_TO_VIDEO"})

    def laid_out(self, plan: ParallelPlan, parallel: ParallelConfig) -> Self:
        """What is left of it where the denoiser is shared by ranks so."""
        if plan.has_joint_sound(parallel):
            return self
        return replace(
            self,
            audio_modes=tuple(mode for mode in self.audio_modes if mode != "JOINT"),
            features=tuple(each for each in self.features if each != "AUDIO_TO_VIDEO"),
        )


class VideoVAE(Protocol):
    """Latents to frames."""

    def decode(self, latents: Tensor) -> Tensor:
        """[B, C, T', H', W'] -> [B, 3, T, H, W] in about [-1, 1], at once."""
        ...

    def decode_chunks(
        self, latents: Tensor, feat_cache: FeatCache | None = None
    ) -> Iterator[Tensor]:
        """The same chunk by chunk, [B, 3, t, H, W] each, in memory that stays flat.

        What `feat_cache` was left with by an earlier call is gone on from.
        """
        ...


class AudioEncoder(Protocol):
    """A waveform to latents of sound."""

    @property
    def sample_rate(self) -> int:
        """Samples a second of what it encodes."""
        ...

    @property
    def latent_samples(self) -> int:
        """Samples that a latent stands for."""
        ...

    def encode(self, waveform: Tensor) -> Tensor:
        """[B, 1, n] in [-1, 1], of whole latents -> latents as the denoiser reads them."""
        ...


class AudioDecoder(Protocol):
    """Latents of sound to a waveform."""

    @property
    def sample_rate(self) -> int:
        """Samples a second of what it decodes to."""
        ...

    def decode_chunks(self, audio_latents: Tensor) -> Iterator[Tensor]:
        """[B, C, T] or [B, C, T, M] -> [B, channels, n] in about [-1, 1], chunk by chunk."""
        ...


class AudioDenoiser(Protocol):
    """The network that makes sound for a finished picture."""

    def denoise(
        self,
        prompt: Conditioning,
        negative_prompt: Conditioning | None,
        *,
        latents: Tensor,
        config: SamplingConfig,
    ) -> Iterator[Tensor]:
        """Noise to sound, step by step; the same bits for the same seed.

        Args:
            prompt: what to steer towards, as the picture's denoiser reads it.
            negative_prompt: what to steer away from, by `config.guidance_scale`; None for nothing.
            latents: the finished picture's, [B, C, T, H, W].
            config: the picture's, with the `audio_latents_shape` that is due.

        Yields:
            audio_latents of that shape after each step; the last are the sound's.
        """
        ...


class ImageEncoder(Protocol):
    """Pictures to what the denoiser reads of them."""

    def encode(self, frames: Tensor, *, num_frames: int) -> Mapping[str, Tensor]:
        """Encode what a video of `num_frames` begins with, or all of it.

        Args:
            frames: [1, 3, T, H, W] in [-1, 1], T of the form frames_multiple x k + 1.
            num_frames: of the video that is made.

        Returns:
            `latents` [1, C, T', H', W'] of the frames, normalised as the denoiser reads them,
            and each of the family's `image_conditioning`, a batch of one, of the first frame.
        """
        ...


class Family(Protocol):
    """A weights folder, opened."""

    @property
    def card(self) -> FamilyCard:
        """Limits and defaults, of which `telecine models add` writes the model's card."""
        ...

    @property
    def networks(self) -> Mapping[str, Callable[[], nn.Module]]:
        """By the folder that holds its weights: builds what its config.json describes.

        Files are read when it is called, and no weights, so that a check can build it on torch's
        meta device.
        """
        ...

    @property
    def rollout(self) -> Rollout | None:
        """How a video is denoised chunk by chunk; None where the network cannot."""
        ...

    @property
    def parallel_plan(self) -> ParallelPlan:
        """How the denoiser can be shared by several ranks."""
        ...

    @property
    def encoder_roles(self) -> tuple[EncoderRole, ...]:
        """The networks behind the tokenizer, each after those whose outputs it reads."""
        ...

    @property
    def conditioning(self) -> tuple[str, ...]:
        """Names of the roles' and the tokenizer's outputs that the denoiser reads."""
        ...

    @property
    def image_conditioning(self) -> Mapping[str, int]:
        """What the denoiser reads of pictures beside their latents: names and dimensions.

        The dimensions are counted without the batch.
        """
        ...

    def sigmas(
        self, sampler: str, num_inference_steps: int, latents_shape: tuple[int, ...]
    ) -> tuple[float, ...]:
        """Noise levels from 1 to 0, one more than steps.

        Raises:
            ValueError: the family has no such sampler.
        """
        ...

    def latents_shape(
        self, *, num_frames: int, height: int, width: int
    ) -> tuple[int, int, int, int, int]:
        """[B, C, T, H, W] of the latents of one video, given in pixels."""
        ...

    def audio_latents_shape(self, *, num_frames: int, fps: int) -> tuple[int, ...] | None:
        """Shape of the latents of sound as long as the video; None where the model is silent."""
        ...

    def load_tokenizer(self) -> Tokenizer:
        """The tokenizer."""
        ...

    def load_encoder(self, role: str) -> nn.Module:
        """The network of one of `encoder_roles`, in eval mode, on the CPU.

        Raises:
            KeyError: there is no such role.
        """
        ...

    def load_denoiser(self, device: torch.device, options: LoadOptions = FULL) -> Denoiser:
        """The network of the denoising loop, its weights held as `options` say.

        Raises:
            ValueError: the files are not this network's, or the device cannot hold it so.
        """
        ...

    def load_vae(self, device: torch.device) -> VideoVAE:
        """The VAE."""
        ...

    def load_image_encoder(self, device: torch.device) -> ImageEncoder:
        """What encodes pictures; for families whose card has features."""
        ...

    def load_audio_encoder(self, device: torch.device) -> AudioEncoder:
        """What encodes sound; for families whose card has `AUDIO_TO_VIDEO`."""
        ...

    def load_audio_decoder(self, device: torch.device) -> AudioDecoder:
        """What decodes sound; for families whose card has audio modes."""
        ...

    def load_audio_denoiser(self, device: torch.device) -> AudioDenoiser:
        """What makes sound for a finished picture; for families whose card has `POST_SYNC`."""
        ...
