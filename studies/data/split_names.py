"""Recognises the usual names of split folders: `train`, `Training`, `test_set`, `images_val`, `seg_test`, `test1`."""

import re
import unicodedata
from collections.abc import Sequence
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

_OTHER_MEANINGS = frozenset(("train", "valid", "dev", "eval", "evaluation"))

_FILLERS = frozenset(
    (
        *("set", "sets", "data", "dataset", "split", "part", "folder", "dir", "files", "samples"),
        *("image", "images", "img", "imgs", "photo", "photos", "picture", "pictures", "pics"),
    )
)
_GLUED = re.compile(rf"({'|'.join(sorted(_WORDS, key=len, reverse=True))})({'|'.join(sorted(_FILLERS))})")
_INSIDE = re.compile(r"train(?:ing)?|test(?:ing)?|val(?:id(?:ation)?)?")
_HOLD_OUT = re.compile(r"hold[-_ ]?out", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+|\d+")
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


class SplitName(NamedTuple):
    """What the name of a folder says about the split that it holds.

    Args:
        part: TEST, VALIDATION or TRAIN.
        is_plain: Nothing but the split is named, as in `test_set` and `train2017` but not in `train_station`.
        is_either: It may mean test or validation images.
        may_be_class: It is a word for something else too, such as `train` and `valid`.
        is_first: The split is the first word of the name.
        rest: What else is in the name, in lower case: `images_train` and `images_test` have the same rest.
    """

    part: int
    is_plain: bool
    is_either: bool
    may_be_class: bool
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
            may_be_class = not rest and word in _OTHER_MEANINGS
            is_plain = len(meant) == 1
            return SplitName(_WORDS[word], is_plain, word in _EITHER, may_be_class, words[0] == word, tuple(rest))
    return None


def pair_names(names: Sequence[str]) -> dict[str, SplitName]:
    """The splits of names that are equal but for a split glued into them: mytrain and mytest.

    Args:
        names: Names of folders next to each other, of which `split_name` knows none.
    """
    found: dict[str, list[tuple[str, int]]] = {}
    for name in names:
        for match in _INSIDE.finditer(name.lower()):
            rest = f"{name[: match.start()]}*{name[match.end() :]}".lower()
            found.setdefault(rest, []).append((name, _WORDS[match.group()]))
    return {
        name: SplitName(part, is_plain=False, is_either=False, may_be_class=True, is_first=True, rest=(rest,))
        for rest, members in found.items()
        if len({part for _, part in members}) > 1 and any(part == TRAIN for _, part in members)
        for name, part in members
    }


def _words(name: str) -> list[str]:
    words: list[str] = []
    for word in _WORD.findall(_HOLD_OUT.sub("holdout", unicodedata.normalize("NFC", name))):
        for part in _CAMEL.findall(word) if word.isascii() and not word.isdigit() else [word]:
            glued = _GLUED.fullmatch(part.lower())
            words += glued.groups() if glued else [part.lower()]
    return words
