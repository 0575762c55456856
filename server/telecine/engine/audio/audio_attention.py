"""Attention between sound and picture, placed in time."""

import torch
from torch import Tensor, nn

from telecine.engine.dit.attention import KeyValue, attend
from telecine.engine.dit.rotary import rotary_angles, rotate
from telecine.engine.linear import Linear


class TimedAttention(nn.Module):
    """Tokens of one kind look at those of another, each turned by the moment it is of."""

    def __init__(self, width: int, other_width: int, *, inner_width: int, num_heads: int) -> None:
        super().__init__()
        self.head_dim = inner_width // num_heads
        self.query = Linear(width, inner_width)
        self.key_value = Linear(other_width, 2 * inner_width)
        self.query_norm = nn.RMSNorm(self.head_dim, eps=1e-6)
        self.key_norm = nn.RMSNorm(self.head_dim, eps=1e-6)
        self.output = Linear(inner_width, width)

    def read(self, others: Tensor, rotary_emb: Tensor) -> KeyValue:
        """[B, M, E] with angles [M, head_dim/2] -> their keys and values."""
        heads = self.key_value(others).unflatten(-1, (2, -1, self.head_dim))
        key, value = heads.permute(2, 0, 3, 1, 4)
        return rotate(self.key_norm(key), rotary_emb), value

    def look(
        self, tokens: Tensor, others: KeyValue, rotary_emb: Tensor, allowed: Tensor | None
    ) -> Tensor:
        """[B, N, D] with angles [N, head_dim/2], what `read` gave, a mask [N, M] -> [B, N, D]."""
        query = self.query(tokens).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        return self.output(attend(rotate(self.query_norm(query), rotary_emb), *others, allowed))


class Moments:
    """When the tokens of a clip are, in frames of the picture, and who is near whom.

    Args:
        audio_frames: moments [A] of the sound's latents.
        video_frames: moments [T] of the picture's latent frames, of `num_places` tokens each.
        window_frames: how far apart two may be that see each other.
        head_dim: of the attentions.
    """

    def __init__(
        self,
        audio_frames: Tensor,
        video_frames: Tensor,
        *,
        num_places: int,
        window_frames: float,
        head_dim: int,
    ) -> None:
        of_tokens = video_frames.repeat_interleave(num_places)
        self.audio_rotary_emb = rotary_angles(audio_frames, head_dim)
        self.video_rotary_emb = rotary_angles(of_tokens, head_dim)
        self.audio_to_audio = _near(audio_frames, audio_frames, window_frames)
        self.audio_to_video = _near(audio_frames, of_tokens, window_frames)

    @property
    def video_to_audio(self) -> Tensor | None:
        """Who of the sound a token of the picture may look at."""
        return None if self.audio_to_video is None else self.audio_to_video.T


def audio_moments(
    count: int, *, latents_per_second: float, fps: int, device: torch.device
) -> Tensor:
    """Middles [A] of the sound's latents, in frames: frame k is shown from k to k + 1."""
    return (torch.arange(count, device=device) + 0.5) * (fps / latents_per_second)


def video_moments(latent_frames: int, temporal_scale: int, device: torch.device) -> Tensor:
    """Middles [T] of the latent frames, in frames: the first is of one, the others of several."""
    middles = torch.arange(latent_frames, device=device) * temporal_scale + (1 - temporal_scale / 2)
    return middles.clamp_min(0.5)


def _near(rows: Tensor, columns: Tensor, window_frames: float) -> Tensor | None:
    """[R], [C] -> [R, C] True for neighbours; None where all are."""
    near = (rows[:, None] - columns[None, :]).abs() <= window_frames
    return None if bool(near.all()) else near
