"""Plain JPEG files, decoded without Pillow's header parsing."""

import io

import numpy as np
import pytest
from PIL import Image

from studies.images.decoding import ImageFormat, UnreadableImageError, decode_pixels
from studies.images.jpeg import decode_plain_jpeg
from tests.support.images import picture
from tests.support.kinds import encoded

MAX_SIZE = (64, 64)


def jpeg(height: int = 24, width: int = 17, mode: str = "RGB", **options: object) -> bytes:
    return encoded(Image.fromarray(picture(5, height, width)).convert(mode), "JPEG", **options)


@pytest.mark.parametrize("wanted", ["RGB", "L"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    "options",
    [
        {"quality": 30},
        {"quality": 100, "subsampling": 0},
        {"subsampling": 2, "progressive": True},
        {"optimize": True, "comment": b"a comment", "dpi": (300, 300)},
        {"restart_marker_rows": 1},
    ],
    ids=str,
)
def test_the_pixels_are_those_of_pillow(options, mode, wanted):
    """They are equal bit for bit, for every kind of file."""
    content = jpeg(mode=mode, **options)
    image = decode_plain_jpeg(content, wanted, MAX_SIZE)
    assert image.mode == wanted
    with Image.open(io.BytesIO(content)) as expected:
        expected.draft(wanted, expected.size)
        assert np.array_equal(image, expected.convert(wanted))


def test_other_files_are_left_to_pillow():
    """Rotated, profiled, CMYK and large images, files that are no JPEG, and files truncated anywhere."""
    exif = Image.Exif()
    exif[0x0112] = 6
    content, png = jpeg(), encoded(Image.new("RGB", (8, 8)))
    left = [jpeg(exif=exif), jpeg(icc_profile=b"profile"), jpeg(mode="CMYK"), jpeg(height=65), png, b""]
    left += [content[:length] for length in range(len(content) - 2)]
    assert not any(decode_plain_jpeg(each, "RGB", MAX_SIZE) for each in left)
    with pytest.raises(UnreadableImageError, match="truncated"):
        decode_pixels(content[:-100], ImageFormat(24, 17, 3, "stretch"))


def test_damaged_headers_never_crash():
    """With any wrong byte in the header, the result is an image within the limit or None."""
    content = jpeg(height=8, width=8)
    for at in range(2, content.index(b"\xff\xda")):
        for value in (0, 0x7F, 0xFF):
            damaged = content[:at] + bytes([value]) + content[at + 1 :]
            image = decode_plain_jpeg(damaged, "RGB", MAX_SIZE)
            assert image is None or (image.mode == "RGB" and image.width <= 64 and image.height <= 64)
