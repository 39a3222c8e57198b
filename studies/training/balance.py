"""In which order an epoch shows the images, and what each one weighs, for classes of unequal size."""

import numpy as np


def epoch_order(labels: np.ndarray, seed: int, epoch: int, *, balanced: bool = False) -> np.ndarray:
    """The positions of an epoch's images (n,), which follow from the seed and the epoch alone.

    Args:
        labels: Each image's class (n,).
        seed: Seed of the order.
        epoch: Counted from 0.
        balanced: Draw every class equally often, up to one image: of a large class some images, of a small one all
            of them several times.
    """
    rng = np.random.default_rng((seed, epoch))
    return rng.permutation(_drawn(labels, rng) if balanced else len(labels))


def class_weights(labels: np.ndarray) -> np.ndarray:
    """Each image's weight (n,), float32: the inverse of its class's share, scaled to a mean of 1."""
    counts = np.bincount(labels)
    weights = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return np.asarray(weights[labels], np.float32)


def _drawn(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many positions as there are images, by turns from each class."""
    classes = np.unique(labels)
    rng.shuffle(classes)
    numbers = [len(labels) // len(classes) + (index < len(labels) % len(classes)) for index in range(len(classes))]
    return np.concatenate(
        [_draw(np.flatnonzero(labels == each), count, rng) for each, count in zip(classes, numbers, strict=True)]
    )


def _draw(positions: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of one class: none comes once more before all have come as often."""
    rounds = -(-count // len(positions))
    return np.concatenate([rng.permutation(positions) for _ in range(rounds)])[:count]
