"""Picture files as people have them: turned, transparent, of other colours, broken, too large."""

import base64
import contextlib
import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageCms

from telecine.media.picture_file import MAX_ASPECT, MAX_PIXELS, read_picture

WIDTH, HEIGHT = 48, 32
RED, BLUE = (220, 30, 30), (30, 60, 230)
# 64x64, left half red, right half blue: no package here writes HEIC.
HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAVZtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAA"
    "AAAAAAAAAAAAACJpbG9jAAAAAERAAAEAAQAAAAABegABAAAAAAAAAC0AAAAjaWluZgAAAAAAAQAAABVpbmZlAgAA"
    "AAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA1mlwcnAAAAC3aXBjbwAAAHhodmNDAQNwAAAAkAAAAAAAHvAA/P34"
    "+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQArQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbqSSmu"
    "bgIaDAgAAAMAyAAAAwAIQGIAAQAHRAHBcrAiQAAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABAAAAA"
    "QAAAABBwaXhpAAAAAAMICAgAAAAXaXBtYQAAAAAAAAABAAEEgQIDBAAAADVtZGF0AAAAKSgBrwngITl1X//8gj//"
    "/GI3IfwKLFP/+JED7/FTd//39kQq4Gf/5k/w"
)


def half_red_half_blue() -> Image.Image:
    picture = Image.new("RGB", (WIDTH, HEIGHT), RED)
    picture.paste(BLUE, (WIDTH // 2, 0, WIDTH, HEIGHT))
    return picture


def encode(picture: Image.Image, file_format: str, **options: object) -> bytes:
    encoded = io.BytesIO()
    picture.save(encoded, file_format, **options)
    return encoded.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_claiming(width: int, height: int, *more: bytes) -> bytes:
    """A PNG of a few bytes whose header tells any size; `more` are chunks behind it."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    chunks = (chunk(b"IHDR", header), *more, pixels, chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def webp_claiming(width: int, height: int) -> bytes:
    """A lossless WebP of a few bytes whose header tells any size up to 16,384 pixels a side."""
    bits = (width - 1) | (height - 1) << 14
    pixels = b"\x2f" + struct.pack("<I", bits) + bytes(8)
    body = b"WEBPVP8L" + struct.pack("<I", len(pixels)) + pixels + b"\0"
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_every_kind_gives_its_pixels(file_format: str) -> None:
    frames = read_picture(encode(half_red_half_blue(), file_format, quality=95))
    assert frames.shape == (1, HEIGHT, WIDTH, 3)
    assert frames.dtype == np.uint8
    for column, colour in ((4, RED), (WIDTH - 4, BLUE)):
        assert np.abs(frames[0, HEIGHT // 2, column].astype(int) - colour).max() < 12


def test_heic_gives_its_pixels() -> None:
    frames = read_picture(HEIC)
    assert frames.shape == (1, 64, 64, 3)
    assert np.abs(frames[0, 32, 4].astype(int) - RED).max() < 12
    assert np.abs(frames[0, 32, 60].astype(int) - BLUE).max() < 12


def test_a_picture_is_turned_as_its_exif_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter to the right
    frames = read_picture(encode(half_red_half_blue(), "JPEG", quality=95, exif=exif))
    assert frames.shape == (1, WIDTH, HEIGHT, 3)
    top, bottom = frames[0, 4, HEIGHT // 2].astype(int), frames[0, -4, HEIGHT // 2].astype(int)
    assert np.abs(top - RED).max() < 12
    assert np.abs(bottom - BLUE).max() < 12


def tiff(*tags: tuple[int, int, int, bytes]) -> bytes:
    """EXIF of tags that are number, type, count and four bytes."""
    entries = b"".join(struct.pack(">HHI4s", *tag) for tag in tags)
    return b"Exif\0\0MM\0*" + struct.pack(">IH", 8, len(tags)) + entries + bytes(4)


TURNED = (0x0112, 3, 1, b"\0\6\0\0")


@pytest.mark.parametrize(
    "broken",
    [
        (0x0100, 6, 1, b"\xff\xff\xff\xff"),  # a width below zero
        (0x0100, 1, 1, bytes(4)),  # one of bytes
        (0x010F, 11, 1, bytes(4)),  # a maker that is a number
        (0x8769, 6, 1, b"\xff\xff\xff\xff"),  # a folder before the file
    ],
)
def test_exif_that_is_broken_elsewhere_turns_a_picture(broken: tuple[int, int, int, bytes]) -> None:
    data = encode(half_red_half_blue(), "JPEG", exif=tiff(TURNED, broken))
    assert read_picture(data).shape == (1, WIDTH, HEIGHT, 3)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0XX\0*", b"Exif\0\0MM\0*\xff", bytes(9)])
def test_exif_that_cannot_be_read_is_as_none(exif: bytes) -> None:
    data = encode(half_red_half_blue(), "JPEG", exif=exif)
    assert read_picture(data).shape == (1, HEIGHT, WIDTH, 3)


def transparent_with_alpha() -> Image.Image:
    return Image.new("RGBA", (WIDTH, HEIGHT), (*BLUE, 0))


def transparent_by_palette() -> Image.Image:
    picture = Image.new("P", (WIDTH, HEIGHT), 0)
    picture.putpalette([*BLUE] * 256)
    picture.info["transparency"] = 0
    return picture


@pytest.mark.parametrize("make", [transparent_with_alpha, transparent_by_palette])
def test_white_shows_through_what_is_transparent(make: Callable[[], Image.Image]) -> None:
    assert (read_picture(encode(make(), "PNG")) == 255).all()


def test_half_transparent_colours_are_mixed_with_white() -> None:
    frames = read_picture(encode(Image.new("RGBA", (8, 8), (0, 0, 0, 128)), "PNG"))
    assert np.abs(frames.astype(int) - 127).max() <= 1


def test_colours_of_another_space_become_srgb() -> None:
    # A profile whose red and green are swapped, as no picture without one is.
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    swapped = bytearray(profile)
    swapped[red : red + 4], swapped[green : green + 4] = b"gXYZ", b"rXYZ"
    picture = Image.new("RGB", (8, 8), (255, 0, 0))
    with_profile = read_picture(encode(picture, "PNG", icc_profile=bytes(swapped)))
    without = read_picture(encode(picture, "PNG"))
    assert np.abs(without[0, 0, 0].astype(int) - (255, 0, 0)).max() == 0
    assert np.abs(with_profile[0, 0, 0].astype(int) - (0, 255, 0)).max() < 12


def test_a_profile_that_is_broken_is_as_none() -> None:
    picture = Image.new("RGB", (8, 8), RED)
    frames = read_picture(encode(picture, "PNG", icc_profile=b"no profile at all"))
    assert frames[0, 0, 0].tolist() == list(RED)


@pytest.mark.parametrize(
    "mode", ["L", "LA", "CMYK", "1", "I;16"], ids=["gray", "gray+alpha", "cmyk", "bits", "16 bits"]
)
def test_every_mode_becomes_rgb(mode: str) -> None:
    if mode == "I;16":
        picture = Image.fromarray(np.full((8, 8), 0x80FF, np.uint16))
    else:
        picture = Image.new("L", (8, 8), 128).convert(mode)
    frames = read_picture(encode(picture, "JPEG" if mode == "CMYK" else "PNG"))
    assert frames.shape == (1, 8, 8, 3)
    if mode != "1":
        assert np.abs(frames.astype(int) - 128).max() <= 2


def test_of_a_moving_picture_the_first_is_taken() -> None:
    still, other = Image.new("RGB", (16, 16), RED), Image.new("RGB", (16, 16), BLUE)
    data = encode(still, "WEBP", save_all=True, append_images=[other], lossless=True)
    assert np.abs(read_picture(data)[0, 8, 8].astype(int) - RED).max() <= 2


def test_what_is_no_picture_is_refused() -> None:
    jpeg = encode(half_red_half_blue(), "JPEG")
    for data in (b"", b"not a picture", jpeg[: len(jpeg) // 2], jpeg[:20]):
        with pytest.raises(ValueError, match="not a picture that can be decoded") as refusal:
            read_picture(data)
        assert "0x" not in str(refusal.value)  # no address of our memory


def test_other_formats_are_refused() -> None:
    for file_format in ("GIF", "BMP", "TIFF", "PPM"):
        with pytest.raises(ValueError, match="not a picture that can be decoded"):
            read_picture(encode(half_red_half_blue(), file_format))


@pytest.mark.parametrize("size", [(40_000, 40_000), (9000, 9000), (MAX_PIXELS + 1, 1)])
def test_a_bomb_is_refused_before_it_is_decoded(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"more than {MAX_PIXELS} pixels"):
        read_picture(png_claiming(*size))


def test_a_bomb_of_webp_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(ValueError, match=f"more than {MAX_PIXELS} pixels"):
        read_picture(webp_claiming(16_384, 16_384))


@pytest.mark.parametrize("size", [(MAX_PIXELS, 1), (1, 65_535), (MAX_ASPECT * 40 + 1, 40)])
def test_a_strip_is_refused_before_it_is_decoded(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"more than {MAX_ASPECT} times the other"):
        read_picture(png_claiming(*size))


def test_a_picture_of_the_widest_aspect_is_read() -> None:
    frames = read_picture(encode(Image.new("RGB", (MAX_ASPECT * 4, 4), RED), "PNG"))
    assert frames.shape == (1, 4, MAX_ASPECT * 4, 3)


@pytest.mark.parametrize(
    ("kind", "head"), [(b"zTXt", b"a\0\0"), (b"iCCP", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0")]
)
def test_what_is_packed_beside_the_pixels_is_not_unpacked_without_end(
    kind: bytes, head: bytes
) -> None:
    packed = chunk(kind, head + zlib.compress(bytes(50_000_000)))
    tracemalloc.start()
    try:
        with contextlib.suppress(ValueError):
            read_picture(png_claiming(8, 8, packed))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 10_000_000


def test_files_with_changed_bytes_are_pictures_or_errors() -> None:
    generator = np.random.default_rng(3)
    made = [encode(half_red_half_blue(), each) for each in ("JPEG", "PNG", "WEBP", "AVIF")]
    for data in (*made, HEIC):
        for _ in range(40):
            broken = bytearray(data)
            broken[generator.integers(len(data))] ^= int(generator.integers(1, 256))
            try:
                frames = read_picture(bytes(broken))
            except ValueError:
                continue
            assert frames.ndim == 4
