"""Draws `samples.png` and `mistakes.png`: grids of images with captions."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from studies.export.plots.canvas import add_note, new_figure, save
from studies.export.plots.labels import NOTE, fonts_for, needs_note, number_undrawable, wrap_label

COLUMNS, IMAGES = 4, 16
_COLUMN_INCHES, _CAPTION_INCHES, _CAPTION_SIZE = 2.3, 2.15, 9
"""Width of a column, maximum width of a caption line, and font size in points."""


def plot_samples(path: Path, images: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> None:
    """Plot training images of as many classes as possible, always the same images.

    Args:
        images: (n, height, width, channels) uint8, of which 16 are read.
        labels: Class index of each image (n,).

    Raises:
        OSError: The file cannot be written.
    """
    chosen = _choose_samples(labels)
    names = number_undrawable(classes)
    captions = [[names[labels[index]]] for index in chosen]
    _grid(path, [images[index] for index in chosen], captions, "Training images", needs_note(classes))


def plot_mistakes(
    path: Path, images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> bool:
    """Plot the misclassified test images with the highest confidence.

    Args:
        images: (n, height, width, channels) uint8.
        labels: True class index of each image (n,).
        probabilities: Class probabilities (n, classes).

    Returns:
        True if there was a mistake and the file was written.

    Raises:
        OSError: The file cannot be written.
    """
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    chosen = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:IMAGES]
    names = number_undrawable(classes)
    captions = [
        [f"true: {names[labels[index]]}", f"predicted: {names[predicted[index]]}, {probabilities[index].max():.0%}"]
        for index in chosen
    ]
    if len(chosen):
        title = f"Most confident of {len(wrong):,} mistakes on test images"
        _grid(path, [images[index] for index in chosen], captions, title, needs_note(classes))
    return len(chosen) > 0


def _choose_samples(labels: np.ndarray) -> np.ndarray:
    """Choose up to 16 images at random: one of each class, then a second of each class, and so on."""
    shuffled = np.random.default_rng(0).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    _, starts, counts = np.unique(labels[by_class], return_index=True, return_counts=True)
    turns = np.arange(len(labels)) - np.repeat(starts, counts)
    # The order of classes in a turn is random, since there may be more classes than room.
    chances = np.random.default_rng(1).random(len(labels))
    chosen = by_class[np.lexsort((chances, turns))][:IMAGES]
    return np.random.default_rng(2).permutation(chosen)


def _grid(
    path: Path, images: Sequence[np.ndarray], captions: Sequence[Sequence[str]], title: str, has_note: bool
) -> None:
    rows, columns = math.ceil(len(images) / COLUMNS), min(COLUMNS, len(images))
    height, width = images[0].shape[:2]
    tall = min(2.5, max(0.4, height / width))
    shown = ["\n".join(wrap_label(each, _CAPTION_INCHES, _CAPTION_SIZE) for each in caption) for caption in captions]
    by_row = [shown[start : start + columns] for start in range(0, len(shown), columns)]
    lines = [max(caption.count("\n") + 1 for caption in row) for row in by_row]
    figure = new_figure(max(_COLUMN_INCHES * columns, 4.0), rows * 2.2 * tall + 0.22 * sum(lines) + 0.5)
    cells = figure.subplots(rows, columns, squeeze=False).ravel()
    fonts = fonts_for(shown)
    for axes in cells:
        axes.set_axis_off()
    for axes, image, caption in zip(cells, images, shown, strict=False):
        axes.imshow(*_pixels(image), vmin=0, vmax=255, interpolation="nearest" if max(height, width) < 64 else None)
        axes.set_title(caption, fontsize=_CAPTION_SIZE, family=fonts)
    figure.suptitle(title, fontsize=12)
    if has_note:
        add_note(figure, NOTE)
    save(figure, path)


def _pixels(image: np.ndarray) -> tuple[np.ndarray, str | None]:
    """Return the image and the colour map for matplotlib: two axes and a grey scale, or colours unchanged."""
    return (image[..., 0], "gray") if image.shape[-1] == 1 else (image, None)
