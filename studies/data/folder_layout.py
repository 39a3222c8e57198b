"""Decides which folders hold the training, validation and test images, and refuses what can be read in two ways.

Only names of folders and where images lie decide. A single file never does, and what is left unused is reported.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from spaces.errors import DataError
from studies.data.class_checks import check_class_folders, explicitly
from studies.data.decoding import shown
from studies.data.scanning import has_images, loose_images, scan, subfolders
from studies.data.split_names import PARTS, TEST, TRAIN, VALIDATION, SplitName, split_name

_MOST_WRAPPERS = 8


class Layout(NamedTuple):
    """The folders of a data set.

    Args:
        roots: The folder of class folders of each split, by part; at least that of the training images.
        notices: What the user should know about how the folders were read, a sentence each.
    """

    roots: dict[int, str]
    notices: tuple[str, ...] = ()


class _Child:
    """A sub-folder whose name may speak of a split."""

    def __init__(self, name: str, path: str) -> None:
        self.name, self.path, self.meaning = name, path, split_name(name)

    @cached_property
    def is_labelled(self) -> bool:
        """It has sub-folders with images."""
        return any(has_images(path) for _, path in subfolders(self.path))

    @cached_property
    def has_images(self) -> bool:
        return self.is_labelled or bool(loose_images(self.path))


def layout_of(path: str, *, with_test: bool = True) -> Layout:
    """Which folders below a folder hold the splits; a wrapper around the only folder with images is entered.

    Args:
        path: The folder given by the user.
        with_test: Look for a test folder too; otherwise test images are split off and none is needed.

    Raises:
        DataError: The folder can be read in two ways, or its splits have no class folders.
    """
    notices: list[str] = []
    for _ in range(_MOST_WRAPPERS):
        roots = _splits_in(path, notices, with_test)
        if roots is not None:
            check_class_folders(roots[TRAIN])
            return Layout(roots, tuple(notices))
        inner = _wrapped(path)
        if inner is None:
            break
        notices.append(_entered(path, inner))
        path = inner
    check_class_folders(path)
    return Layout({TRAIN: path}, tuple(notices))


def beside_train(path: str, root: str, part: int) -> Layout:
    """The folder of another split next to the folder of training images that the user named.

    Args:
        path: The folder given by the user.
        root: The folder of class folders in it, or itself.
        part: TEST or VALIDATION.

    Returns:
        A layout without roots if there is none, or if its images have no labels, which is reported.

    Raises:
        DataError: Several folders could be meant.
    """
    folder = Path(path)
    meaning = split_name(folder.name)
    if meaning is None or meaning.part != TRAIN:
        return Layout({})
    siblings = _children(str(folder.parent))
    alike = [each for each in _of_parts(siblings)[part] if each.meaning and _is_of_one_set(each.meaning, meaning)]
    notices: list[str] = []
    found = _chosen(part, alike, root, notices)
    return Layout({} if found is None else {part: found}, tuple(notices))


def _splits_in(path: str, notices: list[str], with_test: bool) -> dict[int, str] | None:
    """The roots of the splits where the folder is already split; None where it is not."""
    children = _children(path)
    parts = _of_parts(children)
    if not _is_split(path, children, parts):
        return None
    trains = [each for each in parts[TRAIN] if each.is_labelled]
    if not trains:
        raise DataError(_without_classes(path, [each for part in parts.values() for each in part], children))
    train = _one_of(TRAIN, trains)
    roots = {TRAIN: _unwrapped(train.path)}
    for part in (VALIDATION, *([TEST] if with_test else [])):
        if (found := _chosen(part, parts[part], roots[TRAIN], notices)) is not None:
            roots[part] = found
    used = [train, *(each for part in roots for each in parts[part] if roots[part].startswith(each.path))]
    told = [each for part in (VALIDATION, TEST) if part not in roots for each in parts[part]]
    if unused := [each for each in children if each not in (*used, *told) and each.has_images]:
        notices.append(f"Not used, next to {shown(train.path)}: {_names(unused)}.")
    named = ", ".join(f"{PARTS[part]} {shown(root)}" for part, root in sorted(roots.items(), reverse=True))
    is_alone = len(roots) == 1
    notices.append(
        f"The images are read from {shown(roots[TRAIN])}." if is_alone else f"{shown(path)} is already split: {named}."
    )
    return roots


def _is_split(path: str, children: Sequence[_Child], parts: dict[int, list[_Child]]) -> bool:
    """Return True if the sub-folders are splits rather than classes.

    Raises:
        DataError: They could be either.
    """
    named = [each for part in parts.values() for each in part]
    others = [each for each in children if each not in named and each.has_images]
    plain = [each for each in named if each.meaning and each.meaning.is_plain]
    if not plain and (not _are_of_one_set(parts) or (others and not any(each.is_labelled for each in named))):
        # Classes such as train_station and crash_test.
        return False
    if len([part for part, found in parts.items() if found]) > 1:
        if not parts[TRAIN] and not others:
            raise DataError(
                f"{shown(path)} has {_names(named)}, but no folder of training images, such as train. "
                f"{_explicitly(path, children)}"
            )
        if not parts[TRAIN] or (others and not any(each.is_labelled for each in parts[TRAIN])):
            raise DataError(_between(path, named, others, children))
        return True
    return _is_split_of_one_kind(path, children, named, plain, others)


def _is_split_of_one_kind(
    path: str, children: Sequence[_Child], named: Sequence[_Child], plain: Sequence[_Child], others: Sequence[_Child]
) -> bool:
    """The same where the names speak of one split only: a class may be named train, valid or dev."""
    if not plain:
        return False
    is_labelled = any(each.is_labelled for each in plain)
    if others:
        meaning = plain[0].meaning
        if is_labelled or (meaning is not None and meaning.part == TEST and not meaning.is_either):
            raise DataError(_between(path, plain, others, children))
        return False
    if len(named) > 1:
        raise DataError(_several(named[0].meaning.part if named[0].meaning else TRAIN, named))
    return is_labelled and named[0] in plain and named[0].meaning is not None and named[0].meaning.part == TRAIN


def _wrapped(path: str) -> str | None:
    """The only sub-folder with images, where the images of the classes lie in sub-folders of it."""
    if loose_images(path):
        return None
    children = _children(path)
    filled = [each for each in children if each.has_images]
    if len(filled) != 1 or not filled[0].is_labelled or loose_images(filled[0].path):
        return None
    # An empty folder may be a class that has no images yet.
    return filled[0].path if all(scan(each.path) for each in children) else None


def without_wrappers(path: str, notices: list[str]) -> str:
    """The folder of class folders inside of a folder with nothing else; what was entered is added to the notices."""
    inner = _unwrapped(path)
    if inner != path:
        notices.append(_entered(path, inner))
    return inner


def _entered(path: str, inner: str) -> str:
    return f"The images are read from {shown(inner)}, the only folder with images in {shown(path)}."


def _unwrapped(path: str) -> str:
    for _ in range(_MOST_WRAPPERS):
        inner = _wrapped(path)
        if inner is None:
            break
        path = inner
    return path


def _chosen(part: int, candidates: Sequence[_Child], train: str, notices: list[str]) -> str | None:
    """The root of a split: of the candidates with labels the one with the plainest name."""
    if not candidates:
        return None
    labelled = [each for each in candidates if _is_labelled_as(train, each)]
    if labelled:
        return _unwrapped(_one_of(part, labelled).path)
    instead = "20% of the training images are kept aside instead" if part == TEST else "validation=... applies instead"
    notices.append(
        f"Not used as {PARTS[part]} images: {_names(candidates)}, "
        f"which {'has' if len(candidates) == 1 else 'have'} no class folders and so no labels; {instead}."
    )
    return None


def _is_labelled_as(train: str, child: _Child) -> bool:
    """Return False for loose images, also where they lie in a single folder that is not named as a class."""
    if not child.is_labelled:
        return False
    classes = {name.casefold() for name, _ in subfolders(train)}
    found = [name.casefold() for name, path in subfolders(_unwrapped(child.path)) if has_images(path)]
    return len(found) > 1 or any(name in classes for name in found)


def _one_of(part: int, candidates: Sequence[_Child]) -> _Child:
    """The only candidate, or the only one whose name says nothing but the split.

    Raises:
        DataError: There are several.
    """
    for better in (
        candidates,
        [each for each in candidates if each.meaning and each.meaning.is_plain],
        [each for each in candidates if each.meaning and each.meaning.is_plain and not each.meaning.is_either],
    ):
        if len(better) == 1:
            return better[0]
    raise DataError(_several(part, candidates))


def _of_parts(children: Sequence[_Child]) -> dict[int, list[_Child]]:
    parts: dict[int, list[_Child]] = {TRAIN: [], VALIDATION: [], TEST: []}
    has_test = any(each.meaning and each.meaning.part == TEST and not each.meaning.is_either for each in children)
    for each in children:
        if each.meaning is not None:
            parts[VALIDATION if each.meaning.is_either and has_test else each.meaning.part].append(each)
    return parts


def _are_of_one_set(parts: dict[int, list[_Child]]) -> bool:
    """Return True if two splits have the same name but for the split: seg_train and seg_test."""
    rests = [{each.meaning.rest for each in found if each.meaning} for found in parts.values()]
    return any(one & other for k, one in enumerate(rests) for other in rests[k + 1 :])


def _is_of_one_set(one: SplitName, other: SplitName) -> bool:
    return one.rest == other.rest or (one.is_plain and other.is_plain)


def _children(path: str) -> list[_Child]:
    return [_Child(name, found) for name, found in subfolders(path)]


def _names(children: Sequence[_Child]) -> str:
    return ", ".join(repr(each.name) for each in children[:5]) + (", ..." if len(children) > 5 else "")


def _several(part: int, candidates: Sequence[_Child]) -> str:
    parent = str(Path(candidates[0].path).parent)
    kind = {TRAIN: "training", VALIDATION: "validation", TEST: "test"}[part]
    return (
        f"{shown(parent)} has several folders that may hold the {kind} images: {_names(candidates)}. "
        f"{_explicitly(parent, candidates)}"
    )


def _without_classes(path: str, named: Sequence[_Child], children: Sequence[_Child]) -> str:
    return (
        f"{shown(path)} looks already split ({_names(named)}), but the training folder has no class folders, and "
        "images without them have no labels. Put the images of each class in a sub-folder, such as train/cat. Labels "
        f"in a table or in file names are read by a function: Space(data=function). {_explicitly(path, children)}"
    )


def _between(path: str, named: Sequence[_Child], others: Sequence[_Child], children: Sequence[_Child]) -> str:
    return (
        f"{shown(path)} can be read in two ways: {_names(named)} may be part of a split, or a class like "
        f"{_names(others)}. {_explicitly(path, children)}"
    )


def _explicitly(path: str, children: Sequence[_Child]) -> str:
    return explicitly(path, [each.name for each in children])
