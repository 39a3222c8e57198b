"""Decoding one image file to pixels."""

import contextlib
import io
import warnings
import zlib
from functools import cache

import numpy as np
import pytest
from PIL import Image, ImageOps

from spaces.errors import DataError
from studies.images import decoding
from studies.images.decoding import ImageFormat, UnreadableImageError, decode_pixels, read_image
from tests.support.images import picture, write_image
from tests.support.kinds import encoded

SMALL = ImageFormat(8, 8, 3, "stretch")


def flat(mode: str, color: object) -> Image.Image:
    return Image.new(mode, (8, 8), color)


COLOUR = (10, 20, 30)
MODES = {
    "rgb": (encoded(flat("RGB", COLOUR)), COLOUR),
    "l": (encoded(flat("L", 77)), 77),
    "1": (encoded(flat("1", 1)), 255),
    "opaque": (encoded(flat("RGBA", (*COLOUR, 255))), COLOUR),
    "transparent": (encoded(flat("RGBA", (*COLOUR, 0))), 255),
    "la-transparent": (encoded(flat("LA", (77, 0))), 255),
    "la": (encoded(flat("LA", (77, 255))), 77),
    "palette": (encoded(flat("RGB", COLOUR).quantize(4)), COLOUR),
    "palette-transparent": (encoded(flat("RGB", COLOUR).quantize(4), transparency=0), 255),
    "key": (encoded(flat("RGB", COLOUR), transparency=COLOUR), 255),
    "16bit": (encoded(Image.fromarray(np.full((8, 8), 0x8000, np.uint16))), 128),
    "cmyk": (encoded(flat("CMYK", (0, 0, 0, 255)), "JPEG"), 0),
    "bmp": (encoded(flat("RGB", COLOUR), "BMP"), COLOUR),
    "webp": (encoded(flat("RGB", COLOUR), "WEBP", lossless=True), COLOUR),
    "animation": (encoded(flat("RGB", COLOUR), "GIF", save_all=True, append_images=[flat("RGB", 0)]), COLOUR),
}


@pytest.mark.parametrize(("content", "expected"), MODES.values(), ids=MODES)
def test_every_mode_becomes_colour(content, expected):
    """Grey, transparent (on white), palette, 16-bit and CMYK images become RGB from 0 to 255."""
    found = decode_pixels(content, SMALL)
    assert (found.shape, found.dtype) == ((8, 8, 3), np.uint8)
    assert np.abs(found.astype(int) - expected).max() <= 2


def test_colour_becomes_grey():
    """One channel holds the luminance."""
    found = decode_pixels(encoded(flat("RGB", (255, 0, 0))), SMALL._replace(channels=1))
    assert found.shape == (8, 8, 1)
    assert np.all(found == 76)


@pytest.mark.parametrize("side", [8, 400])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_rotated_photo_is_upright(orientation, side):
    """EXIF orientation is applied, even if JPEG is decoded at a fraction of its size."""
    shades = np.array([[0, 80, 160], [240, 120, 40]], np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(np.kron(shades, np.ones((side, side), np.uint8))), "JPEG", exif=exif, quality=95)
    upright = encoded(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))
    for resize in ("stretch", "crop", "pad"):
        found, expected = (decode_pixels(each, ImageFormat(16, 24, 1, resize)) for each in (content, upright))
        assert np.abs(found.astype(int) - expected).mean() < 3


def test_stretch_crop_and_pad_fill_the_format_differently():
    """A wide image with a white centre third and grey sides becomes a square."""
    wide = np.full((8, 24), 100, np.uint8)
    wide[:, 8:16] = 255
    content = encoded(Image.fromarray(wide))
    stretch, crop, pad = (
        decode_pixels(content, ImageFormat(24, 24, 1, how))[..., 0] for how in ("stretch", "crop", "pad")
    )
    assert (stretch[12, 2], crop[12, 2]) == (100, 255)
    assert (pad[:8].max(), pad[12, 2], pad[16:].max()) == (0, 100, 0)


def test_downscaling_does_not_alias():
    """A fine checkerboard becomes even grey rather than a coarse pattern."""
    board = np.indices((512, 512)).sum(axis=0) % 2 * 255
    for kind in ("PNG", "JPEG"):
        found = decode_pixels(encoded(Image.fromarray(board.astype(np.uint8)), kind), ImageFormat(20, 20, 1, "stretch"))
        assert np.abs(found.astype(int) - 127).max() < 12


def bomb() -> bytes:
    """Return the header of a PNG file of 30,000 x 30,000 pixels."""
    content = bytearray(encoded(flat("L", 0)))
    content[16:24] = (30_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


@cache
def huge(kind: str, size: tuple[int, int] | None = None, **options: object) -> bytes:
    """Return a small file that claims many pixels; a JPEG file contains fewer of them."""
    width, height = size or ((12_000, 9_000) if kind == "PNG" else (16_320, 12_240))
    if kind == "PNG":
        return encoded(Image.new("1", (width, height)))
    content = encoded(flat("L", 0), kind, **options)
    at = content.index(b"\xff\xc2" if options.get("progressive") else b"\xff\xc0") + 5
    return content[:at] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + content[at + 4 :]


@pytest.mark.parametrize(("width", "height"), [(12_000, 9_000), (9_000, 12_000), (16_320, 12_240)])
def test_a_huge_photo_is_decoded_at_a_fraction_of_its_size(width, height, tmp_path):
    """A JPEG file of 108 or 200 megapixels is read, without a warning, from 1/64 of its pixels."""
    small = picture(0, 9, 12)[..., 0]
    content = encoded(Image.fromarray(small).resize((width, height), Image.Resampling.NEAREST), "JPEG")
    (tmp_path / "photo.jpg").write_bytes(content)
    sizes = []
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("error")
        patch.setattr(decoding, "_to_mode", lambda image, mode: sizes.append(image.size) or image.convert(mode))
        found = decode_pixels(content, ImageFormat(72, 96, 1, "stretch"))[4::8, 4::8, 0]
        assert decoding.header_size(str(tmp_path / "photo.jpg")) == (width, height)
    assert np.abs(found.astype(int) - small).max() < 8
    assert sizes == [(width // 8, height // 8)]


def test_a_huge_photo_is_never_decoded_in_full():
    """For any size, it is decoded below the limit, but not below that size."""
    for side in (8, 500, 1_000, 2_048, 3_000, 4_096):
        image = decoding._open(io.BytesIO(huge("JPEG")))
        image.draft("L", decoding.draft_size(side, side))
        assert min(image.size) >= side
        assert image.width * image.height <= decoding.MAX_PIXELS


WHOLE = encoded(Image.fromarray(picture(0, 64, 64)), "JPEG")


UNUSABLE = {
    "empty": (b"", "empty"),
    "text": (b"hello, I am a text", "not a JPEG"),
    "truncated": (WHOLE[: len(WHOLE) // 2], "truncated"),
    "header": (WHOLE[:20], "damaged|not a JPEG|truncated"),
    "bomb": (bomb(), r"900,000,000 pixels exceed the limit of 89,478,485 .*decompression bomb\): make it smaller"),
    "png": (huge("PNG"), "12000 x 9000 pixels exceed the limit of 89,478,485 for PNG .*save it as JPEG"),
    "jpeg": (huge("JPEG", (20_000, 20_000)), "20000 x 20000 pixels exceed the limit of 268,435,456 for JPEG"),
    "progressive": (huge("JPEG", progressive=True), "16320 x 12240 .* 134,217,728 for a progressive JPEG"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "not a JPEG"),
    "tiff": (encoded(flat("RGB", 0), "TIFF"), "not a JPEG"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("content", "reason"), UNUSABLE.values(), ids=UNUSABLE)
def test_unusable_files_are_rejected_with_a_reason(content, reason):
    """Damaged, huge and foreign files raise one kind of error."""
    with pytest.raises(UnreadableImageError, match=reason):
        decode_pixels(content, SMALL)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_a_damaged_png_has_no_black_rows(mode):
    """A truncated PNG file, or one with a wrong byte among its pixels, is rejected as a whole."""
    content = encoded(Image.fromarray(picture(0, 40, 40)).convert(mode))
    decode_pixels(content, SMALL)
    start = content.index(b"IDAT") + 10
    for at in range(start, len(content) - 20, 101):
        for damaged in (content[:at], content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :]):
            with pytest.raises(UnreadableImageError):
                decode_pixels(damaged, SMALL)


@pytest.mark.filterwarnings("ignore")
def test_flipped_bytes_never_raise_another_error():
    """The result is an image or `UnreadableImageError`."""
    random = np.random.default_rng(0)
    image = Image.fromarray(picture(0, 24, 24))
    sources = [encoded(image.convert("P"), kind) for kind in ("PNG", "GIF", "BMP")]
    sources += [encoded(image, kind) for kind in ("JPEG", "WEBP")]
    for content in sources * 60:
        broken = bytearray(content)
        for place in random.integers(0, len(broken), 4):
            broken[place] = random.integers(0, 256)
        with contextlib.suppress(UnreadableImageError):
            assert decode_pixels(bytes(broken), SMALL).shape == (8, 8, 3)


def test_read_image_returns_the_requested_shape(tmp_path):
    """The name may contain spaces and any letters."""
    path = write_image(tmp_path / "with space ü.png", height=20, width=10)
    assert read_image(path, (6, 7, 3), "pad").shape == (6, 7, 3)
    assert np.array_equal(read_image(path, (20, 10, 3), "stretch"), picture(0, 20, 10))


@pytest.mark.parametrize("name", ["absent.png", "folder", "text.png", "a\nb.png", "nul\0.png"])
def test_read_image_names_unusable_files(tmp_path, name):
    """The message has the whole path and the reason, without line breaks."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(DataError, match=rf"^[^\n]*{tmp_path.name}[^\n]* cannot be read as an image: [^\n]*$"):
        read_image(tmp_path / name, (8, 8, 3), "stretch")
