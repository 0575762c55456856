"""Sizes of the LTX-2 transformer, as a folder's transformer/config.json gives them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self

RopeType = Literal["interleaved", "split"]
"""Which two values of a head rotate together: neighbours, or those half a head apart."""

_FIXED: dict[str, Any] = {
    "patch_size": 1,
    "patch_size_t": 1,
    "audio_patch_size": 1,
    "audio_patch_size_t": 1,
    "activation_fn": "gelu-approximate",
    "qk_norm": "rms_norm_across_heads",
    "norm_elementwise_affine": False,
    "attention_bias": True,
    "attention_out_bias": True,
    "use_keyframes_abs_pos_embedding": False,
}
"""Options that no folder of LTX-2.0 or 2.3 sets otherwise, and that the engine does not have."""


@dataclass(frozen=True)
class LTX2Config:
    """Names and defaults are config.json's own; those of the sound begin with `audio_`."""

    in_channels: int = 128
    out_channels: int = 128
    num_attention_heads: int = 32
    attention_head_dim: int = 128
    cross_attention_dim: int = 4096
    vae_scale_factors: tuple[int, int, int] = (8, 32, 32)
    pos_embed_max_pos: int = 20
    base_height: int = 2048
    base_width: int = 2048
    gated_attn: bool = False
    cross_attn_mod: bool = False
    audio_in_channels: int = 128
    audio_out_channels: int = 128
    audio_num_attention_heads: int = 32
    audio_attention_head_dim: int = 64
    audio_cross_attention_dim: int = 2048
    audio_scale_factor: int = 4
    audio_pos_embed_max_pos: int = 20
    audio_sampling_rate: int = 16000
    audio_hop_length: int = 160
    audio_gated_attn: bool = False
    audio_cross_attn_mod: bool = False
    num_layers: int = 48
    norm_eps: float = 1e-6
    caption_channels: int = 3840
    rope_theta: float = 10000.0
    rope_double_precision: bool = True
    causal_offset: int = 1
    timestep_scale_multiplier: int = 1000
    cross_attn_timestep_scale_multiplier: int = 1000
    rope_type: RopeType = "interleaved"
    use_prompt_embeddings: bool = True
    perturbed_attn: bool = False
    ff_bias: bool = True
    audio_ff_bias: bool = True
    use_prompt_adaln_single: bool = True

    @classmethod
    def from_json(cls, described: Mapping[str, Any]) -> Self:
        """Read what config.json says.

        Raises:
            ValueError: it asks for what this engine does not have.
        """
        for name, value in _FIXED.items():
            if described.get(name, value) != value:
                raise ValueError(f"transformer/config.json: {name} must be {value!r}")
        known = {field.name for field in fields(cls)}
        values = {name: value for name, value in described.items() if name in known}
        if "vae_scale_factors" in values:
            values["vae_scale_factors"] = tuple(values["vae_scale_factors"])
        return cls(**values)

    @property
    def width(self) -> int:
        """Values of a video token."""
        return self.num_attention_heads * self.attention_head_dim

    @property
    def audio_width(self) -> int:
        """Values of an audio token."""
        return self.audio_num_attention_heads * self.audio_attention_head_dim

    @property
    def num_block_parameters(self) -> int:
        """Shifts, scales and gates of a block: the attention to the text may have its own."""
        return 9 if self.cross_attn_mod else 6

    @property
    def num_audio_block_parameters(self) -> int:
        """The same for the sound."""
        return 9 if self.audio_cross_attn_mod else 6

    @property
    def has_text_modulation(self) -> bool:
        """Whether keys and values of the text are scaled and shifted, block by block."""
        return self.cross_attn_mod or self.audio_cross_attn_mod

    @property
    def is_text_timed(self) -> bool:
        """Whether keys and values of the text change with the noise level."""
        return self.has_text_modulation and self.use_prompt_adaln_single
