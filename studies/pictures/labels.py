"""Names of classes as a picture can show them: short, in fonts that hold their characters."""

import re
from collections.abc import Iterable
from functools import cache

from matplotlib import font_manager, ft2font

FONT = "DejaVu Sans"
"""Comes with matplotlib, so it is always there."""

_UNKNOWN = "\N{WHITE SQUARE}"
_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


def readable(names: Iterable[str], length: int = 24) -> list[str]:
    """Names as they can be drawn.

    Args:
        names: Any text that a folder can be called.
        length: Most characters of one; a longer name loses its middle, since often only the ends tell names apart.

    Returns:
        The names without line breaks, with a square for every character that no installed font holds.
    """
    return [_drawable(_shortened(" ".join(str(name).split()), length)) for name in names]


def fonts_for(names: Iterable[str]) -> list[str]:
    """The families of fonts that together hold the names' characters, the usual one first."""
    missing = {ord(character) for name in names for character in name} - _characters(_file_of(FONT))
    families = [FONT]
    for font in _others() if missing else ():
        if missing & _characters(font.fname):
            families.append(font.name)
            missing -= _characters(font.fname)
        if not missing:
            break
    return families


def _shortened(name: str, length: int) -> str:
    if len(name) <= length:
        return name
    head = (length - 1) // 2
    return f"{name[: length - 1 - head]}{_ELLIPSIS}{name[-head:] if head else ''}"


def _drawable(name: str) -> str:
    found = "".join(each if each.isprintable() and _is_held(ord(each)) else _UNKNOWN for each in name)
    # Between two dollar signs matplotlib reads formulas.
    return re.sub(r"\$", r"\\$", found)


@cache
def _is_held(character: int) -> bool:
    if character in _characters(_file_of(FONT)):
        return True
    return any(character in _characters(font.fname) for font in _others())


def _file_of(family: str) -> str:
    return font_manager.findfont(family)


@cache
def _others() -> tuple[font_manager.FontEntry, ...]:
    """The other installed fonts of upright, regular letters, without the one that draws a box for everything."""
    fonts = [font for font in font_manager.fontManager.ttflist if not font.name.startswith("Last Resort")]
    upright = [font for font in fonts if font.style == "normal" and font.weight in (400, "normal", "regular")]
    return tuple(sorted((font for font in upright if font.name != FONT), key=lambda font: (font.name, font.fname)))


@cache
def _characters(file: str) -> frozenset[int]:
    """The characters that a font can draw; none where the file cannot be used."""
    try:
        font = ft2font.FT2Font(file)
    except (OSError, RuntimeError):
        return frozenset()
    return frozenset(font.get_charmap()) if font.face_flags & ft2font.FaceFlags.SCALABLE else frozenset()
