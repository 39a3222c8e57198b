"""Recognise the usual names of split folders: `train`, `Training`, `test_set`, `images_val`, `seg_test`, `test1`."""

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

TEST, VALIDATION, TRAIN = range(3)
SPLIT_NAMES = ("test", "validation", "train")
"""Names of the splits by number, in the order in which the images of a data set are stored."""

_WORDS = {
    **dict.fromkeys(("train", "training", "trn"), TRAIN),
    **dict.fromkeys(("test", "testing", "tst", "holdout", "eval", "evaluation"), TEST),
    **dict.fromkeys(("validation", "validate", "val", "valid", "dev"), VALIDATION),
}
_AMBIGUOUS = frozenset(("eval", "evaluation"))
"""Test images, or validation images if there is another test folder."""

_OTHER_MEANINGS = frozenset(("train", "valid", "dev", "eval", "evaluation"))

_FILLERS = frozenset(
    (
        *("set", "sets", "data", "dataset", "split", "part", "folder", "dir", "files", "samples"),
        *("image", "images", "img", "imgs", "photo", "photos", "picture", "pictures", "pics"),
    )
)
_COMPOUND = re.compile(rf"({'|'.join(sorted(_WORDS, key=len, reverse=True))})({'|'.join(sorted(_FILLERS))})")
_INSIDE = re.compile(r"train(?:ing)?|test(?:ing)?|val(?:id(?:ation)?)?")
_HOLD_OUT = re.compile(r"hold[-_ ]?out", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+|\d+")
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


class SplitName(NamedTuple):
    """Meaning of the name of a split folder.

    Args:
        split: TEST, VALIDATION or TRAIN.
        is_plain: True if the name says nothing else, as in `test_set` and `train2017` but not in `train_station`.
        is_ambiguous: True if it may mean test or validation images.
        may_be_class: True if the word has another meaning too, such as `train` and `valid`.
        is_first: True if the split is the first word of the name.
        rest: Other words of the name in lower case: `images_train` and `images_test` have the same rest.
    """

    split: int
    is_plain: bool
    is_ambiguous: bool
    may_be_class: bool
    is_first: bool
    rest: tuple[str, ...]


def split_name(name: str) -> SplitName | None:
    """Return the split that the first or last word of a folder's name denotes, in any case; None if neither does."""
    words = _words(name)
    meant = [word for word in words if word not in _FILLERS and not word.isdigit()]
    for word in meant[-1:] + meant[:1]:
        if word in _WORDS:
            rest = list(words)
            rest.remove(word)
            may_be_class = not rest and word in _OTHER_MEANINGS
            is_plain = len(meant) == 1
            return SplitName(_WORDS[word], is_plain, word in _AMBIGUOUS, may_be_class, words[0] == word, tuple(rest))
    return None


def pair_names(names: Sequence[str]) -> dict[str, SplitName]:
    """Return the splits of sibling names that are equal except for an embedded split: mytrain and mytest."""
    found: dict[str, list[tuple[str, int]]] = {}
    for name in names:
        for match in _INSIDE.finditer(name.lower()):
            rest = f"{name[: match.start()]}*{name[match.end() :]}".lower()
            found.setdefault(rest, []).append((name, _WORDS[match.group()]))
    return {
        name: SplitName(split, is_plain=False, is_ambiguous=False, may_be_class=True, is_first=True, rest=(rest,))
        for rest, members in found.items()
        if len({split for _, split in members}) > 1 and any(split == TRAIN for _, split in members)
        for name, split in members
    }


def _words(name: str) -> list[str]:
    words: list[str] = []
    for word in _WORD.findall(_HOLD_OUT.sub("holdout", unicodedata.normalize("NFC", name))):
        for piece in _CAMEL.findall(word) if word.isascii() and not word.isdigit() else [word]:
            compound = _COMPOUND.fullmatch(piece.lower())
            words += compound.groups() if compound else [piece.lower()]
    return words
