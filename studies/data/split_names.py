"""Recognises the usual names of split folders: `train`, `Training`, `test_set`, `images_val`, `seg_test`, `test1`."""

import re
import unicodedata
from typing import NamedTuple

TEST, VALIDATION, TRAIN = range(3)
PARTS = ("test", "validation", "train")
"""In the order in which the images of a data set are stored."""

_WORDS = {
    **dict.fromkeys(("train", "training", "trn"), TRAIN),
    **dict.fromkeys(("test", "testing", "tst", "holdout", "eval", "evaluation"), TEST),
    **dict.fromkeys(("validation", "validate", "val", "valid", "dev"), VALIDATION),
}
_EITHER = frozenset(("eval", "evaluation"))
"""Test images, or validation images where there is another test folder."""

_FILLERS = frozenset(
    (
        *("set", "sets", "data", "dataset", "split", "part", "folder", "dir", "files", "samples"),
        *("image", "images", "img", "imgs", "photo", "photos", "picture", "pictures", "pics"),
    )
)
_GLUED = re.compile(rf"({'|'.join(sorted(_WORDS, key=len, reverse=True))})({'|'.join(sorted(_FILLERS))})")
_HOLD_OUT = re.compile(r"hold[-_ ]?out", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+|\d+")
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


class SplitName(NamedTuple):
    """What the name of a folder says about the split that it holds.

    Args:
        part: TEST, VALIDATION or TRAIN.
        is_plain: Nothing but the split is named, as in `test_set` and `train2017` but not in `train_station`.
        is_either: It may mean test or validation images.
        is_first: The split is the first word of the name.
        rest: What else is in the name, in lower case: `images_train` and `images_test` have the same rest.
    """

    part: int
    is_plain: bool
    is_either: bool
    is_first: bool
    rest: tuple[str, ...]


def split_name(name: str) -> SplitName | None:
    """The split that a folder's name speaks of, in any case, as the first or the last word; None if of none."""
    words = _words(name)
    meant = [word for word in words if word not in _FILLERS and not word.isdigit()]
    for word in meant[-1:] + meant[:1]:
        if word in _WORDS:
            rest = list(words)
            rest.remove(word)
            return SplitName(_WORDS[word], len(meant) == 1, word in _EITHER, words[0] == word, tuple(rest))
    return None


def _words(name: str) -> list[str]:
    words: list[str] = []
    for word in _WORD.findall(_HOLD_OUT.sub("holdout", unicodedata.normalize("NFC", name))):
        for part in _CAMEL.findall(word) if word.isascii() and not word.isdigit() else [word]:
            glued = _GLUED.fullmatch(part.lower())
            words += glued.groups() if glued else [part.lower()]
    return words
