"""Decides which folders hold the training, validation and test images, and refuses what can be read in two ways.

Only names of folders and where images lie decide. A single file never does, and what is left unused is reported.
"""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from spaces.errors import DataError
from studies.data.class_checks import check_class_folders, explicitly
from studies.data.scanning import has_images, loose_images, outnumbered, scan, subfolders
from studies.data.split_folders import SubFolder, are_of_one_set, by_part, is_of_one_set, names_of, sub_folders
from studies.data.split_names import PARTS, TEST, TRAIN, VALIDATION, split_name
from studies.images.decoding import shown_path

_MOST_WRAPPERS = 8


class Layout(NamedTuple):
    """The folders of a data set.

    Args:
        roots: The folder of class folders of each split, by part; at least that of the training images.
        notices: What the user should know about how the folders were read, a sentence each.
    """

    roots: dict[int, str]
    notices: tuple[str, ...] = ()


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
            notices += check_class_folders(roots[TRAIN])
            return Layout(roots, tuple(notices))
        inner = _wrapped(path)
        if inner is None:
            break
        notices += [_entered(path, inner), *_unused_images(path)]
        path = inner
    notices += check_class_folders(path)
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
    siblings = sub_folders(str(folder.parent))
    alike = [each for each in by_part(siblings)[part] if each.meaning and is_of_one_set(each.meaning, meaning)]
    notices: list[str] = []
    found = _chosen(part, alike, root, notices)
    if found is not None:
        notices.append(f"The {PARTS[part]} images are read from {shown_path(found)}.")
    return Layout({} if found is None else {part: found}, tuple(notices))


def _splits_in(path: str, notices: list[str], with_test: bool) -> dict[int, str] | None:
    """The roots of the splits where the folder is already split; None where it is not."""
    children = sub_folders(path)
    parts = by_part(children)
    if not _is_split(path, children, parts):
        return None
    trains = [each for each in parts[TRAIN] if each.is_labelled]
    # Empty class folders are named when the images are counted.
    trains = trains or [each for each in parts[TRAIN] if not each.has_images and subfolders(each.path)]
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
        notices.append(f"Not used, next to {shown_path(train.path)}: {names_of(unused)}.")
    named = ", ".join(f"{PARTS[part]} {shown_path(root)}" for part, root in sorted(roots.items(), reverse=True))
    is_alone = len(roots) == 1
    notices += _unused_images(path)
    notices.append(
        f"The images are read from {shown_path(roots[TRAIN])}."
        if is_alone
        else f"{shown_path(path)} is already split: {named}."
    )
    return roots


def _is_split(path: str, children: Sequence[SubFolder], parts: dict[int, list[SubFolder]]) -> bool:
    """Return True if the sub-folders are splits rather than classes.

    Raises:
        DataError: They could be either.
    """
    named = [each for part in parts.values() for each in part]
    if not named:
        return False
    others = [each for each in children if each not in named and each.has_images]
    plain = [each for each in named if each.meaning and each.meaning.is_plain]
    if not plain and (
        not are_of_one_set(parts, alone=not others) or (others and not any(each.is_labelled for each in named))
    ):
        # Classes such as train_station and crash_test.
        return False
    if len([part for part, found in parts.items() if found]) > 1:
        if not parts[TRAIN] and not others:
            raise DataError(
                f"{shown_path(path)} has {names_of(named)}, but no folder of training images, such as train. "
                f"{_explicitly(path, children)}"
            )
        if not parts[TRAIN] or (others and not any(each.is_labelled for each in parts[TRAIN])):
            raise DataError(_between(path, named, others, children))
        return True
    return _is_split_of_one_kind(path, children, named, plain, others)


def _is_split_of_one_kind(
    path: str,
    children: Sequence[SubFolder],
    named: Sequence[SubFolder],
    plain: Sequence[SubFolder],
    others: Sequence[SubFolder],
) -> bool:
    """The same where the names speak of one split only: a class may be named train, valid or dev."""
    if not plain:
        return False
    is_labelled = any(each.is_labelled for each in plain)
    if others:
        meaning = min((each.meaning for each in plain if each.meaning), key=lambda one: one.may_be_class)
        if is_labelled or not meaning.may_be_class:
            raise DataError(_between(path, plain, others, children))
        return False
    if len(named) > 1:
        raise DataError(_several(named[0].meaning.part if named[0].meaning else TRAIN, named))
    return is_labelled and named[0] in plain and named[0].meaning is not None and named[0].meaning.part == TRAIN


def _wrapped(path: str) -> str | None:
    """The only sub-folder with images, where the images of the classes lie in sub-folders of it."""
    children = sub_folders(path)
    # Two are enough to know, and large folders take long to read.
    filled = list(islice((each for each in children if each.has_images), 2))
    if len(filled) != 1 or not filled[0].is_labelled:
        return None
    # One stray image changes nothing, but images of its own make a folder a class.
    inside = sum(outnumbered(len(loose_images(filled[0].path)), inner) for _, inner in subfolders(filled[0].path))
    if not inside or not outnumbered(len(loose_images(path)), filled[0].path):
        return None
    # An empty folder may be a class that has no images yet.
    return filled[0].path if all(scan(each.path) for each in children) else None


def without_wrappers(path: str, notices: list[str]) -> str:
    """The folder of class folders inside of a folder with nothing else; what was entered is added to the notices."""
    inner = _unwrapped(path)
    if inner != path:
        notices.append(_entered(path, inner))
    return inner


def _unused_images(path: str) -> list[str]:
    count = len(loose_images(path))
    return [f"Not used, directly in {shown_path(path)}: {count} image{'s' if count > 1 else ''}."] if count else []


def _entered(path: str, inner: str) -> str:
    return f"The images are read from {shown_path(inner)}, the only folder with images in {shown_path(path)}."


def _unwrapped(path: str) -> str:
    for _ in range(_MOST_WRAPPERS):
        inner = _wrapped(path)
        if inner is None:
            break
        path = inner
    return path


def _chosen(part: int, candidates: Sequence[SubFolder], train: str, notices: list[str]) -> str | None:
    """The root of a split: of the candidates with labels the one with the plainest name."""
    if not candidates:
        return None
    labelled = [each for each in candidates if _is_labelled_as(train, each)]
    if labelled:
        return _unwrapped(_one_of(part, labelled).path)
    share = "20%" if part == TEST else "a share"
    notices.append(
        f"Not used as {PARTS[part]} images: {names_of(candidates)}, "
        f"which {'has' if len(candidates) == 1 else 'have'} no class folders and so no labels; {share} of the training "
        "images is split off instead."
    )
    return None


def _is_labelled_as(train: str, child: SubFolder) -> bool:
    """Return False for loose images, also where they lie in a single folder that is not named as a class."""
    if not child.is_labelled:
        return False
    classes = {name.casefold() for name, _ in subfolders(train)}
    found = [name.casefold() for name, path in subfolders(_unwrapped(child.path)) if has_images(path)]
    return len(found) > 1 or any(name in classes for name in found)


def _one_of(part: int, candidates: Sequence[SubFolder]) -> SubFolder:
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


def _several(part: int, candidates: Sequence[SubFolder]) -> str:
    parent = str(Path(candidates[0].path).parent)
    kind = {TRAIN: "training", VALIDATION: "validation", TEST: "test"}[part]
    return (
        f"{shown_path(parent)} has several folders that may hold the {kind} images: {names_of(candidates)}. "
        f"{_explicitly(parent, candidates)}"
    )


def _without_classes(path: str, named: Sequence[SubFolder], children: Sequence[SubFolder]) -> str:
    return (
        f"{shown_path(path)} looks already split ({names_of(named)}), but the training folder has no class folders, "
        "and images without them have no labels. Put the images of each class in a sub-folder, such as train/cat. "
        f"Labels in a table or in file names are read by a function: Space(data=function). "
        f"{_explicitly(path, children)}"
    )


def _between(path: str, named: Sequence[SubFolder], others: Sequence[SubFolder], children: Sequence[SubFolder]) -> str:
    return (
        f"{shown_path(path)} can be read in two ways: {names_of(named)} may be part of a split, or a class like "
        f"{names_of(others)}. To use one of them alone, pass that folder, such as {shown_path(named[0].path)}. "
        f"{_explicitly(path, children)}"
    )


def _explicitly(path: str, children: Sequence[SubFolder]) -> str:
    return explicitly(path, [each.name for each in children])
