"""What the published models take, by the width of their transformer."""

from typing import NamedTuple

_LANDSCAPE_480P, _LANDSCAPE_720P = (832, 480), (1280, 720)
_DEFAULT_NEGATIVE_PROMPT = (
    "overexposed, static, blurred details, subtitles, painting, still picture, grayish, "
    "worst quality, low quality, JPEG artifacts, ugly, mutilated, extra fingers, badly drawn "
    "hands, badly drawn face, deformed, fused fingers, cluttered background, three legs, "
    "walking backwards"
)


class WanLimits(NamedTuple):
    """Limits and defaults of one published model."""

    display_name: str
    sizes: tuple[tuple[int, int], ...]
    max_num_frames: int
    fps: int
    num_inference_steps: int
    guidance_scale: float
    default_negative_prompt: str = _DEFAULT_NEGATIVE_PROMPT


def limits_of(width: int, *, is_2_2: bool, is_image_required: bool) -> WanLimits:
    """Return those of a transformer's width; one that no published model has is taken as small."""
    kind = "I2V" if is_image_required else "T2V"
    if width == 3072:
        sizes = _both_ways((1280, 704))
        return WanLimits("Wan2.2 TI2V 5B", sizes, 121, 24, 50, 5.0)
    if width == 5120:
        sizes = _both_ways(_LANDSCAPE_480P, _LANDSCAPE_720P)
        if is_2_2:
            guidance_scale = 3.5 if is_image_required else 4.0
            return WanLimits(f"Wan2.2 {kind} A14B", sizes, 81, 16, 40, guidance_scale)
        return WanLimits(f"Wan2.1 {kind} 14B", sizes, 81, 16, 50, 5.0)
    name = f"Wan2.1 {kind} 1.3B" if width == 1536 else f"Wan {kind}, {width} wide"
    return WanLimits(name, _both_ways(_LANDSCAPE_480P), 81, 16, 50, 5.0)


def _both_ways(*sizes: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    return (*sizes, *((height, width) for width, height in sizes))
