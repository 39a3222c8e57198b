"""`--test`: replaces the test images of a space."""

import dataclasses
import math
import os
from pathlib import Path

from spaces.data import CustomData, Digits, ImageFolder, KerasDataset, Npz
from spaces.errors import DataError, UsageError
from spaces.loading import LoadedSpace
from spaces.scalars import short_repr

MAX_FRACTION = 0.9


def read_fraction(text: str) -> float | None:
    """Return the number in a text; None if the text is a path.

    Raises:
        UsageError: The number is not a possible fraction of images.
    """
    try:
        fraction = float(text)
    except ValueError:
        return None
    if not (math.isfinite(fraction) and 0 < fraction <= MAX_FRACTION):
        raise UsageError(
            f"--test: got {text}, expected a fraction above 0 and at most {MAX_FRACTION:g}\n"
            f"hint: for a folder of that name, pass ./{text}"
        )
    return fraction


def with_test(loaded: LoadedSpace, test: str) -> LoadedSpace:
    """Return the same space with other test images.

    Args:
        test: A fraction of the images, such as 0.2, or a folder of class folders, relative to the current folder.

    Raises:
        UsageError: The test images of the space's data cannot be replaced, or the fraction is out of range.
        DataError: The folder does not exist.
    """
    data, fraction = loaded.space.data, read_fraction(test)
    if isinstance(data, ImageFolder):
        value = _folder(loaded, test) if fraction is None else fraction
        source: ImageFolder | Digits = dataclasses.replace(data, test=value)
    elif isinstance(data, Digits) and fraction is not None:
        source = dataclasses.replace(data, test=fraction)
    else:
        raise UsageError(f"--test {test}: {_why_not(data)}")
    return dataclasses.replace(loaded, space=dataclasses.replace(loaded.space, data=source))


def _folder(loaded: LoadedSpace, test: str) -> str:
    path = Path(os.path.normpath(Path(test).absolute()))
    if not test or not path.is_dir():
        raise DataError(
            f"--test: got {short_repr(test)}, expected a fraction such as 0.2, or a folder with one subfolder of "
            "images per class"
        )
    return test if Path(test).is_absolute() else os.path.relpath(path, loaded.folder)


def _why_not(data: object) -> str:
    kind = type(data).__name__
    if isinstance(data, KerasDataset):
        return f"{kind}({data.name!r}) has its own test images"
    if isinstance(data, Npz | CustomData):
        return f"{kind} may have its own test images\nhint: set a fraction in the space file: {kind}(..., test=0.2)"
    if isinstance(data, Digits):
        return f"{kind} has no folders\nhint: pass a fraction such as 0.2"
    return f"the test images of {kind} cannot be replaced\nhint: set them in the space file"
