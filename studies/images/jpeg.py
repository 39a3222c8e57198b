"""Decode small plain JPEG files without Pillow's header parsing, which takes longer than decoding them.

Only simple files are decoded here: grey or colour, without EXIF data, a colour profile or anything else that may rotate
or change the image. The pixels equal those of Pillow, because its decoder reads the same bytes.
"""

from typing import NamedTuple

from PIL import Image

_START, _SCAN = b"\xff\xd8\xff", 0xDA
_FRAMES = (0xC0, 0xC1, 0xC2)
"""Baseline, extended and progressive."""

_WITHOUT_EFFECT = frozenset((0xE0, 0xDB, 0xC4, 0xDD, 0xFE))
"""JFIF, tables, restart intervals and comments; the decoder reads what it needs."""

_MODES = {1: "L", 3: "RGB"}


class _Frame(NamedTuple):
    width: int
    height: int
    mode: str


def decode_plain_jpeg(content: bytes, mode: str, max_size: tuple[int, int]) -> Image.Image | None:
    """Decode a plain JPEG file; return None if Pillow must handle it, even if only to report an error.

    Args:
        mode: `L` or `RGB`.
        max_size: Maximum width and height in pixels; larger images may be decoded at a fraction of their size.
    """
    try:
        frame = _read_header(content)
        if frame is None or frame.width > max_size[0] or frame.height > max_size[1]:
            return None
        decoded = "L" if mode == "L" else frame.mode
        image = Image.frombytes(decoded, (frame.width, frame.height), content, "jpeg", decoded, "")
    except (IndexError, ValueError, OSError):
        return None
    return image if image.mode == mode else image.convert(mode)


def _read_header(content: bytes) -> _Frame | None:
    """Return the frame that a plain header describes, else None. Raises `IndexError` if the header is truncated."""
    if not content.startswith(_START):
        return None
    frame, at = None, 2
    while content[at] == 0xFF:
        marker = content[at + 1]
        if marker == _SCAN:
            return frame
        if marker in _FRAMES and frame is None:
            frame = _read_frame(content, at)
            if frame is None:
                return None
        elif marker not in _WITHOUT_EFFECT:
            return None
        at += 2 + (content[at + 2] << 8 | content[at + 3])
    return None


def _read_frame(content: bytes, at: int) -> _Frame | None:
    bits, components = content[at + 4], content[at + 9]
    height, width = content[at + 5] << 8 | content[at + 6], content[at + 7] << 8 | content[at + 8]
    if bits != 8 or components not in _MODES or not height or not width:
        return None
    return _Frame(width, height, _MODES[components])
