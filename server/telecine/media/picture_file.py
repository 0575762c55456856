"""Picture files of strangers to pixels: upright, opaque, sRGB, within limits."""

import io
from typing import Any

import numpy as np
import pi_heif
from PIL import ExifTags, Image, ImageCms

from telecine.media.decoding_errors import reason_of
from telecine.media.transcoder import Frames

MAX_PIXELS = 16_000_000
MAX_ASPECT = 20
"""Longer side by shorter one: scaled to cover a video, a strip would take gigabytes."""
_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF")
_BACKDROP = (255, 255, 255)  # what shows through, as on a page
_HIGH_DEPTH_MODES = ("I;16", "I;16B", "I;16L", "I")
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by its EXIF orientation."""

pi_heif.register_heif_opener()
# Pillow's own limit warns before it refuses; ours is checked once the header is read.
Image.MAX_IMAGE_PIXELS = None


def read_picture(data: bytes) -> Frames:
    """Decodes a JPEG, PNG, WebP, AVIF or HEIC file; of a moving one the first picture.

    Returns:
        [1, H, W, 3]: turned as its EXIF says, over white where it is transparent, in sRGB.

    Raises:
        ValueError: it is none of these, cannot be decoded, has too many pixels, or is a strip.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
            width, height = opened.size
            if width * height > MAX_PIXELS:
                raise ValueError(f"{width}x{height} are more than {MAX_PIXELS} pixels")
            require_no_strip(width, height)
            opened.load()
            upright = _turn_upright(opened)
    except (OSError, SyntaxError, EOFError, RuntimeError, MemoryError) as error:
        raise ValueError(f"not a picture that can be decoded: {reason_of(error)}") from error
    return np.asarray(_to_rgb(upright), np.uint8)[None].copy()


def require_no_strip(width: int, height: int) -> None:
    """Refuse what would be huge once it is scaled to cover a video.

    Raises:
        ValueError: a side is more than MAX_ASPECT times as long as the other.
    """
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ValueError(f"{width}x{height}: a side is more than {MAX_ASPECT} times the other")


def _turn_upright(picture: Image.Image) -> Image.Image:
    """Turns it as its EXIF says; one that cannot be read is as none."""
    # Not exif_transpose, which writes all of the EXIF anew and fails at any tag of it.
    try:
        turn = _TURNS.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # the parser names no errors
        turn = None
    return picture.copy() if turn is None else picture.transpose(turn)


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode in _HIGH_DEPTH_MODES:
        picture = Image.fromarray((np.asarray(picture).astype(np.uint32) >> 8).astype(np.uint8))
    if not picture.has_transparency_data:
        return _to_srgb(picture, picture.info.get("icc_profile"))
    rgba = picture.convert("RGBA")
    flattened = Image.new("RGB", picture.size, _BACKDROP)
    flattened.paste(
        _to_srgb(rgba.convert("RGB"), picture.info.get("icc_profile")), mask=rgba.getchannel("A")
    )
    return flattened


def _to_srgb(picture: Image.Image, icc_profile: Any) -> Image.Image:
    """Colours by the picture's profile; one that cannot be used is as none."""
    if icc_profile and picture.mode in {"RGB", "CMYK", "L"}:
        try:
            converted = ImageCms.profileToProfile(
                picture,
                ImageCms.ImageCmsProfile(io.BytesIO(icc_profile)),
                ImageCms.createProfile("sRGB"),
                outputMode="RGB",
            )
        except (ImageCms.PyCMSError, OSError, ValueError):
            converted = None
        if converted is not None:
            return converted
    return picture.convert("RGB")
