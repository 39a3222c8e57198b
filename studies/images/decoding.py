"""Decode one image file of any mode and size to pixels."""

import hashlib
import io
import os
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from spaces.errors import DataError
from studies.images.jpeg import decode_plain_jpeg
from studies.images.messages import os_reason, printable_path

EXTENSIONS = frozenset((".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".webp"))
FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "WEBP")
"""Formats that Pillow may detect in a file, whatever its name; its other readers are rarely needed."""

MAX_PIXELS = 89_478_485
"""Pillow's own limit, a quarter of a gigabyte of RGB; larger images are never decoded."""

MAX_JPEG_PIXELS, MAX_PROGRESSIVE_PIXELS = 2**28, 2**27
"""Limits for JPEG files, which are decoded at a fraction of their size: phone cameras reach 200 megapixels. A
progressive file is held in memory as a whole, with up to six bytes per pixel."""

MAX_DRAFT_SIDE = 4096
"""Largest side that a JPEG file is decoded to, so that it stays below `MAX_PIXELS`."""

_JPEG_START = b"\xff\xd8\xff"
_MAX_BYTES = 2**29
_FILTER = Image.Resampling.BILINEAR
_METADATA = ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")
_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Pillow raises many kinds of errors for damaged files.
_DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError, ArithmeticError, AttributeError),
    *(MemoryError, RuntimeError, AssertionError, struct.error, zlib.error, Image.DecompressionBombError),
)


class ImageFormat(NamedTuple):
    """Format that images are converted to: size in pixels, 1 or 3 channels, and `stretch`, `crop` or `pad`."""

    height: int
    width: int
    channels: int
    resize: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return self.height, self.width, self.channels

    @property
    def bytes(self) -> int:
        """Size of one image in bytes."""
        return self.height * self.width * self.channels


class UnreadableImageError(Exception):
    """A file cannot be used as an image; the message is the reason in a few words."""


def read_image(path: Path, image_shape: tuple[int, int, int], resize: str = "stretch") -> np.ndarray:
    """Read one image in the format that a model expects.

    Args:
        path: Path of a JPEG, PNG, BMP, GIF or WebP file.
        image_shape: (height, width, channels), with 1 or 3 channels.
        resize: `stretch` ignores the aspect ratio, `crop` cuts out the centre, `pad` adds black bars.

    Returns:
        (height, width, channels) uint8.

    Raises:
        DataError: The file is missing or is not an image.
    """
    try:
        with quiet_pillow():
            return decode_pixels(read_bytes(os.fspath(path)), ImageFormat(*image_shape, resize))
    except UnreadableImageError as error:
        raise DataError(f"{printable_path(str(Path(path).absolute()))} cannot be read as an image: {error}") from error


def read_bytes(path: str) -> bytes:
    """Return the content of a file. Raises `UnreadableImageError`."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a Path costs as much as reading a small file
            size = os.fstat(file.fileno()).st_size
            if size > _MAX_BYTES:
                raise UnreadableImageError(f"{size / 2**30:.1f} GiB is too large for an image")
            return file.read()
    except IsADirectoryError as error:
        raise UnreadableImageError("is a folder") from error
    except OSError as error:
        raise UnreadableImageError(os_reason(error)) from error
    except ValueError as error:
        raise UnreadableImageError("invalid file name") from error


def decode_pixels(content: bytes, form: ImageFormat) -> np.ndarray:
    """Decode the content of an image file: upright, in grey or colour, resized with antialiasing.

    Transparent pixels become white, 16-bit values become 8-bit, CMYK and palette images become RGB, and an animation
    becomes its first frame. JPEG files are decoded at a fraction of their size if that is at least twice the requested
    size, so that even 200 megapixels take little time and memory.

    Raises:
        UnreadableImageError: The content is not an image, is damaged, or is too large.
    """
    if not content:
        raise UnreadableImageError("the file is empty")
    mode = "L" if form.channels == 1 else "RGB"
    plain = decode_plain_jpeg(content, mode, draft_size(form.height, form.width))
    try:
        return _decode(content, mode, form) if plain is None else _to_pixels(plain, form)
    except UnidentifiedImageError as error:
        raise UnreadableImageError("not a JPEG, PNG, BMP, GIF or WebP image") from error
    except Image.DecompressionBombError as error:
        raise UnreadableImageError(_describe_bomb(error)) from error
    except _DAMAGE as error:
        raise UnreadableImageError(_describe_damage(error)) from error


def content_digest(content: bytes) -> bytes:
    """Return a digest of 16 bytes that identifies a content."""
    return hashlib.blake2b(content, digest_size=16).digest()


def header_size(path: str) -> tuple[int, int] | None:
    """Return (width, height) from the header of a file, or None if it cannot be read."""
    try:
        with open(path, "rb") as file, _open(file) as image:  # noqa: PTH123 - as in `read_bytes`
            return image.size
    except _DAMAGE:
        return None


def draft_size(height: int, width: int) -> tuple[int, int]:
    """Return the minimum (width, height) to decode a JPEG file to: twice the larger side, for either orientation."""
    side = min(2 * max(height, width), MAX_DRAFT_SIDE)
    return side, side


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Suppress warnings about damaged files. Warning filters are global, so only one thread may enter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _check_pixels(image: Image.Image, limit: int, kind: str) -> None:
    if image.width * image.height > limit:
        raise UnreadableImageError(_describe_too_large(f"{image.width} x {image.height} pixels", limit, kind))


def _describe_too_large(size: str, limit: int, kind: str) -> str:
    advice = "make it smaller" if "JPEG" in kind else "make it smaller, or save it as JPEG"
    return f"{size} exceed the limit of {limit:,} for {kind} (possibly a decompression bomb): {advice}"


def _describe_bomb(error: Image.DecompressionBombError) -> str:
    found = re.search(r"\d+", str(error))
    return _describe_too_large(f"{int(found[0]):,} pixels" if found else "its pixels", MAX_PIXELS, "this format")


def _describe_damage(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return f"{'truncated or ' * ('truncated' in text.lower())}damaged ({text[:100]})"


def _to_mode(image: Image.Image, mode: str) -> Image.Image:
    """Convert an image to mode L or RGB."""
    if image.mode.startswith("I"):
        # Grey with 16 bits: Pillow's own conversion clips the values at 255.
        image = _to_eight_bits(np.asarray(image), image.info.get("transparency", -1))
    elif image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image if image.mode == mode else image.convert(mode)


def _to_eight_bits(values: np.ndarray, transparent: int) -> Image.Image:
    return Image.fromarray(np.where(values == transparent, 255, values >> 8).clip(0, 255).astype(np.uint8))


def _resize(image: Image.Image, form: ImageFormat) -> Image.Image:
    size = (form.width, form.height)
    if image.size == size:
        return image
    if form.resize == "crop":
        return ImageOps.fit(image, size, _FILTER)
    if form.resize == "pad":
        return ImageOps.pad(image, size, _FILTER)
    return image.resize(size, _FILTER)


def _open(file: IO[bytes]) -> Image.Image:
    """Open an image and read only its header."""
    start = file.read(len(_JPEG_START))
    file.seek(0)
    if start == _JPEG_START:
        # `Image.open` would reject a JPEG file because of its full size.
        return JpegImageFile(file)
    return Image.open(file, formats=FORMATS)


def _decode(content: bytes, mode: str, form: ImageFormat) -> np.ndarray:
    with _open(io.BytesIO(content)) as image:
        if isinstance(image, JpegImageFile):
            is_progressive = "progressive" in image.info
            limit = MAX_PROGRESSIVE_PIXELS if is_progressive else MAX_JPEG_PIXELS
            _check_pixels(image, limit, "a progressive JPEG" if is_progressive else "JPEG")
            image.draft(mode, draft_size(form.height, form.width))
        _check_pixels(image, MAX_PIXELS, image.format or "an image")
        # Pillow reads the pixels of a PNG file to find its EXIF data, and raises for damaged ones only the first time.
        image.load()
        transpose = _orientation(image)
        return _to_pixels(_to_mode(image if transpose is None else image.transpose(transpose), mode), form)


def _to_pixels(image: Image.Image, form: ImageFormat) -> np.ndarray:
    """Return the pixels of an upright image that has the requested mode."""
    return np.frombuffer(_resize(image, form).tobytes(), np.uint8).reshape(form.shape)


def _orientation(image: Image.Image) -> Image.Transpose | None:
    """Return the operation that makes an image upright; None if it is upright or its metadata is damaged."""
    if image.format != "PNG" and not any(key in image.info for key in _METADATA):
        return None
    try:
        return _TRANSPOSES.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except _DAMAGE:
        return None
