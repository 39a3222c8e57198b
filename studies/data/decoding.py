"""One image file to pixels: whatever its mode and size, always by the same steps."""

import hashlib
import io
import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from spaces.errors import DataError
from studies.data.jpeg import plain_jpeg

EXTENSIONS = frozenset((".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".webp"))
FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "WEBP")
"""What Pillow may take a file for, whatever its name: its other readers are many and seldom needed."""

MOST_PIXELS = 89_478_485
"""Pillow's own limit, a quarter of a gigabyte of RGB; above it a file is taken for a decompression bomb."""

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
_SIDEWAYS = [turn for orientation, turn in _TURNS.items() if orientation >= 5]
# Pillow lets many kinds of errors out of damaged files.
_DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError, ArithmeticError, AttributeError),
    *(MemoryError, RuntimeError, AssertionError, struct.error, zlib.error, Image.DecompressionBombError),
)


class Form(NamedTuple):
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
            return pixels(read_bytes(os.fspath(path)), Form(*image_shape, resize))
    except Unreadable as error:
        raise DataError(f"{shown(str(Path(path).absolute()))} cannot be read as an image: {error}.") from error


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


def pixels(content: bytes, form: Form) -> np.ndarray:
    """The image in a file's content: upright, in grey or colour, resized with antialiasing.

    Transparent pixels are laid on white, 16 bits are brought to 8, CMYK and palettes to colours; of an animation the
    first frame is taken. JPEG files may be decoded at a fraction of their size, but at least twice the wanted one.

    Raises:
        Unreadable: It is not an image, is damaged, or is too large.
    """
    if not content:
        raise Unreadable("the file is empty")
    mode = "L" if form.channels == 1 else "RGB"
    # Above twice the wanted size a JPEG file may be decoded at a fraction of its size.
    plain = plain_jpeg(content, mode, (2 * form.width, 2 * form.height))
    try:
        return _decoded(content, mode, form) if plain is None else _in_form(plain, form)
    except UnidentifiedImageError as error:
        raise Unreadable("not a JPEG, PNG, BMP, GIF or WebP image") from error
    except Image.DecompressionBombError as error:
        raise Unreadable(f"more than {MOST_PIXELS:,} pixels: it may be a decompression bomb") from error
    except _DAMAGE as error:
        raise Unreadable(_in_words(error)) from error


def digest(content: bytes) -> bytes:
    """16 bytes that tell contents apart."""
    return hashlib.blake2b(content, digest_size=16).digest()


def header_size(path: str) -> tuple[int, int] | None:
    """(width, height) from the first bytes of a file, or None."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            return image.size
    except _DAMAGE:
        return None


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Keeps warnings about damaged files from the user. Python's filters are the process's: one thread enters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def shown(path: str) -> str:
    """A path as it may be printed: line breaks and undecodable bytes are escaped."""
    return path if path.isprintable() else ascii(path)


def _too_large(image: Image.Image) -> str:
    size = f"{image.width} x {image.height} pixels"
    return f"{size} are above the limit of {MOST_PIXELS:,}: it may be a decompression bomb"


def _in_words(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if "truncated" in text.lower() or "Truncated" in text:
        return f"truncated or damaged ({text[:100]})"
    return f"damaged ({text[:100]})"


def _plain(image: Image.Image, mode: str) -> Image.Image:
    """The image in mode L or RGB."""
    if image.mode.startswith("I"):
        # Sixteen bits of grey; Pillow's own conversion clips them at 255.
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    elif image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image if image.mode == mode else image.convert(mode)


def _resized(image: Image.Image, form: Form) -> Image.Image:
    size = (form.width, form.height)
    if image.size == size:
        return image
    if form.resize == "crop":
        return ImageOps.fit(image, size, _FILTER)
    if form.resize == "pad":
        return ImageOps.pad(image, size, _FILTER)
    return image.resize(size, _FILTER)


def _decoded(content: bytes, mode: str, form: Form) -> np.ndarray:
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        if image.width * image.height > MOST_PIXELS:
            raise Unreadable(_too_large(image))
        turn = _turn(image)
        image.draft(mode, _draft_size(image, form, turn))
        return _in_form(_plain(image if turn is None else image.transpose(turn), mode), form)


def _in_form(image: Image.Image, form: Form) -> np.ndarray:
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


def _draft_size(image: Image.Image, form: Form, turn: Image.Transpose | None) -> tuple[int, int]:
    """Twice the size that the whole image is brought to, before any part of it is cut away."""
    target = (form.height, form.width) if turn in _SIDEWAYS else (form.width, form.height)
    if form.resize == "stretch":
        return 2 * target[0], 2 * target[1]
    scales = [wanted / side for wanted, side in zip(target, image.size, strict=True)]
    scale = max(scales) if form.resize == "crop" else min(scales)
    return max(1, round(2 * scale * image.width)), max(1, round(2 * scale * image.height))
