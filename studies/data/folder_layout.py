"""Decide which folders hold the training, validation and test images, and reject ambiguous layouts.

The decision depends only on folder names and on which folders contain images, never on a single file. Unused images are
reported.
"""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from spaces.errors import DataError
from studies.data.class_checks import check_class_folders, explicit_hint
from studies.data.folders import LABEL_HINT
from studies.data.scanning import has_images, is_outnumbered, list_loose_images, list_subfolders, scan
from studies.data.split_folders import (
    SubFolder,
    group_by_split,
    have_matching_names,
    is_same_set,
    quote_folders,
    read_subfolders,
)
from studies.data.split_names import SPLIT_NAMES, TEST, TRAIN, VALIDATION, split_name
from studies.images.messages import printable_path

_MAX_WRAPPERS = 8


class Layout(NamedTuple):
    """The folders of a data set.

    Args:
        roots: Folder of class folders of each split; at least that of the training images.
        notices: What the user should know about the layout, one line each.
    """

    roots: dict[int, str]
    notices: tuple[str, ...] = ()


def find_layout(path: str, *, with_test: bool = True) -> Layout:
    """Find the folders of the splits in a folder; wrappers around the only folder with images are entered.

    Args:
        with_test: True to look for a test folder too; else test images are split off.

    Raises:
        DataError: The folder is ambiguous, or its splits have no class folders.
    """
    notices: list[str] = []
    for _ in range(_MAX_WRAPPERS):
        roots = _find_splits(path, notices, with_test)
        if roots is not None:
            notices += check_class_folders(roots[TRAIN])
            return Layout(roots, tuple(notices))
        inner = _wrapped_folder(path)
        if inner is None:
            break
        notices += [_wrapper_notice(path, inner), *_loose_images_notice(path)]
        path = inner
    notices += check_class_folders(path)
    return Layout({TRAIN: path}, tuple(notices))


def find_sibling_split(path: str, root: str, split: int) -> Layout:
    """Find the folder of another split next to the user's folder of training images.

    Args:
        root: Folder of class folders in it, or the folder itself.
        split: TEST or VALIDATION.

    Returns:
        A layout without roots if there is no such folder, or if its images have no labels, which is reported.

    Raises:
        DataError: Several folders could be meant.
    """
    folder = Path(path)
    meaning = split_name(folder.name)
    if meaning is None or meaning.split != TRAIN:
        return Layout({})
    siblings = read_subfolders(str(folder.parent))
    alike = [each for each in group_by_split(siblings)[split] if each.meaning and is_same_set(each.meaning, meaning)]
    notices: list[str] = []
    found = _choose_root(split, alike, root, notices)
    if found is not None:
        notices.append(f"reading {SPLIT_NAMES[split]} images from {printable_path(found)}")
    return Layout({} if found is None else {split: found}, tuple(notices))


def _find_splits(path: str, notices: list[str], with_test: bool) -> dict[int, str] | None:
    """Return the roots of the splits if the folder is already split, else None."""
    children = read_subfolders(path)
    splits = group_by_split(children)
    if not _is_split(path, children, splits):
        return None
    trains = [each for each in splits[TRAIN] if each.is_labelled]
    # Empty class folders are reported when the images are counted.
    trains = trains or [each for each in splits[TRAIN] if not each.has_images and list_subfolders(each.path)]
    if not trains:
        raise DataError(_no_class_folders(path, [each for found in splits.values() for each in found], children))
    train = _pick_one(TRAIN, trains)
    roots = {TRAIN: _inner_root(train.path)}
    for split in (VALIDATION, *([TEST] if with_test else [])):
        if (root := _choose_root(split, splits[split], roots[TRAIN], notices)) is not None:
            roots[split] = root
    used = [train, *(each for split in roots for each in splits[split] if roots[split].startswith(each.path))]
    reported = [each for split in (VALIDATION, TEST) if split not in roots for each in splits[split]]
    if unused := [each for each in children if each not in (*used, *reported) and each.has_images]:
        notices.append(f"not used, next to {printable_path(train.path)}: {quote_folders(unused)}")
    named = [f"{SPLIT_NAMES[split]} {printable_path(root)}" for split, root in sorted(roots.items(), reverse=True)]
    notices += _loose_images_notice(path)
    notices.append(
        f"reading images from {printable_path(roots[TRAIN])}"
        if len(roots) == 1
        else f"{printable_path(path)} is already split: {', '.join(named)}"
    )
    return roots


def _is_split(path: str, children: Sequence[SubFolder], splits: dict[int, list[SubFolder]]) -> bool:
    """Return True if the sub-folders are splits rather than classes.

    Raises:
        DataError: They may be either.
    """
    named = [each for found in splits.values() for each in found]
    if not named:
        return False
    others = [each for each in children if each not in named and each.has_images]
    plain = [each for each in named if each.meaning and each.meaning.is_plain]
    if not plain and (
        not have_matching_names(splits, alone=not others) or (others and not any(each.is_labelled for each in named))
    ):
        # These are classes such as train_station and crash_test.
        return False
    if sum(map(bool, splits.values())) > 1:
        if not splits[TRAIN] and not others:
            raise DataError(
                f"{printable_path(path)} has {quote_folders(named)}, but no folder of training images such as train"
                f"{explicit_hint(path, [each.name for each in children])}"
            )
        if not splits[TRAIN] or (others and not any(each.is_labelled for each in splits[TRAIN])):
            raise DataError(_ambiguous(path, named, others, children))
        return True
    return _is_single_split(path, children, named, plain, others)


def _is_single_split(
    path: str,
    children: Sequence[SubFolder],
    named: Sequence[SubFolder],
    plain: Sequence[SubFolder],
    others: Sequence[SubFolder],
) -> bool:
    """Decide as `_is_split` if the names denote only one split: a class may be named train, valid or dev."""
    if not plain:
        return False
    is_labelled = any(each.is_labelled for each in plain)
    if others:
        meaning = min((each.meaning for each in plain if each.meaning), key=lambda one: one.may_be_class)
        if is_labelled or not meaning.may_be_class:
            raise DataError(_ambiguous(path, plain, others, children))
        return False
    if len(named) > 1:
        raise DataError(_several_candidates(named[0].meaning.split if named[0].meaning else TRAIN, named))
    return is_labelled and named[0] in plain and named[0].meaning is not None and named[0].meaning.split == TRAIN


def _wrapped_folder(path: str) -> str | None:
    """Return the only sub-folder with images if the images of the classes lie in sub-folders of it, else None."""
    children = read_subfolders(path)
    # Two are enough to decide, and large folders are slow to read.
    filled = list(islice((each for each in children if each.has_images), 2))
    if len(filled) != 1 or not filled[0].is_labelled:
        return None
    # A few stray images do not matter, but a folder with many images of its own is a class.
    inside = sum(
        is_outnumbered(len(list_loose_images(filled[0].path)), inner) for _, inner in list_subfolders(filled[0].path)
    )
    if not inside or not is_outnumbered(len(list_loose_images(path)), filled[0].path):
        return None
    # An empty folder may be a class without images so far.
    return filled[0].path if all(scan(each.path) for each in children) else None


def enter_wrappers(path: str, notices: list[str]) -> str:
    """Return the folder of class folders inside wrapper folders, and add a notice if there are wrappers."""
    inner = _inner_root(path)
    if inner != path:
        notices.append(_wrapper_notice(path, inner))
    return inner


def _loose_images_notice(path: str) -> list[str]:
    count = len(list_loose_images(path))
    return [f"not used, directly in {printable_path(path)}: {count} image{'s' if count > 1 else ''}"] if count else []


def _wrapper_notice(path: str, inner: str) -> str:
    return f"reading images from {printable_path(inner)}, the only folder with images in {printable_path(path)}"


def _inner_root(path: str) -> str:
    for _ in range(_MAX_WRAPPERS):
        inner = _wrapped_folder(path)
        if inner is None:
            break
        path = inner
    return path


def _choose_root(split: int, candidates: Sequence[SubFolder], train: str, notices: list[str]) -> str | None:
    """Return the root of a split: the candidate with labels that has the plainest name."""
    if not candidates:
        return None
    labelled = [each for each in candidates if _is_labelled_as(train, each)]
    if labelled:
        return _inner_root(_pick_one(split, labelled).path)
    fraction = "20%" if split == TEST else "a fraction"
    notices.append(
        f"not used as {SPLIT_NAMES[split]} images: {quote_folders(candidates)}, without class folders and so without "
        f"labels; {fraction} of the training images is split off instead"
    )
    return None


def _is_labelled_as(train: str, child: SubFolder) -> bool:
    """Return True if a folder has class folders; a single one must have the name of a class."""
    if not child.is_labelled:
        return False
    classes = {name.casefold() for name, _ in list_subfolders(train)}
    found = [name.casefold() for name, path in list_subfolders(_inner_root(child.path)) if has_images(path)]
    return len(found) > 1 or any(name in classes for name in found)


def _pick_one(split: int, candidates: Sequence[SubFolder]) -> SubFolder:
    """Return the only candidate, or the only one whose name denotes nothing but the split.

    Raises:
        DataError: There are several.
    """
    for better in (
        candidates,
        [each for each in candidates if each.meaning and each.meaning.is_plain],
        [each for each in candidates if each.meaning and each.meaning.is_plain and not each.meaning.is_ambiguous],
    ):
        if len(better) == 1:
            return better[0]
    raise DataError(_several_candidates(split, candidates))


def _several_candidates(split: int, candidates: Sequence[SubFolder]) -> str:
    parent = str(Path(candidates[0].path).parent)
    return (
        f"{printable_path(parent)} has several folders that may be the {SPLIT_NAMES[split]} folder: "
        f"{quote_folders(candidates)}{explicit_hint(parent, [each.name for each in candidates])}"
    )


def _no_class_folders(path: str, named: Sequence[SubFolder], children: Sequence[SubFolder]) -> str:
    return (
        f"{printable_path(path)} looks already split ({quote_folders(named)}), but the training folder has no class "
        "folders, so its images have no labels\nhint: put the images of each class in a sub-folder such as train/cat\n"
        f"hint: {LABEL_HINT}{explicit_hint(path, [each.name for each in children])}"
    )


def _ambiguous(
    path: str, named: Sequence[SubFolder], others: Sequence[SubFolder], children: Sequence[SubFolder]
) -> str:
    return (
        f"{printable_path(path)} is ambiguous: {quote_folders(named)} may be a split, or a class like "
        f"{quote_folders(others)}\nhint: to use one of them alone, pass that folder, such as "
        f"{printable_path(named[0].path)}{explicit_hint(path, [each.name for each in children])}"
    )
