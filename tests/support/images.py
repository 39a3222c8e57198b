"""Tiny image files, drawn by a seed, for tests of anything that reads folders."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int, height: int = 8, width: int = 8, channels: int = 3) -> np.ndarray:
    """(height, width, channels) uint8 noise, another for every seed."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def write_image(path: Path, seed: int = 0, height: int = 8, width: int = 8, mode: str = "RGB") -> Path:
    """Write one image file in the format of its extension, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(seed, height, width)).convert(mode).save(path)
    return path


def write_classes(
    folder: Path, counts: Mapping[str, int], *, height: int = 8, width: int = 8, extension: str = ".png", seed: int = 0
) -> Path:
    """Write a folder of class folders with `counts` images of each class, all different."""
    for number, (name, count) in enumerate(counts.items()):
        for k in range(count):
            path = folder / name / f"{name.split('/')[-1][:20]}_{k:04d}{extension}"
            write_image(path, seed=(seed * 100 + number) * 10_000 + k, height=height, width=width)
    return folder
