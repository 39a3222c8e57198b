"""`confusion_matrix.png`: which classes the model takes for which."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from studies.pictures.canvas import new_figure, save
from studies.pictures.labels import fonts_for, readable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_WITH_NUMBERS = 25
_MOST_WITH_NAMES = 120


def confusion_picture(path: Path, counts: np.ndarray, classes: Sequence[str]) -> None:
    """Draw a confusion matrix: the colour is the share of the true class, the number how many images.

    Args:
        path: The file to write.
        counts: Images by true class (rows) and predicted class (columns).
        classes: Names of the classes.

    Raises:
        OSError: The file cannot be written.
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = float(np.clip(3.2 + 0.45 * len(classes), 4.5, 14.0))
    figure = new_figure(side + 1.2, side)
    axes = figure.subplots()
    drawn = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    figure.colorbar(drawn, ax=axes, label="share of the true class", fraction=0.045)
    _name_ticks(axes, classes)
    if len(classes) <= _MOST_WITH_NUMBERS:
        _write_counts(axes, counts, shares)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.set_title(f"{np.trace(counts):,} of {counts.sum():,} test images are right")
    save(figure, path)


def _name_ticks(axes: "Axes", classes: Sequence[str]) -> None:
    """Name every class, or every so many where there is no room for all."""
    step = -(-len(classes) // _MOST_WITH_NAMES)
    ticks = range(0, len(classes), step)
    named = [classes[index] for index in ticks]
    size = float(np.clip(180 / len(ticks), 4.5, 10.0))
    fonts = fonts_for(named)
    rotation = 0 if _fit_upright(named) else 90
    axes.set_xticks(ticks, readable(named), fontsize=size, family=fonts, rotation=rotation)
    axes.set_yticks(ticks, readable(named), fontsize=size, family=fonts)
    axes.tick_params(length=0)


def _fit_upright(names: Sequence[str]) -> bool:
    return len(names) <= 12 and max(map(len, names)) * len(names) <= 40


def _write_counts(axes: "Axes", counts: np.ndarray, shares: np.ndarray) -> None:
    size = float(np.clip(130 / len(counts), 5.5, 11.0))
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if shares[row, column] > 0.5 else "black" if count else "#bbbbbb"
        axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour, fontsize=size)
