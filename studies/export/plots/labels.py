"""Prepares class names for plots: complete, wrapped, and in fonts that contain their characters."""

import importlib.util
import logging
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from pathlib import Path

from matplotlib import font_manager, ft2font
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.font_manager import FontProperties

FONT = "DejaVu Sans"
"""Included in matplotlib, so always available."""

NOTE = (
    "Names with a number in front contain characters that no installed font has; see this number in CARD.md. "
    "The Noto Sans fonts have most characters; pip install 'search[cjk]' installs those for Chinese, Japanese and "
    "Korean."
)
"""Note below a plot with a name that cannot be drawn."""

FONT_PACKAGE = "manimgx_fonts_cjk"
"""Package with Noto Sans CJK, installed with the extra `cjk`."""

MAX_NAME_LENGTH = 256
"""Maximum number of characters, the limit of folder names; longer names lose their middle."""

_UNKNOWN = "\N{WHITE SQUARE}"
_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
_CODE = r"\\u[0-9a-f]{4}|\\U[0-9a-f]{8}"
_TOKENS = re.compile(rf"{_CODE}|[^\s_./-]*?(?=\\[uU])|[^\s_./-]*[\s_./-]+|[^\s_./-]+")
"""Parts of a name after which a line may break."""


def number_undrawable(classes: Sequence[str]) -> list[str]:
    """Return all class names in drawable form, each in one line, for `wrap_label`.

    Names with characters that no installed font has get the number of their class in front, which `NOTE` explains.
    """
    names = [_shorten(name) for name in classes]
    return [
        _replace_undrawable(name) if _is_drawable(name) else f"{index}: {_replace_undrawable(name)}"
        for index, name in enumerate(names)
    ]


def wrap_label(text: str, inches: float, size: float) -> str:
    """Wrap a text to a maximum width.

    Lines break after spaces, underscores, dashes, dots and slashes, or anywhere if necessary.

    Args:
        text: One line without characters that cannot be drawn.
        inches: Maximum width of a line.
    """
    families = tuple(fonts_for([text]))
    lines, used = [""], 0.0
    for token in _TOKENS.findall(text):
        is_too_long = _width(token.rstrip(), size, families) > inches
        for part in token if is_too_long else [token]:
            if lines[-1] and used + _width(part.rstrip(), size, families) > inches:
                lines.append("")
                used = 0.0
            lines[-1] += part
            used += _width(part, size, families)
    return "\n".join(_escape_dollars(line.strip()) for line in lines)


def text_inches(text: str, size: float, families: Sequence[str]) -> float:
    """Return the width of the longest line of a text in these fonts at this font size."""
    return max(_width(line, size, tuple(families)) for line in text.split("\n"))


@lru_cache(10_000)
def _width(text: str, size: float, families: tuple[str, ...]) -> float:
    if not text:
        return 0.0
    renderer = RendererAgg(1, 1, 72)  # type: ignore[no-untyped-call]
    properties = FontProperties(family=list(families), size=size)
    width, _, _ = renderer.get_text_width_height_descent(text, properties, False)  # type: ignore[no-untyped-call]
    return float(width) / 72


def needs_note(classes: Sequence[str]) -> bool:
    """Return True if a name cannot be drawn, so that the plot needs `NOTE`."""
    return any(not _is_drawable(name) for name in classes)


def fonts_for(names: Iterable[str]) -> list[str]:
    """Return font families that together contain the characters of the names, the default one first."""
    missing = {ord(each) for name in names for each in name if each.isprintable()} - _characters(_file_of(FONT))
    families = [FONT]
    for font in _fallback_fonts() if missing else ():
        if missing & _characters(font.fname):
            families.append(font.name)
            missing -= _characters(font.fname)
        if not missing:
            break
    return families


def _shorten(name: str) -> str:
    name = " ".join(str(name).split())
    if len(name) <= MAX_NAME_LENGTH:
        return name
    tail = (MAX_NAME_LENGTH - 1) // 2
    return f"{name[: MAX_NAME_LENGTH - 1 - tail]}{_ELLIPSIS}{name[-tail:]}"


def _escape_dollars(text: str) -> str:
    # Matplotlib reads text between dollar signs as a formula.
    return re.sub(r"\$", r"\\$", text)


def _replace_undrawable(name: str) -> str:
    return "".join(map(_replace_character, name))


def _replace_character(character: str) -> str:
    if unicodedata.category(character) == "Cf" or "\ufe00" <= character <= "\ufe0f":
        # Joiners and variation selectors are invisible.
        return ""
    if not character.isprintable():
        return _UNKNOWN
    return character if _has_font(ord(character)) else ascii(character)[1:-1]


def _is_drawable(name: str) -> bool:
    return all(len(_replace_character(character)) < 2 for character in name)


@cache
def _has_font(character: int) -> bool:
    if character in _characters(_file_of(FONT)):
        return True
    return any(character in _characters(font.fname) for font in _fallback_fonts())


def _file_of(family: str) -> str:
    return font_manager.findfont(family)


@cache
def _fallback_fonts() -> tuple[font_manager.FontEntry, ...]:
    """Return the other installed upright fonts, regular weight first, without fonts of placeholder boxes."""
    _add_new_fonts()
    upright = [font for font in font_manager.fontManager.ttflist if font.style == "normal" and font.name != FONT]
    fonts = [font for font in upright if not font.name.startswith("Last Resort")]
    return tuple(sorted(fonts, key=lambda font: (abs(_weight(font) - 400), font.name, font.fname)))


def _add_new_fonts() -> None:
    """Add fonts that were installed after matplotlib built its list, which it does only once."""
    known = {font.fname for font in font_manager.fontManager.ttflist}
    for file in sorted({*font_manager.findSystemFonts(), *_packaged_fonts()} - known):
        try:
            font_manager.fontManager.addfont(file)
        except (OSError, RuntimeError, ValueError, KeyError):
            continue


def _packaged_fonts() -> list[str]:
    """Return the files of the font package, if it is installed."""
    found = importlib.util.find_spec(FONT_PACKAGE)
    if found is None or found.origin is None:
        return []
    # Matplotlib would warn that the package's variable fonts have only one weight.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    return [str(file) for file in Path(found.origin).parent.iterdir() if file.suffix in (".ttc", ".ttf", ".otf")]


def _weight(font: font_manager.FontEntry) -> int:
    weight = font.weight
    return font_manager.weight_dict.get(weight, 400) if isinstance(weight, str) else int(weight)


@cache
def _characters(file: str) -> frozenset[int]:
    """Return the characters of a font; empty if the file cannot be used."""
    try:
        font = ft2font.FT2Font(file)
    except (OSError, RuntimeError):
        return frozenset()
    return frozenset(font.get_charmap()) if font.face_flags & ft2font.FaceFlags.SCALABLE else frozenset()
