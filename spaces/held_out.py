"""`--test`: which images of a space are kept for the test, in place of what its file says."""

import dataclasses
import math
import os
from pathlib import Path

from spaces.data import CustomData, Digits, ImageFolder, KerasDataset, Npz
from spaces.errors import DataError, UsageError
from spaces.loading import LoadedSpace
from spaces.scalars import short_repr

LARGEST_SHARE = 0.9


def share_of_images(text: str) -> float | None:
    """Return the number that a text stands for; None where it is a path.

    Raises:
        UsageError: The number is no share of images.
    """
    try:
        share = float(text)
    except ValueError:
        return None
    if not (math.isfinite(share) and 0 < share <= LARGEST_SHARE):
        raise UsageError(
            f"--test: a share must be above 0 and at most {LARGEST_SHARE:g}, got {text}: for a folder of that name "
            f"write ./{text}"
        )
    return share


def with_test(loaded: LoadedSpace, test: str) -> LoadedSpace:
    """Return the same space with other test images.

    Args:
        loaded: The space.
        test: A share of the images, such as 0.2, or a folder of class folders, from the current folder.

    Raises:
        UsageError: The space's data cannot be given other test images, or the share is none.
        DataError: There is no such folder.
    """
    data, share = loaded.space.data, share_of_images(test)
    if isinstance(data, ImageFolder):
        source: ImageFolder | Digits = dataclasses.replace(data, test=_folder(loaded, test) if share is None else share)
    elif isinstance(data, Digits) and share is not None:
        source = dataclasses.replace(data, test=share)
    else:
        raise UsageError(f"--test {test}: {_why_not(data)}")
    return dataclasses.replace(loaded, space=dataclasses.replace(loaded.space, data=source))


def _folder(loaded: LoadedSpace, test: str) -> str:
    path = Path(os.path.normpath(Path(test).absolute()))
    if not test or not path.is_dir():
        raise DataError(
            f"--test: {short_repr(test)} must be a fraction such as 0.2, or a folder with one sub-folder of images "
            "for each class"
        )
    return test if Path(test).is_absolute() else os.path.relpath(path, loaded.folder)


def _why_not(data: object) -> str:
    kind = type(data).__name__
    if isinstance(data, KerasDataset):
        return f"{kind}({data.name!r}) comes with test images of its own, so there is nothing to split off"
    if isinstance(data, Npz | CustomData):
        return (
            f"{kind} may have test images of its own; where it has none, write the share in the space file: "
            f"{kind}(..., test=0.2)"
        )
    return f"{kind} has no folders of images, so the test images must be a share such as 0.2"
