"""`samples.png` and `mistakes.png`: images beside each other, each with what it is said to show."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from studies.pictures.canvas import new_figure, save
from studies.pictures.labels import fonts_for, readable

COLUMNS, IMAGES = 4, 16
_NAME_LENGTH = 28


def samples_picture(path: Path, images: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> None:
    """Draw training images of as many classes as there is room for, always the same ones.

    Args:
        path: The file to write.
        images: (n, height, width, channels) uint8, of which 16 are read.
        labels: Index of each image's class (n,).
        classes: Names of the classes.

    Raises:
        OSError: The file cannot be written.
    """
    chosen = _of_every_class(labels)
    captions = [[classes[labels[index]]] for index in chosen]
    _grid(path, [images[index] for index in chosen], captions, "Training images")


def mistakes_picture(
    path: Path, images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> bool:
    """Draw the test images whose wrong class was taken to be most probable.

    Args:
        path: The file to write.
        images: (n, height, width, channels) uint8.
        labels: Index of each image's true class (n,).
        probabilities: Each class's probability (n, classes).
        classes: Names of the classes.

    Returns:
        Whether there was any mistake, and so a picture.

    Raises:
        OSError: The file cannot be written.
    """
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    chosen = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:IMAGES]
    captions = [
        [f"true: {classes[labels[index]]}", f"found: {classes[predicted[index]]}, {probabilities[index].max():.0%}"]
        for index in chosen
    ]
    if len(chosen):
        _grid(path, [images[index] for index in chosen], captions, f"Surest of {len(wrong):,} mistakes in the test")
    return len(chosen) > 0


def _of_every_class(labels: np.ndarray) -> np.ndarray:
    """Sixteen images, or all: one of every class, then a second of every class, in an order by chance."""
    shuffled = np.random.default_rng(0).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    _, starts, counts = np.unique(labels[by_class], return_index=True, return_counts=True)
    turns = np.arange(len(labels)) - np.repeat(starts, counts)
    # Which classes come first in a turn is left to chance, since there may be more than there is room for.
    chances = np.random.default_rng(1).random(len(labels))
    chosen = by_class[np.lexsort((chances, turns))][:IMAGES]
    return np.random.default_rng(2).permutation(chosen)


def _grid(path: Path, images: Sequence[np.ndarray], captions: Sequence[Sequence[str]], title: str) -> None:
    rows, columns = math.ceil(len(images) / COLUMNS), min(COLUMNS, len(images))
    height, width = images[0].shape[:2]
    tall = min(2.5, max(0.4, height / width))
    lines = max(len(caption) for caption in captions)
    figure = new_figure(max(2.3 * columns, 4.0), rows * (2.2 * tall + 0.22 * lines) + 0.5)
    cells = figure.subplots(rows, columns, squeeze=False).ravel()
    shown = [readable(caption, _NAME_LENGTH) for caption in captions]
    fonts = fonts_for(name for caption in shown for name in caption)
    for axes in cells:
        axes.set_axis_off()
    for axes, image, caption in zip(cells, images, shown, strict=False):
        axes.imshow(*_pixels(image), vmin=0, vmax=255, interpolation="nearest" if max(height, width) < 64 else None)
        axes.set_title("\n".join(caption), fontsize=9, family=fonts)
    figure.suptitle(title, fontsize=12)
    save(figure, path)


def _pixels(image: np.ndarray) -> tuple[np.ndarray, str | None]:
    """The image as matplotlib shows it: two axes and a grey scale, or colours as they are."""
    return (image[..., 0], "gray") if image.shape[-1] == 1 else (image, None)
