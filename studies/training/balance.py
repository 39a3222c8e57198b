"""Order and weights of the images of an epoch, for classes of unequal size."""

import numpy as np


def epoch_order(labels: np.ndarray, seed: int, epoch: int, *, balanced: bool = False) -> np.ndarray:
    """Return the positions of the images of an epoch (n,), which depend only on the seed and the epoch, from 0 on.

    If `balanced`, every class (n,) is drawn equally often, up to one image: of a large class some images, of a small
    one all of them several times.
    """
    rng = np.random.default_rng((seed, epoch))
    return rng.permutation(_drawn(labels, rng) if balanced else len(labels))


def class_weights(labels: np.ndarray) -> np.ndarray:
    """Return the weight of each image (n,), float32: inverse to the frequency of its class, with a mean of 1."""
    counts = np.bincount(labels)
    weights = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return np.asarray(weights[labels], np.float32)


def _drawn(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return as many positions as there are images, from each class in turn."""
    classes = np.unique(labels)
    rng.shuffle(classes)
    numbers = [len(labels) // len(classes) + (index < len(labels) % len(classes)) for index in range(len(classes))]
    return np.concatenate(
        [_draw(np.flatnonzero(labels == each), count, rng) for each, count in zip(classes, numbers, strict=True)]
    )


def _draw(positions: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return positions of one class; none repeats before all have been drawn equally often."""
    rounds = -(-count // len(positions))
    return np.concatenate([rng.permutation(positions) for _ in range(rounds)])[:count]
