"""Small plain JPEG files without Pillow's reading of their headers, which takes longer than decoding them.

Only what needs no further thought is decoded here: grey or colour, without EXIF, colour profile or anything else that
may turn or change the picture. The pixels are the ones that Pillow gives, since its decoder reads the same bytes.
"""

from typing import NamedTuple

from PIL import Image

_START, _SCAN = b"\xff\xd8\xff", 0xDA
_FRAMES = (0xC0, 0xC1, 0xC2)
"""Baseline, extended and progressive."""

_WITHOUT_EFFECT = frozenset((0xE0, 0xDB, 0xC4, 0xDD, 0xFE))
"""JFIF, tables, restart intervals and comments; the decoder reads what it needs of them."""

_MODES = {1: "L", 3: "RGB"}


class _Frame(NamedTuple):
    width: int
    height: int
    mode: str


def plain_jpeg(content: bytes, mode: str, most: tuple[int, int]) -> Image.Image | None:
    """The picture of a JPEG file; None where Pillow must look at it, be it only for words on what is wrong.

    Args:
        content: The file.
        mode: `L` or `RGB`.
        most: Largest width and height in pixels; of larger pictures a fraction may be enough.
    """
    try:
        frame = _frame(content)
        if frame is None or frame.width > most[0] or frame.height > most[1]:
            return None
        decoded = "L" if mode == "L" else frame.mode
        image = Image.frombytes(decoded, (frame.width, frame.height), content, "jpeg", decoded, "")
    except (IndexError, ValueError, OSError):
        return None
    return image if image.mode == mode else image.convert(mode)


def _frame(content: bytes) -> _Frame | None:
    """What the header says, if nothing in it needs to be understood. Raises `IndexError` where it is cut off."""
    if not content.startswith(_START):
        return None
    frame, at = None, 2
    while content[at] == 0xFF:
        marker = content[at + 1]
        if marker == _SCAN:
            return frame
        if marker in _FRAMES and frame is None:
            frame = _frame_at(content, at)
            if frame is None:
                return None
        elif marker not in _WITHOUT_EFFECT:
            return None
        at += 2 + (content[at + 2] << 8 | content[at + 3])
    return None


def _frame_at(content: bytes, at: int) -> _Frame | None:
    bits, components = content[at + 4], content[at + 9]
    height, width = content[at + 5] << 8 | content[at + 6], content[at + 7] << 8 | content[at + 8]
    if bits != 8 or components not in _MODES or not height or not width:
        return None
    return _Frame(width, height, _MODES[components])
