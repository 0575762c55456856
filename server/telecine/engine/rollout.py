"""A causal rollout: a video denoised chunk by chunk, each knowing those before it.

The first frames are done, and can be shown, while later ones are still noise (Yin et al.
2025, "From slow bidirectional to fast autoregressive video diffusion models"). What a chunk
sees of its past is a function of the latents alone, so a rollout resumes from its latents
like any other job.
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Rollout:
    """How a video is cut into chunks, in latent frames.

    Attributes:
        chunk_frames: frames denoised together.
        context_frames: finished frames that a chunk sees, so that cost does not grow with
            the video's length.
    """

    chunk_frames: int
    context_frames: int


@dataclass(frozen=True)
class Chunk:
    """A run of latent frames, and the steps of the job that denoise it."""

    first_frame: int
    end_frame: int
    context_start: int
    first_step: int
    end_step: int

    def of(self, latents: Tensor) -> Tensor:
        """The chunk's frames of latents [B, C, T, H, W]."""
        return latents[:, :, self.first_frame : self.end_frame]

    def context_of(self, latents: Tensor) -> Tensor:
        """The finished frames [B, C, T, H, W] that the chunk sees."""
        return latents[:, :, self.context_start : self.first_frame]


@dataclass(frozen=True)
class Span:
    """The latent frames of a video, the first `given_frames` of which are there already."""

    latent_frames: int
    given_frames: int = 0


def num_chunks(rollout: Rollout | None, span: Span) -> int:
    """Returns how many chunks a video is denoised in: one without a rollout."""
    if rollout is None:
        return 1
    return -(-(span.latent_frames - span.given_frames) // rollout.chunk_frames)


def chunk_at(
    rollout: Rollout | None, span: Span, *, step_index: int, num_inference_steps: int
) -> Chunk:
    """Returns the chunk that is denoised after `step_index` steps."""
    if rollout is None:
        return Chunk(0, span.latent_frames, 0, 0, num_inference_steps)
    index = min(step_index // num_inference_steps, num_chunks(rollout, span) - 1)
    first_frame = span.given_frames + index * rollout.chunk_frames
    return Chunk(
        first_frame=first_frame,
        end_frame=min(first_frame + rollout.chunk_frames, span.latent_frames),
        context_start=max(0, first_frame - rollout.context_frames),
        first_step=index * num_inference_steps,
        end_step=(index + 1) * num_inference_steps,
    )
