"""The causal layers of the VAE, each of which can run chunk by chunk in time.

Every layer that looks into the past takes a `FeatCache` and leaves in it what the
next chunk will need. A fresh cache starts a clip; without a cache the whole clip
is one chunk, and both ways give the same numbers.
"""

from collections.abc import Iterable
from typing import Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn import functional


class FeatCache:
    """What the causal layers remember between two chunks of one clip.

    Layers claim their slots in the order in which they run, which is the same for
    every chunk.
    """

    def __init__(self) -> None:
        self._slots: list[Tensor] = []
        self._next = 0

    @property
    def is_empty(self) -> bool:
        """Whether no chunk has passed yet."""
        return not self._slots

    @property
    def slots(self) -> tuple[Tensor, ...]:
        """All that is remembered, in the layers' order."""
        return tuple(self._slots)

    def replace(self, slots: Iterable[Tensor]) -> None:
        """Remember `slots` alone, from a network that keeps its features itself."""
        # One layout, so that what comes back from bytes is computed with in the same way.
        self._slots = [slot.contiguous() for slot in slots]

    def begin_chunk(self) -> None:
        """Rewind to the first layer's slot."""
        self._next = 0

    def past(self) -> Tensor | None:
        """What this layer remembered of the chunk before, None at a clip's start."""
        return self._slots[self._next] if self._next < len(self._slots) else None

    def remember(self, value: Tensor) -> None:
        """Store what this layer needs for the next chunk and move on to the next layer."""
        if self._next < len(self._slots):
            # In place: blocks of its own each time would leave holes in the heap.
            self._slots[self._next].copy_(value)
        else:
            self._slots.append(value.clone())
        self._next += 1

    def to_bytes(self) -> bytes:
        """Serialise, so that another process can go on with the clip."""
        return save({f"{index:03d}": slot.cpu() for index, slot in enumerate(self._slots)})

    @classmethod
    def from_bytes(cls, data: bytes, device: torch.device) -> Self:
        """Undo `to_bytes`.

        Raises:
            ValueError: the bytes are not a whole cache.
        """
        feat_cache = cls()
        try:
            slots = load(data)
        except SafetensorError as error:
            raise ValueError(f"feat_cache: not a feature cache: {error}") from error
        feat_cache._slots = [slots[name].to(device) for name in sorted(slots)]
        return feat_cache


class SpatialConv(nn.Module):
    """A 3x3 convolution within each frame, its filters kept as one matrix."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        bound = (in_channels * 9) ** -0.5
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels * 9))
        nn.init.uniform_(self.weight, -bound, bound)
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, frames: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, D, H, W]."""
        if _must_not_depend_on_batch(frames):
            columns = functional.unfold(frames, 3, padding=1)
            hidden = self.weight @ columns + self.bias[:, None]
            return hidden.unflatten(2, frames.shape[2:])
        weight = self.weight.view(len(self.bias), -1, 3, 3)
        return functional.conv2d(frames, weight, self.bias, padding=1)


class PixelLinear(nn.Linear):
    """A linear layer over the channels of every pixel."""

    def forward(self, frames: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, D, H, W]."""
        if _must_not_depend_on_batch(frames):
            hidden = self.weight @ frames.flatten(2) + self.bias[:, None]
            return hidden.unflatten(2, frames.shape[2:])
        return functional.conv2d(frames, self.weight[:, :, None, None], self.bias)


class PixelNorm(nn.Module):
    """RMSNorm over the channels of every pixel: blind to other frames, so causal."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, frames: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H, W]."""
        scale = torch.rsqrt(frames.float().square().mean(1, keepdim=True) + 1e-6)
        return frames * scale.to(frames.dtype) * self.weight[:, None, None]


class CausalBlock(nn.Module):
    """A residual block: 3x3 in space, then three taps in time, none in the future."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm_space = PixelNorm(channels)
        self.space = SpatialConv(channels, channels)
        self.norm_time = PixelNorm(channels)
        self.time = PixelLinear(3 * channels, channels)
        nn.init.zeros_(self.time.weight)

    def forward(self, frames: Tensor, batch_size: int, feat_cache: FeatCache | None) -> Tensor:
        """[B*T, C, H, W] -> [B*T, C, H, W], the frames of one clip side by side."""
        hidden = self.space(functional.silu(self.norm_space(frames)))
        hidden = functional.silu(self.norm_time(hidden))
        hidden = self.time(_with_past(hidden, batch_size, feat_cache))
        return frames + hidden


class DownSample(nn.Module):
    """Joins neighbouring pixels, or frames, or both, into channels.

    In time frame 0 stands alone and every later pair (2k-1, 2k) becomes one frame.
    """

    def __init__(self, in_channels: int, out_channels: int, space: int, time: int) -> None:
        super().__init__()
        self.space, self.time = space, time
        self.linear = PixelLinear(in_channels * space * space * time, out_channels)

    def forward(self, frames: Tensor, batch_size: int) -> Tensor:
        """[B*T, C, H, W] -> [B*T', D, H', W']."""
        if self.space > 1:
            frames = functional.pixel_unshuffle(frames, self.space)
        if self.time > 1:
            clip = frames.unflatten(0, (batch_size, -1))
            clip = torch.cat((clip[:, :1], clip), 1).unflatten(1, (-1, 2))
            frames = clip.flatten(2, 3).flatten(0, 1)
        hidden: Tensor = self.linear(frames)
        return hidden


class UpSample(nn.Module):
    """Mirrors `DownSample`: channels become pixels, or frames, or both."""

    def __init__(self, in_channels: int, out_channels: int, space: int, time: int) -> None:
        super().__init__()
        self.space, self.time = space, time
        self.linear = PixelLinear(in_channels, out_channels * space * space * time)

    def forward(self, frames: Tensor, batch_size: int, *, is_first_chunk: bool) -> Tensor:
        """[B*T, C, H, W] -> [B*T', D, H', W']; the first frame of a clip becomes one frame."""
        frames = self.linear(frames)
        if self.time > 1:
            clip = frames.unflatten(1, (self.time, -1)).flatten(0, 1)
            if is_first_chunk:
                clip = clip.unflatten(0, (batch_size, -1))[:, 1:].flatten(0, 1)
            frames = clip
        if self.space > 1:
            frames = functional.pixel_shuffle(frames, self.space)
        return frames


def _must_not_depend_on_batch(frames: Tensor) -> bool:
    # oneDNN's convolutions round differently for another number of frames; matmul does not.
    # Streaming and whole decode must agree to the last bit; training, in bfloat16, need not.
    return frames.device.type == "cpu" and not torch.is_autocast_enabled("cpu")


def _with_past(frames: Tensor, batch_size: int, feat_cache: FeatCache | None) -> Tensor:
    """Lay the two frames before each frame beside it: [B*T, C, H, W] -> [B*T, 3C, H, W]."""
    clip = frames.unflatten(0, (batch_size, -1))
    past = feat_cache.past() if feat_cache is not None else None
    if past is None:
        past = torch.zeros_like(clip[:, :1]).expand(-1, 2, -1, -1, -1)
    seen = torch.cat((past, clip), 1)
    if feat_cache is not None:
        feat_cache.remember(seen[:, -2:])
    length = clip.shape[1]
    return torch.cat((seen[:, :length], seen[:, 1 : length + 1], clip), 2).flatten(0, 1)
