"""Refuses class folders that look like parts of a data set, and names of classes that cannot be shown or stored."""

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

from spaces.errors import DataError
from studies.data.scanning import has_images, subfolders
from studies.images.decoding import shown_path

_FEWEST_SHARED = 2
_CONTROLS = frozenset(("Cc", "Cs", "Zl", "Zp"))


def explicitly(path: str, names: Sequence[str]) -> str:
    """How to say what the folders are, for the end of a message.

    Args:
        path: The folder that can be read in two ways.
        names: Its sub-folders.
    """
    shortened = f"{', '.join(map(repr, names[:4]))}{', ...' if len(names) > 4 else ''}"
    return (
        "To say which folders are meant, write ImageFolder(train=FOLDER, test=FOLDER) in a space file: the sub-folders "
        f"of `train` are then the classes. If the classes are those of {shown_path(path)}, write "
        f"ImageFolder({path!r}, classes=({shortened}))."
    )


def check_class_folders(root: str) -> tuple[str, ...]:
    """Raise `DataError` where the sub-folders of a folder look like folds, years, sources or copies of the data.

    Returns:
        A notice where class folders hold folders of their own, whose images count as images of their class.
    """
    inner = {name: _inner(path) for name, path in subfolders(root)}
    _check_copies(root, inner)
    _check_shared(root, inner)
    nested = [f"{name!r} ({_few(sorted(names))})" for name, names in sorted(inner.items()) if names]
    if not nested:
        return ()
    more = f" and {len(nested) - 3} more" if len(nested) > 3 else ""
    return (
        f"Class folders of {shown_path(root)} have sub-folders, whose images count as images of their class: "
        f"{', '.join(nested[:3])}{more}.",
    )


def check_names(root: str, names: Sequence[str]) -> None:
    """Raise `DataError` for names of classes that cannot be shown or stored, or that look the same."""
    for name in names:
        if what := unshowable(name):
            raise DataError(
                f"The name of the class folder {shown_path(name)} in {shown_path(root)} {what}, so it cannot name a "
                "class. Rename the folder."
            )
    by_look: dict[str, str] = {}
    for name in names:
        other = by_look.setdefault(" ".join(name.split()), name)
        if other != name:
            raise DataError(
                f"The class folders {other!r} and {name!r} in {shown_path(root)} differ only in white space. "
                "Rename one of them, or put their images in one folder."
            )


def unshowable(name: str) -> str | None:
    """Why a name cannot be shown or stored, in a few words; None where it can."""
    if not any(unicodedata.category(letter) in _CONTROLS for letter in name):
        return None
    return "is not valid UTF-8" if any(map(_is_undecoded, name)) else "holds a control character"


def notices_of_names(names: Sequence[str]) -> tuple[str, ...]:
    """Report classes whose names differ only in case; single letters may well be different classes."""
    by_case: dict[str, list[str]] = {}
    for name in names:
        by_case.setdefault(name.casefold(), []).append(name)
    alike = [same for same in by_case.values() if len(same) > 1 and len(same[0]) > 1]
    return tuple(
        f"The names of classes {' and '.join(map(repr, same))} differ only in upper and lower case; they are different "
        "classes."
        for same in alike
    )


def _check_shared(root: str, inner: Mapping[str, Sequence[str]]) -> None:
    """Two thirds of the folders hold the same sub-folders: these are the classes, not the folders."""
    counts = Counter(name for names in inner.values() for name in names)
    common = sorted(name for name, count in counts.items() if 3 * count >= 2 * len(inner))
    if len(inner) < 2 or len(common) < _FEWEST_SHARED:
        return
    raise DataError(
        f"The folders of {shown_path(root)} ({_few(list(inner))}) hold the same sub-folders ({_few(common)}), so they "
        "look like parts of a data set, such as folds, years or splits, and not like classes. Put the images of each "
        f"class in one folder; Space(folds=k) makes folds. {explicitly(root, list(inner))}"
    )


def _check_copies(root: str, inner: Mapping[str, Sequence[str]]) -> None:
    """One of the folders holds the others once more: cells/cells/healthy next to cells/healthy."""
    siblings = {name.casefold() for name in inner}
    for name, names in inner.items():
        shared = siblings.intersection(names)
        if len(shared) >= _FEWEST_SHARED:
            raise DataError(
                f"{shown_path(root)} has a folder {name!r} that holds folders named as its siblings "
                f"({_few(sorted(shared))}): it looks like a split or a copy of the data, and not like a class. "
                f"Move it elsewhere. {explicitly(root, [each for each in inner if each != name])}"
            )


def _inner(path: str) -> list[str]:
    return [name.casefold() for name, inner in subfolders(path) if has_images(inner)]


def _few(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:3])) + (", ..." if len(names) > 3 else "")


def _is_undecoded(letter: str) -> bool:
    return unicodedata.category(letter) == "Cs"
