"""An empty picture, and how it becomes a file."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DOTS_PER_INCH = 110


def new_figure(width: float, height: float) -> Figure:
    """A figure of so many inches, which no global state knows of."""
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG.

    Raises:
        OSError: The file cannot be written.
    """
    figure.savefig(path, format="png", metadata={"Software": None})
