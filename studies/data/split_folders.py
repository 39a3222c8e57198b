"""The sub-folders of a folder, with the splits that their names denote."""

from collections.abc import Sequence
from functools import cached_property

from studies.data.scanning import has_images, list_loose_images, list_subfolders
from studies.data.split_names import TEST, TRAIN, VALIDATION, SplitName, pair_names, split_name
from studies.images.messages import quote_names


class SubFolder:
    """A sub-folder whose name may denote a split."""

    def __init__(self, name: str, path: str) -> None:
        self.name, self.path, self.meaning = name, path, split_name(name)

    @cached_property
    def is_labelled(self) -> bool:
        """True if it has sub-folders with images."""
        return any(has_images(path) for _, path in list_subfolders(self.path))

    @cached_property
    def has_images(self) -> bool:
        """True if it contains images at any depth."""
        return self.is_labelled or bool(list_loose_images(self.path))


def read_subfolders(path: str) -> list[SubFolder]:
    """Return the visible sub-folders of a folder, sorted by name."""
    children = [SubFolder(name, found) for name, found in list_subfolders(path)]
    paired = pair_names([each.name for each in children if each.meaning is None])
    for each in children:
        each.meaning = each.meaning or paired.get(each.name)
    return children


def group_by_split(children: Sequence[SubFolder]) -> dict[int, list[SubFolder]]:
    """Return the sub-folders whose names denote a split, by split."""
    splits: dict[int, list[SubFolder]] = {TRAIN: [], VALIDATION: [], TEST: []}
    has_test = any(each.meaning and each.meaning.split == TEST and not each.meaning.is_ambiguous for each in children)
    for each in children:
        if each.meaning is not None:
            splits[VALIDATION if each.meaning.is_ambiguous and has_test else each.meaning.split].append(each)
    return splits


def have_matching_names(splits: dict[int, list[SubFolder]], *, alone: bool) -> bool:
    """Return True if two splits have the same name except for the split: seg_train and seg_test.

    If there are no other folders, it is enough that the split is at the same end of the name: train_a and test_b.
    """
    ends = {each.meaning.is_first for found in splits.values() for each in found if each.meaning}
    if alone and len(ends) == 1 and sum(map(bool, splits.values())) > 1:
        return True
    rests = [{each.meaning.rest for each in found if each.meaning} for found in splits.values()]
    return any(one & other for k, one in enumerate(rests) for other in rests[k + 1 :])


def is_same_set(one: SplitName, other: SplitName) -> bool:
    """Return True if two names belong to splits of the same data set."""
    return one.rest == other.rest or (one.is_plain and other.is_plain)


def quote_folders(children: Sequence[SubFolder]) -> str:
    """Return the names of the first few sub-folders in quotes."""
    return quote_names([each.name for each in children])
