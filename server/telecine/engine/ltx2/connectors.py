"""From the text encoder's layers to what each modality reads: features, then a small transformer.

The two are loaded by different roles: between them a prompt is narrow, while all layers of the
text encoder together are fifty times as wide.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self, TypeVar

import torch
from torch import Tensor, nn

from telecine.engine.linear import Linear
from telecine.engine.ltx2.config import RopeType
from telecine.engine.ltx2.layers import Attention, FeedForward, rms_norm
from telecine.engine.ltx2.rotary import RotaryOptions, RotaryTable, rotary_table
from telecine.engine.offload.weights_files import WeightsFiles

Part = TypeVar("Part", bound=nn.Module)

_EPS = 1e-6
_RANGE = 8.0
"""Features are scaled to this range, which the weights were trained with."""


@dataclass(frozen=True)
class ConnectorsConfig:
    """Names and defaults are those of connectors/config.json."""

    caption_channels: int = 3840
    text_proj_in_factor: int = 49
    video_connector_num_attention_heads: int = 30
    video_connector_attention_head_dim: int = 128
    video_connector_num_layers: int = 2
    video_connector_num_learnable_registers: int = 128
    video_gated_attn: bool = False
    audio_connector_num_attention_heads: int = 30
    audio_connector_attention_head_dim: int = 128
    audio_connector_num_layers: int = 2
    audio_connector_num_learnable_registers: int = 128
    audio_gated_attn: bool = False
    connector_rope_base_seq_len: int = 4096
    rope_theta: float = 10000.0
    rope_double_precision: bool = True
    rope_type: RopeType = "interleaved"
    per_modality_projections: bool = False
    video_hidden_dim: int = 4096
    audio_hidden_dim: int = 2048
    proj_bias: bool = False

    @classmethod
    def from_json(cls, described: Mapping[str, Any]) -> Self:
        """Read what config.json says.

        Raises:
            ValueError: a connector has no registers, which all of LTX-2 have.
        """
        known = {field.name for field in fields(cls)}
        config = cls(**{name: value for name, value in described.items() if name in known})
        for name in ("video", "audio"):
            if getattr(config, f"{name}_connector_num_learnable_registers") is None:
                raise ValueError(f"connectors/config.json: {name} needs learnable registers")
        return config


class TextFeatures(nn.Module):
    """All layers of the text encoder -> one feature a token, for each modality."""

    def __init__(self, config: ConnectorsConfig) -> None:
        super().__init__()
        self.config = config
        width = config.caption_channels * config.text_proj_in_factor
        if config.per_modality_projections:
            self.video_text_proj_in = Linear(width, config.video_hidden_dim, bias=config.proj_bias)
            self.audio_text_proj_in = Linear(width, config.audio_hidden_dim, bias=config.proj_bias)
        else:
            self.text_proj_in = Linear(width, config.caption_channels, bias=config.proj_bias)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """[B, L, C, layers] and [B, L] -> the picture's and the sound's, [B, L, D] each."""
        if not self.config.per_modality_projections:
            features = self.text_proj_in(_ranged(hidden_states, attention_mask))
            return features, features
        variance = hidden_states.square().mean(2, keepdim=True)
        normed = (hidden_states * torch.rsqrt(variance + _EPS)).flatten(2)
        normed = normed * attention_mask[..., None]
        channels = self.config.caption_channels
        video_scale = math.sqrt(self.config.video_hidden_dim / channels)
        audio_scale = math.sqrt(self.config.audio_hidden_dim / channels)
        return (
            self.video_text_proj_in(normed * video_scale),
            self.audio_text_proj_in(normed * audio_scale),
        )


def _ranged(hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
    """Each layer less its mean, over its range: of the prompt's own tokens alone."""
    is_padding = attention_mask[..., None, None] == 0
    num_values = attention_mask.sum(1) * hidden_states.shape[2]
    total = hidden_states.masked_fill(is_padding, 0.0).sum((1, 2), keepdim=True)
    mean = total / (num_values[:, None, None, None] + _EPS)
    lowest = hidden_states.masked_fill(is_padding, math.inf).amin((1, 2), keepdim=True)
    highest = hidden_states.masked_fill(is_padding, -math.inf).amax((1, 2), keepdim=True)
    ranged = (hidden_states - mean) / (highest - lowest + _EPS) * _RANGE
    return ranged.masked_fill(is_padding, 0.0).flatten(2)


class Connectors(nn.Module):
    """Both modalities' connectors."""

    def __init__(self, config: ConnectorsConfig) -> None:
        super().__init__()
        self.video_connector = _Connector(config, "video")
        self.audio_connector = _Connector(config, "audio")

    def forward(
        self, video_text_features: Tensor, audio_text_features: Tensor, attention_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """[B, L, D], [B, L, E] and [B, L] -> prompt_embeds and audio_prompt_embeds, float32."""
        return (
            self.video_connector(video_text_features, attention_mask).float(),
            self.audio_connector(audio_text_features, attention_mask).float(),
        )


def build_connectors(config: ConnectorsConfig) -> nn.Module:
    """All that connectors/ holds weights of, both roles' parts."""
    whole = nn.Module()
    for part in (TextFeatures(config), Connectors(config)):
        for name, child in part.named_children():
            whole.add_module(name, child)
    return whole


def load_connectors(
    part: Callable[[ConnectorsConfig], Part], config: ConnectorsConfig, folder: Path
) -> Part:
    """Load one role's part of connectors/, in the files' dtype.

    Raises:
        FileNotFoundError: there are no weights.
        ValueError: a file is broken.
    """
    files = WeightsFiles(folder)
    with torch.device("meta"):
        network = part(config)
    network.load_state_dict(
        {name: files.tensor(name) for name in network.state_dict()}, assign=True
    )
    return network.eval().requires_grad_(requires_grad=False)


class _Connector(nn.Module):
    """Puts learned registers where the prompt has no token, and lets all of them attend."""

    def __init__(self, config: ConnectorsConfig, modality: str) -> None:
        super().__init__()

        def of(name: str) -> int:
            value: int = getattr(config, f"{modality}_{name}")
            return value

        heads = of("connector_num_attention_heads"), of("connector_attention_head_dim")
        self._width, self._num_heads = heads[0] * heads[1], heads[0]
        self._base_length = config.connector_rope_base_seq_len
        self._options = RotaryOptions(
            config.rope_theta, config.rope_double_precision, config.rope_type
        )
        self.learnable_registers = nn.Parameter(
            torch.zeros(of("connector_num_learnable_registers"), self._width)
        )
        self.transformer_blocks = nn.ModuleList(
            _ConnectorBlock(self._width, heads, is_gated=bool(of("gated_attn")))
            for _ in range(of("connector_num_layers"))
        )

    def forward(self, features: Tensor, attention_mask: Tensor) -> Tensor:
        features = features.to(self.learnable_registers.dtype)
        hidden = self._with_registers(features, attention_mask)
        length = torch.arange(features.shape[1], dtype=torch.float32, device=features.device)
        rotary = rotary_table(
            self._options, length[:, None] / self._base_length, self._width, self._num_heads
        )
        for block in self.transformer_blocks:
            hidden = block(hidden, rotary)
        return rms_norm(hidden, _EPS)

    def _with_registers(self, features: Tensor, attention_mask: Tensor) -> Tensor:
        """The prompt's tokens in front, and registers, each in its own place, behind."""
        length, num_registers = features.shape[1], len(self.learnable_registers)
        if length % num_registers:
            raise ValueError(f"connectors: {length} tokens are no multiple of {num_registers}")
        order = torch.argsort(attention_mask, dim=1, descending=True, stable=True)
        front = torch.gather(features, 1, order[..., None].expand_as(features))
        places = torch.arange(length, device=features.device)
        is_token = places < attention_mask.sum(1, keepdim=True)
        registers = self.learnable_registers.repeat(length // num_registers, 1)
        return torch.where(is_token[..., None], front, registers)


class _ConnectorBlock(nn.Module):
    def __init__(self, width: int, heads: tuple[int, int], *, is_gated: bool) -> None:
        super().__init__()
        self.attn1 = Attention(width, width, heads, is_gated=is_gated)
        self.ff = FeedForward(width)

    def forward(self, hidden: Tensor, rotary: RotaryTable) -> Tensor:
        normed = rms_norm(hidden, _EPS)
        context = self.attn1.keys_values(normed, rotary)
        hidden = hidden + self.attn1(normed, context, rotary)
        return hidden + self.ff(rms_norm(hidden, _EPS))
