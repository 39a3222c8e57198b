"""Draws all plots of one export."""

from pathlib import Path

import numpy as np

from studies.data.dataset import Dataset
from studies.export.plots.confusion import plot_confusion
from studies.export.plots.curves import Curve, plot_curves
from studies.export.plots.grids import plot_mistakes, plot_samples

SAMPLES, CONFUSION, MISTAKES, CURVES = "samples.png", "confusion_matrix.png", "mistakes.png", "curves.png"


def draw_plots(
    folder: Path, metric: str, curves: tuple[Curve, Curve], dataset: Dataset, probabilities: np.ndarray
) -> list[str]:
    """Draw all plots for which there is data.

    Args:
        curves: Learning curves of the best trial and the baseline.
        dataset: The images; samples show training images, mistakes show test images.
        probabilities: Class probabilities (n, classes) of the test images.

    Returns:
        The file names.

    Raises:
        OSError: A file cannot be written.
    """
    train, test, classes = dataset.train, dataset.test, dataset.classes
    matrix = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(matrix, (test.labels, probabilities.argmax(axis=1)), 1)
    if curves[0].epochs:
        plot_curves(folder / CURVES, metric, *curves)
    plot_samples(folder / SAMPLES, train.images, train.labels, classes)
    plot_confusion(folder / CONFUSION, matrix, classes)
    wrong = plot_mistakes(folder / MISTAKES, test.images, test.labels, probabilities, classes)
    return [*([CURVES] if curves[0].epochs else []), SAMPLES, CONFUSION, *([MISTAKES] if wrong else [])]
