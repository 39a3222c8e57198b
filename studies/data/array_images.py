"""Convert arrays of images to uint8 pixels, with one value range for all splits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spaces.errors import DataError

UNIT, BYTES = "0 to 1", "0 to 255"
"""The two value ranges that pixels may have."""

_LEVEL = 1 / 255
"""One grey level: values that leave a range by less, through rounding or resizing, are clipped."""

_MIN_FRACTIONAL_MAXIMUM = 32.0
"""Fractional floats with a maximum below this, but above 1, fit neither range."""

_CHUNK_BYTES = 2**26
_RESCALED = "models rescale pixels themselves"
_FIX = "pass uint8 images from 0 to 255, or floats from 0 to 1"


def to_uint8(images: Mapping[str, Any], where: str) -> dict[str, np.ndarray]:
    """Convert the images of all splits to uint8, with one value range.

    Args:
        images: By split, (n, height, width) or (n, height, width, 1 or 3): uint8 or other integers from 0 to 255,
            bools, or floats from 0 to 1 or from 0 to 255.

    Returns:
        By split, (n, height, width, channels).

    Raises:
        DataError: An array has a wrong type, shape or range, or the ranges of two splits differ.
    """
    arrays = {split: _to_array(array, f"{where}: images of {split}") for split, array in images.items()}
    shapes = {split: array.shape[1:] for split, array in arrays.items()}
    if len(set(shapes.values())) > 1:
        raise DataError(f"{where}: the images of all splits must have one shape, got {shapes}")
    values = {split: _value_range(array, f"{where}: images of {split}") for split, array in arrays.items()}
    scale = 255 if _common_range(values, where) == UNIT else 1
    return {split: _to_pixels(array, scale) for split, array in arrays.items()}


@dataclass(frozen=True)
class _Values:
    """Values of one split.

    Args:
        low: Minimum.
        high: Maximum.
        is_integer: True for an integer array, whose range is always 0 to 255.
        has_fractions: True if a value is not a whole number.
    """

    low: float
    high: float
    is_integer: bool
    has_fractions: bool

    @property
    def text(self) -> str:
        return f"{_format_number(self.low)} to {_format_number(self.high)}"


def _common_range(values: Mapping[str, _Values], where: str) -> str:
    # Black is 0 in both ranges.
    lit = {split: each for split, each in values.items() if each.high > 0}
    low = [split for split, each in lit.items() if each.high <= 1 + _LEVEL]
    unit = [split for split in low if not lit[split].is_integer]
    if 0 < len(low) < len(lit) or 0 < len(unit) < len(low):
        ranges = ", ".join(f"{split} {each.text}{' (integers)' * each.is_integer}" for split, each in lit.items())
        named = unit or low
        raise DataError(
            f"{where}: the splits must have one value range, but only the images of {' and '.join(named)} look like "
            f"{UNIT}: {ranges}\nhint: {_FIX}, in every split"
        )
    high = max(each.high for each in values.values())
    if not unit and high < _MIN_FRACTIONAL_MAXIMUM and any(each.has_fractions for each in values.values()):
        clip = ", for example with np.clip(x, 0, 1) after a resize that overshoots" if high < 2 else ""
        raise DataError(
            f"{where}: floats with a maximum of {_format_number(high)} fit neither the range {UNIT} nor {BYTES}\n"
            f"hint: {_FIX}{clip}"
        )
    return UNIT if unit else BYTES


def _to_array(images: Any, where: str) -> np.ndarray:
    try:
        found: np.ndarray = np.asarray(images)
    except (ValueError, TypeError, RuntimeError) as error:
        raise DataError(f"{where}: not an array: {error}") from error
    if found.ndim == 0:
        raise DataError(f"{where}: must be an array or a list, got {type(images).__name__}")
    if found.dtype.name == "bfloat16":
        found = found.astype(np.float32)
    if np.ma.is_masked(images):
        raise DataError(f"{where}: masked arrays are not supported\nhint: fill the masked values: x.filled(0)")
    if found.dtype.kind not in "buif":
        kind = "Python objects" if found.dtype.kind == "O" else f"an array of {found.dtype}"
        raise DataError(f"{where}: must be numbers, got {kind}\nhint: combine images of one shape into one array")
    if found.ndim >= 3 and not len(found):
        raise DataError(
            f"{where}: must have the shape (n, height, width) with n > 0, got {found.shape}\nhint: leave the split out"
        )
    shaped = found[..., np.newaxis] if found.ndim == 3 else found
    if shaped.ndim != 4 or shaped.shape[3] not in (1, 3) or 0 in shaped.shape:
        raise DataError(
            f"{where}: must have the shape (n, height, width) or (n, height, width, 1 or 3), "
            f"got {found.shape}{_shape_hint(found.shape)}"
        )
    return shaped


def _shape_hint(shape: tuple[int, ...]) -> str:
    match shape:
        case (_, 1 | 3, _, _):
            return "\nhint: move the channels to the end: np.moveaxis(x, 1, -1)"
        case (_, _, _, 4):
            return "\nhint: drop the fourth channel if it is transparency: x[..., :3]"
        case (_, _, _, 2):
            return "\nhint: drop the second channel if it is transparency: x[..., :1]"
        case (_,):
            return "\nhint: pass each split as a pair (images, labels), in this order"
        case (_, _):
            return "\nhint: restore height and width: x.reshape(len(x), height, width)"
    return ""


def _value_range(images: np.ndarray, where: str) -> _Values:
    if images.dtype == np.uint8:
        return _Values(float(images.min()), float(images.max()), True, False)
    is_float = images.dtype.kind == "f"
    low, high, has_fractions = np.inf, -np.inf, False
    for chunk in _split_chunks(images):
        if is_float and not np.isfinite(chunk).all():
            raise DataError(f"{where}: {_describe_not_finite(images)}")
        low, high = min(low, float(chunk.min())), max(high, float(chunk.max()))
        must_check = is_float and not has_fractions and high < _MIN_FRACTIONAL_MAXIMUM
        has_fractions = has_fractions or (must_check and bool((np.rint(chunk) != chunk).any()))
    if images.dtype.kind == "b":
        return _Values(low, high, False, False)
    limit = (1 if is_float and high <= 1 + _LEVEL else 255) * (_LEVEL if is_float else 0)
    if low < -limit or high > 255 + limit:
        raise DataError(
            f"{where}: values must be {BYTES}, or {UNIT} for floats, "
            f"got {_format_number(low)} to {_format_number(high)}\nhint: {_range_hint(low, high, limit)}"
        )
    return _Values(low, high, not is_float, has_fractions)


def _range_hint(low: float, high: float, limit: float) -> str:
    if low >= -limit:
        return f"scale all splits by the same number: x / {_full_scale(high)} maps them to {UNIT}"
    if low >= -1 - _LEVEL and high <= 1 + _LEVEL:
        return f"if the range is -1 to 1, (x + 1) / 2 maps it to {UNIT}; {_RESCALED}"
    return f"undo the normalization and pass {BYTES} or {UNIT}; {_RESCALED}"


def _full_scale(high: float) -> int:
    """Return the maximum value of the usual bit depth of such pixels."""
    return next((2**bits - 1 for bits in (10, 12, 14, 16) if high <= 2**bits - 1), int(np.ceil(high)))


def _describe_not_finite(images: np.ndarray) -> str:
    of_image = [int((~np.isfinite(image)).sum()) for image in images]
    first = next(index for index, count in enumerate(of_image) if count)
    bad = sum(count > 0 for count in of_image)
    return (
        f"{sum(of_image):,} values in {bad:,} of the {len(images):,} images are NaN or infinite, first in image "
        f"{first}\nhint: leave these images out, or fill the values: np.nan_to_num(x)"
    )


def _to_pixels(images: np.ndarray, scale: int) -> np.ndarray:
    if images.dtype == np.uint8:
        return images
    pixels = np.empty(images.shape, np.uint8)
    start = 0
    for chunk in _split_chunks(images):
        pixels[start : start + len(chunk)] = np.rint(np.clip(chunk * np.float32(scale), 0, 255))
        start += len(chunk)
    return pixels


def _split_chunks(images: np.ndarray) -> list[np.ndarray]:
    """Return views of consecutive images, so that intermediate results take little memory."""
    size = max(1, _CHUNK_BYTES // max(1, images[0].nbytes))
    return [images[start : start + size] for start in range(0, len(images), size)]


def _format_number(value: float) -> str:
    """Format a number with enough digits to distinguish it from 0, 1 and 255."""
    return f"{value:.9g}" if abs(value - round(value)) < 0.01 else f"{value:.4g}"
