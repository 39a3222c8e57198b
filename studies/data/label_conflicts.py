"""Find duplicates that have different labels."""

from collections.abc import Callable, Sequence

import numpy as np


def conflict_notices(
    hashes: np.ndarray, labels: np.ndarray, name: Callable[[int], str], classes: Sequence[str]
) -> tuple[str, ...]:
    """Return a notice if duplicates are in several classes, else nothing.

    Args:
        hashes: (n,) hash of the pixels of each image.
        labels: (n,) classes.
        name: Function from the index of an image to its name.
    """
    order = np.lexsort((labels, hashes))
    same = hashes[order][1:] == hashes[order][:-1]
    # The images of a group are sorted by label, so one change of label shows that it has several.
    changes = np.flatnonzero(same & (labels[order][1:] != labels[order][:-1]))
    if not len(changes):
        return ()
    in_conflict = np.isin(hashes, hashes[order][changes])
    first, second = order[changes[0]], order[changes[0] + 1]
    pair = " and ".join(f"{name(int(index))} ({classes[labels[index]]!r})" for index in (first, second))
    return (
        f"{int(in_conflict.sum()):,} images duplicate an image of another class, such as {pair}; they are kept: "
        "correct their labels, since no model can learn both",
    )
