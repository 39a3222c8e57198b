"""Finds equal images that have different labels."""

from collections.abc import Callable, Sequence

import numpy as np


def label_conflicts(
    pictures: np.ndarray, labels: np.ndarray, name: Callable[[int], str], classes: Sequence[str]
) -> tuple[str, ...]:
    """Return a sentence for the user if equal images are in several classes, else nothing.

    Args:
        pictures: (n,) hash of each image's pixels.
        labels: (n,) classes.
        name: Gives the name of an image by its position.
        classes: Names of the classes.
    """
    order = np.lexsort((labels, pictures))
    same = pictures[order][1:] == pictures[order][:-1]
    # The images of a group are sorted by label: one change of label shows that it has several.
    changes = np.flatnonzero(same & (labels[order][1:] != labels[order][:-1]))
    if not len(changes):
        return ()
    of_several = np.isin(pictures, pictures[order][changes])
    first, second = order[changes[0]], order[changes[0] + 1]
    pair = " and ".join(f"{name(int(at))} ({classes[labels[at]]!r})" for at in (first, second))
    return (
        f"{int(of_several.sum()):,} images are equal to an image of another class, such as {pair}. They are kept; "
        "correct their labels, since no model can learn both.",
    )
