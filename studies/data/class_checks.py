"""Reject class folders that look like splits or copies of a data set, and unusable class names."""

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

from spaces.errors import DataError
from studies.data.scanning import has_images, list_subfolders
from studies.images.messages import printable_path, quote_names

_MIN_SHARED = 2
_CONTROLS = frozenset(("Cc", "Cs", "Zl", "Zp"))


def explicit_hint(path: str, names: Sequence[str]) -> str:
    """Return the hint, on a line of its own, for a folder and its sub-folders that can be read in two ways."""
    return (
        "\nhint: in a space file, choose the folders of the splits with ImageFolder(train=FOLDER, test=FOLDER), or the "
        f"classes with ImageFolder({path!r}, classes=({quote_names(names, 4)}))"
    )


def check_class_folders(root: str) -> tuple[str, ...]:
    """Raise `DataError` if the sub-folders of a folder look like folds, years, sources or copies of the data.

    Returns:
        A notice if class folders have sub-folders, whose images count as images of their class.
    """
    inner = {name: _inner_folders(path) for name, path in list_subfolders(root)}
    _check_copies(root, inner)
    _check_shared(root, inner)
    nested = [f"{name!r} ({quote_names(sorted(names), 3)})" for name, names in sorted(inner.items()) if names]
    if not nested:
        return ()
    more = f" and {len(nested) - 3} more" if len(nested) > 3 else ""
    return (
        f"class folders of {printable_path(root)} have sub-folders, whose images count as images of their class: "
        f"{', '.join(nested[:3])}{more}",
    )


def check_class_names(names: Sequence[str], where: str, hint: str) -> None:
    """Raise `DataError` for names of classes that cannot be shown or stored, or that look the same."""
    by_look: dict[str, str] = {}
    for name in names:
        if any(unicodedata.category(letter) in _CONTROLS for letter in name):
            is_undecoded = any(unicodedata.category(letter) == "Cs" for letter in name)
            problem = "is not valid UTF-8" if is_undecoded else "contains a control character"
            raise DataError(f"{where}: the class name {name!a} {problem}\nhint: {hint}")
        look = unicodedata.normalize("NFC", " ".join(name.split()))
        if (other := by_look.setdefault(look, name)) != name:
            is_encoding = " ".join(other.split()) != " ".join(name.split())
            what = "the encoding of letters" if is_encoding else "white space"
            raise DataError(f"{where}: the classes {other!a} and {name!a} differ only in {what}\nhint: {hint}")


def case_notices(names: Sequence[str]) -> tuple[str, ...]:
    """Return notices about classes whose names differ only in case, except single letters."""
    by_case: dict[str, list[str]] = {}
    for name in names:
        by_case.setdefault(name.casefold(), []).append(name)
    alike = [same for same in by_case.values() if len(same) > 1 and len(same[0]) > 1]
    return tuple(
        f"the names of classes {' and '.join(map(repr, same))} differ only in case; they are different classes"
        for same in alike
    )


def _check_shared(root: str, inner: Mapping[str, Sequence[str]]) -> None:
    """Reject folders if two thirds of them have the same sub-folders: those are the classes."""
    counts = Counter(name for names in inner.values() for name in names)
    common = sorted(name for name, count in counts.items() if 3 * count >= 2 * len(inner))
    if len(inner) >= 2 and len(common) >= _MIN_SHARED:
        raise DataError(
            f"the folders of {printable_path(root)} ({quote_names(inner, 3)}) have the same sub-folders "
            f"({quote_names(common, 3)}), so they look like folds, years or splits rather than classes\n"
            "hint: put the images of each class in one folder; Space(folds=k) makes folds"
            f"{explicit_hint(root, list(inner))}"
        )


def _check_copies(root: str, inner: Mapping[str, Sequence[str]]) -> None:
    """Reject a folder that contains its siblings again: cells/cells/healthy next to cells/healthy."""
    siblings = {name.casefold() for name in inner}
    for name, names in inner.items():
        shared = siblings.intersection(names)
        if len(shared) >= _MIN_SHARED:
            raise DataError(
                f"{name!r} in {printable_path(root)} contains folders named like its siblings "
                f"({quote_names(sorted(shared), 3)}), so it looks like a split or a copy of the data rather than a "
                f"class\nhint: move it elsewhere{explicit_hint(root, [each for each in inner if each != name])}"
            )


def _inner_folders(path: str) -> list[str]:
    return [name.casefold() for name, inner in list_subfolders(path) if has_images(inner)]
