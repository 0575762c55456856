"""What a transformer's config.json says."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class WanConfig:
    """Sizes of the transformer; the defaults are the 14B text-to-video model's.

    Attributes:
        image_dim: width of the CLIP features of a first image; None where there are none.
        added_kv_proj_dim: width of what is made of them for the cross attention.
        pos_embed_seq_len: positions of the features of a first and a last image.
    """

    num_attention_heads: int = 40
    attention_head_dim: int = 128
    in_channels: int = 16
    out_channels: int = 16
    text_dim: int = 4096
    freq_dim: int = 256
    ffn_dim: int = 13824
    num_layers: int = 40
    patch_size: tuple[int, int, int] = (1, 2, 2)
    cross_attn_norm: bool = True
    eps: float = 1e-6
    image_dim: int | None = None
    added_kv_proj_dim: int | None = None
    pos_embed_seq_len: int | None = None

    @property
    def width(self) -> int:
        """Channels of a token."""
        return self.num_attention_heads * self.attention_head_dim

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Read a config.json, leaving out what this network has no part for.

        Raises:
            ValueError: it describes another kind of network.
        """
        described = json.loads(path.read_text())
        qk_norm = described.get("qk_norm", "rms_norm_across_heads")
        if qk_norm != "rms_norm_across_heads":
            raise ValueError(f"{path}: qk_norm: {qk_norm!r} is not supported")
        names = {field.name for field in fields(cls)}
        known = {name: value for name, value in described.items() if name in names}
        known["patch_size"] = tuple(known.get("patch_size", cls.patch_size))
        known["out_channels"] = known.get("out_channels") or known["in_channels"]
        return cls(**known)
