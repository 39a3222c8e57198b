"""The sub-folders of a folder, and the splits that their names speak of."""

from collections.abc import Sequence
from functools import cached_property

from studies.data.scanning import has_images, loose_images, subfolders
from studies.data.split_names import TEST, TRAIN, VALIDATION, SplitName, pair_names, split_name


class SubFolder:
    """A sub-folder whose name may speak of a split."""

    def __init__(self, name: str, path: str) -> None:
        self.name, self.path, self.meaning = name, path, split_name(name)

    @cached_property
    def is_labelled(self) -> bool:
        """It has sub-folders with images."""
        return any(has_images(path) for _, path in subfolders(self.path))

    @cached_property
    def has_images(self) -> bool:
        """It has images at any depth."""
        return self.is_labelled or bool(loose_images(self.path))


def sub_folders(path: str) -> list[SubFolder]:
    """The visible sub-folders of a folder, sorted by name."""
    children = [SubFolder(name, found) for name, found in subfolders(path)]
    glued = pair_names([each.name for each in children if each.meaning is None])
    for each in children:
        each.meaning = each.meaning or glued.get(each.name)
    return children


def by_part(children: Sequence[SubFolder]) -> dict[int, list[SubFolder]]:
    """The sub-folders whose names speak of each split."""
    parts: dict[int, list[SubFolder]] = {TRAIN: [], VALIDATION: [], TEST: []}
    has_test = any(each.meaning and each.meaning.part == TEST and not each.meaning.is_either for each in children)
    for each in children:
        if each.meaning is not None:
            parts[VALIDATION if each.meaning.is_either and has_test else each.meaning.part].append(each)
    return parts


def are_of_one_set(parts: dict[int, list[SubFolder]], *, alone: bool) -> bool:
    """Return True if two splits have the same name but for the split: seg_train and seg_test.

    Without other folders it is enough that the split stands at the same end: train_a and test_b.
    """
    ends = {each.meaning.is_first for found in parts.values() for each in found if each.meaning}
    if alone and len(ends) == 1 and sum(map(bool, parts.values())) > 1:
        return True
    rests = [{each.meaning.rest for each in found if each.meaning} for found in parts.values()]
    return any(one & other for k, one in enumerate(rests) for other in rests[k + 1 :])


def is_of_one_set(one: SplitName, other: SplitName) -> bool:
    """Return True if two names belong to the splits of one data set."""
    return one.rest == other.rest or (one.is_plain and other.is_plain)


def names_of(children: Sequence[SubFolder]) -> str:
    """The names of the first few, for a message."""
    return ", ".join(repr(each.name) for each in children[:5]) + (", ..." if len(children) > 5 else "")
