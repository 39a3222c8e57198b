"""One image file to pixels: whatever its mode and size, always by the same steps."""

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
from studies.images.jpeg import plain_jpeg

EXTENSIONS = frozenset((".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".webp"))
FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "WEBP")
"""What Pillow may take a file for, whatever its name: its other readers are many and seldom needed."""

MOST_PIXELS = 89_478_485
"""Pillow's own limit, a quarter of a gigabyte of RGB; more are never decoded."""

MOST_JPEG_PIXELS, MOST_PROGRESSIVE_PIXELS = 2**28, 2**27
"""Limits for JPEG files, which are decoded at a fraction of their size: cameras of phones reach 200 megapixels. A
progressive file is held in memory as a whole, with up to six bytes for each pixel."""

MOST_DRAFT_SIDE = 4096
"""A JPEG file is decoded at no larger a fraction than this needs, so that it stays below `MOST_PIXELS`."""

_JPEG_START = b"\xff\xd8\xff"
_MOST_BYTES = 2**29
_FILTER = Image.Resampling.BILINEAR
_METADATA = ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Pillow lets many kinds of errors out of damaged files.
_DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError, ArithmeticError, AttributeError),
    *(MemoryError, RuntimeError, AssertionError, struct.error, zlib.error, Image.DecompressionBombError),
)


class ImageFormat(NamedTuple):
    """What images are brought to: the size in pixels, 1 or 3 channels, and `stretch`, `crop` or `pad`."""

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
        """Bytes of one image."""
        return self.height * self.width * self.channels


class Unreadable(Exception):
    """A file cannot be used as an image, with the reason in a few words."""


def read_image(path: Path, image_shape: tuple[int, int, int], resize: str = "stretch") -> np.ndarray:
    """One image in the form that a model takes.

    Args:
        path: A JPEG, PNG, BMP, GIF or WebP file.
        image_shape: (height, width, channels), with 1 or 3 channels.
        resize: `stretch` ignores the proportions, `crop` cuts the centre, `pad` adds black bars.

    Returns:
        (height, width, channels) uint8.

    Raises:
        DataError: The file is missing, or is not an image.
    """
    try:
        with quiet_pillow():
            return pixels(read_bytes(os.fspath(path)), ImageFormat(*image_shape, resize))
    except Unreadable as error:
        raise DataError(f"{shown_path(str(Path(path).absolute()))} cannot be read as an image: {error}.") from error


def read_bytes(path: str) -> bytes:
    """The content of a file. Raises `Unreadable`."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a Path costs as much as reading a small file
            size = os.fstat(file.fileno()).st_size
            if size > _MOST_BYTES:
                raise Unreadable(f"{size / 2**30:.1f} GiB are too large for an image")
            return file.read()
    except IsADirectoryError as error:
        raise Unreadable("it is a folder") from error
    except OSError as error:
        raise Unreadable((error.strerror or str(error)).lower()) from error
    except ValueError as error:
        raise Unreadable("it is not a possible file name") from error


def pixels(content: bytes, form: ImageFormat) -> np.ndarray:
    """The image in a file's content: upright, in grey or colour, resized with antialiasing.

    Transparent pixels are laid on white, 16 bits are brought to 8, CMYK and palettes to colours; of an animation the
    first frame is taken. JPEG files are decoded at a fraction of their size, if that is at least twice the wanted one,
    so that also those of 200 megapixels take little time and memory.

    Raises:
        Unreadable: It is not an image, is damaged, or is too large.
    """
    if not content:
        raise Unreadable("the file is empty")
    mode = "L" if form.channels == 1 else "RGB"
    plain = plain_jpeg(content, mode, draft_size(form.height, form.width))
    try:
        return _decoded(content, mode, form) if plain is None else _in_form(plain, form)
    except UnidentifiedImageError as error:
        raise Unreadable("not a JPEG, PNG, BMP, GIF or WebP image") from error
    except Image.DecompressionBombError as error:
        raise Unreadable(_bomb(error)) from error
    except _DAMAGE as error:
        raise Unreadable(_in_words(error)) from error


def digest(content: bytes) -> bytes:
    """16 bytes that tell contents apart."""
    return hashlib.blake2b(content, digest_size=16).digest()


def header_size(path: str) -> tuple[int, int] | None:
    """(width, height) from the first bytes of a file, or None."""
    try:
        with open(path, "rb") as file, _opened(file) as image:  # noqa: PTH123 - as in `read_bytes`
            return image.size
    except _DAMAGE:
        return None


def draft_size(height: int, width: int) -> tuple[int, int]:
    """What a JPEG file is decoded to at least, in pixels: twice the larger side, whichever way it lies."""
    side = min(2 * max(height, width), MOST_DRAFT_SIDE)
    return side, side


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Keeps warnings about damaged files from the user. Python's filters are the process's: one thread enters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def shown_path(path: str) -> str:
    """A path as it may be printed: line breaks and undecodable bytes are escaped."""
    return path if path.isprintable() else ascii(path)


def _check_pixels(image: Image.Image, limit: int, kind: str) -> None:
    if image.width * image.height > limit:
        raise Unreadable(_too_large(f"{image.width} x {image.height} pixels", limit, kind))


def _too_large(size: str, limit: int, kind: str) -> str:
    hint = "make it smaller" if "JPEG" in kind else "make it smaller, or save it as JPEG"
    return f"{size} are above the limit of {limit:,} for {kind} (it may be a decompression bomb): {hint}"


def _bomb(error: Image.DecompressionBombError) -> str:
    found = re.search(r"\d+", str(error))
    return _too_large(f"{int(found[0]):,} pixels" if found else "its pixels", MOST_PIXELS, "this format")


def _in_words(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if "truncated" in text.lower() or "Truncated" in text:
        return f"truncated or damaged ({text[:100]})"
    return f"damaged ({text[:100]})"


def _plain(image: Image.Image, mode: str) -> Image.Image:
    """The image in mode L or RGB."""
    if image.mode.startswith("I"):
        # Sixteen bits of grey; Pillow's own conversion clips them at 255.
        image = _eight_bits(np.asarray(image), image.info.get("transparency", -1))
    elif image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image if image.mode == mode else image.convert(mode)


def _eight_bits(values: np.ndarray, transparent: int) -> Image.Image:
    return Image.fromarray(np.where(values == transparent, 255, values >> 8).clip(0, 255).astype(np.uint8))


def _resized(image: Image.Image, form: ImageFormat) -> Image.Image:
    size = (form.width, form.height)
    if image.size == size:
        return image
    if form.resize == "crop":
        return ImageOps.fit(image, size, _FILTER)
    if form.resize == "pad":
        return ImageOps.pad(image, size, _FILTER)
    return image.resize(size, _FILTER)


def _opened(file: IO[bytes]) -> Image.Image:
    """An image of which only the header is read."""
    start = file.read(len(_JPEG_START))
    file.seek(0)
    if start == _JPEG_START:
        # `Image.open` would refuse a JPEG file by its full size.
        return JpegImageFile(file)
    return Image.open(file, formats=FORMATS)


def _decoded(content: bytes, mode: str, form: ImageFormat) -> np.ndarray:
    with _opened(io.BytesIO(content)) as image:
        if isinstance(image, JpegImageFile):
            is_progressive = "progressive" in image.info
            limit = MOST_PROGRESSIVE_PIXELS if is_progressive else MOST_JPEG_PIXELS
            _check_pixels(image, limit, "a progressive JPEG" if is_progressive else "JPEG")
            image.draft(mode, draft_size(form.height, form.width))
        _check_pixels(image, MOST_PIXELS, image.format or "an image")
        # Pillow reads the pixels of a PNG file for its EXIF data, and of damaged ones raises only the first time.
        image.load()
        turn = _turn(image)
        return _in_form(_plain(image if turn is None else image.transpose(turn), mode), form)


def _in_form(image: Image.Image, form: ImageFormat) -> np.ndarray:
    """The pixels of an upright image of the wanted mode."""
    return np.frombuffer(_resized(image, form).tobytes(), np.uint8).reshape(form.shape)


def _turn(image: Image.Image) -> Image.Transpose | None:
    """What brings the image upright; None where it is, or where its metadata is damaged but its pixels may not be."""
    if image.format != "PNG" and not any(key in image.info for key in _METADATA):
        return None
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except _DAMAGE:
        return None
