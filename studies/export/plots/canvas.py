"""Creates empty figures and saves them."""

import textwrap
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DOTS_PER_INCH = 110
_NOTE_SIZE = 7.5


def new_figure(width: float, height: float) -> Figure:
    """Return a figure of this size in inches, independent of pyplot's global state."""
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def add_note(figure: Figure, note: str) -> None:
    """Add a sentence at the bottom of the figure."""
    width = max(40, int(figure.get_figwidth() * 72 / (0.55 * _NOTE_SIZE)))
    figure.supxlabel("\n".join(textwrap.wrap(note, width)), fontsize=_NOTE_SIZE, color="#555555")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG.

    Raises:
        OSError: The file cannot be written.
    """
    figure.savefig(path, format="png", metadata={"Software": None})
