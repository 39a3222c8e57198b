"""Pictures of a search and its model, as PNG files beside the export; the only place that draws."""

from studies.pictures.confusion import confusion_picture
from studies.pictures.curves import Curve, Epochs, curves_picture, mean_over_folds
from studies.pictures.drawing import draw
from studies.pictures.grids import mistakes_picture, samples_picture

__all__ = [
    "Curve",
    "Epochs",
    "confusion_picture",
    "curves_picture",
    "draw",
    "mean_over_folds",
    "mistakes_picture",
    "samples_picture",
]
