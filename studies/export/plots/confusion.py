"""Draws `confusion_matrix.png`: the predicted classes of each true class."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from studies.export.plots.canvas import add_note, new_figure, save
from studies.export.plots.labels import NOTE, fonts_for, needs_note, number_undrawable, text_inches, wrap_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAX_CLASSES_WITH_COUNTS = 25
_MAX_CLASSES_WITH_NAMES = 120
_MAX_HORIZONTAL_INCHES = 3.0
"""Maximum total width of the names below the columns without rotation."""

_LINE_TOLERANCE = 1.2
"""Allowed length of a line relative to equal lines of a name."""

_NAME_INCHES = 1.2
"""Length of names that always fits into the figure."""

_LINE_HEIGHT = 1.25
"""Line height relative to the font size."""

_MATRIX_FRACTION = 0.75
"""Minimum fraction of the figure's side for the matrix if the names are short."""


def plot_confusion(path: Path, counts: np.ndarray, classes: Sequence[str]) -> None:
    """Plot a confusion matrix: colours show the fraction of the true class, numbers count images.

    Args:
        counts: Images by true class (rows) and predicted class (columns).

    Raises:
        OSError: The file cannot be written.
    """
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = float(np.clip(3.2 + 0.45 * len(classes), 4.5, 14.0))
    ticks = _Ticks.of(classes, side)
    extra = ticks.extra_inches
    figure = new_figure(side + 1.2 + extra, side + (0.0 if ticks.are_upright else extra))
    axes = figure.subplots()
    drawn = axes.imshow(fractions, cmap="Blues", vmin=0.0, vmax=1.0)
    figure.colorbar(drawn, ax=axes, label="fraction of the true class", fraction=0.045)
    ticks.write(axes)
    if len(classes) <= _MAX_CLASSES_WITH_COUNTS:
        _write_counts(axes, counts, fractions)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.set_title(f"{np.trace(counts):,} of {counts.sum():,} test images correct")
    if needs_note(classes):
        add_note(figure, NOTE)
    save(figure, path)


@dataclass(frozen=True)
class _Ticks:
    """Class names next to the rows and below the columns.

    Args:
        positions: Rows with a name: all, or every k-th if there is not enough room.
        names: Names, wrapped to fit into a row.
        size: Font size in points.
        families: Font families that contain the characters.
        are_upright: Whether the names below the columns fit without rotation.
    """

    positions: Sequence[int]
    names: Sequence[str]
    size: float
    families: Sequence[str]
    are_upright: bool

    @classmethod
    def of(cls, classes: Sequence[str], side: float) -> "_Ticks":
        """Return the ticks for a matrix of this size in inches."""
        positions = range(0, len(classes), -(-len(classes) // _MAX_CLASSES_WITH_NAMES))
        size = float(np.clip(180 / len(positions), 4.5, 10.0))
        written = number_undrawable(classes)
        inches = [text_inches(written[index], size, fonts_for([written[index]])) for index in positions]
        lines = max(1, int(_MATRIX_FRACTION * side * 72 / len(positions) / (_LINE_HEIGHT * size)))
        most = math.inf if lines == 1 else max(_NAME_INCHES, _LINE_TOLERANCE * max(inches) / lines)
        names = [wrap_label(written[index], most, size) for index in positions]
        while max(name.count("\n") for name in names) >= lines:
            most *= _LINE_TOLERANCE
            names = [wrap_label(written[index], most, size) for index in positions]
        are_upright = len(names) <= 12 and max(inches) * len(names) <= _MAX_HORIZONTAL_INCHES
        return cls(positions, names, size, fonts_for(names), are_upright)

    @property
    def extra_inches(self) -> float:
        """Length of the longest line beyond the length that always fits, in inches."""
        return max(0.0, *(text_inches(name, self.size, self.families) - _NAME_INCHES for name in self.names))

    def write(self, axes: "Axes") -> None:
        rotation = 0 if self.are_upright else 90
        axes.set_xticks(
            self.positions, self.names, fontsize=self.size, family=self.families, rotation=rotation, ma="center"
        )
        axes.set_yticks(self.positions, self.names, fontsize=self.size, family=self.families)
        axes.tick_params(length=0)


def _write_counts(axes: "Axes", counts: np.ndarray, fractions: np.ndarray) -> None:
    size = float(np.clip(130 / len(counts), 5.5, 11.0))
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if fractions[row, column] > 0.5 else "black" if count else "#bbbbbb"
        axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour, fontsize=size)
