"""The sources of images: one record for each kind."""

import os
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

from spaces.argument_errors import checked_arguments
from spaces.records import Record, Rule, bool_field, field, float_field, int_field, text_field

KERAS_DATASETS = ("cifar10", "cifar100", "fashion_mnist", "mnist")


@checked_arguments
@dataclass(frozen=True, repr=False)
class Digits(Record):
    """Scikit-learn's 1,797 handwritten digits, 8x8 grey, ten classes; they need no download.

    Args:
        validation: Fraction of the training images for validation, stratified.
        test: Fraction of all images for the test, stratified.
    """

    _: KW_ONLY
    validation: float = float_field(0.2, 0.0, 0.9, above=True, fixed=True)
    test: float = float_field(0.2, 0.0, 0.9, above=True, fixed=True)


@checked_arguments
@dataclass(frozen=True, repr=False)
class ImageFolder(Record):
    """A folder with one subfolder of images per class.

    Relative paths start at the folder of the space file. A folder that contains `train` (and `test`, `validation`) with
    class folders inside counts as already split, also under names such as `Training` or `test_set`; a single folder
    around all images is skipped. If `test` is a folder, or `classes` is set, `train` is exactly the folder of class
    folders, whatever their names.

    Args:
        train: The folder of class folders.
        test: The folder of the test images; or the fraction of the training images for the test, stratified and always
            the same; None takes `test` next to `train`, or else 20% of the training images.
        validation: The folder of the validation images; `"folder"` for the one named `validation`, `val` or `valid`
            next to `train`; or the fraction of the training images for validation, stratified and always the same.
        image_size: Side in pixels of the square that images are resized to, or (height, width); None takes the median
            side of the images, at most 128.
        channels: 3 for colour, 1 for grey.
        resize: `stretch` changes the proportions, `crop` keeps the centre, `pad` adds black bars.
        max_skipped: Maximum fraction of files that may be unreadable.
        cache: Whether to decode the images once into the cache on disk; False decodes them once to check them and
            again for every batch, which is slower but needs no disk space.
        classes: Names of the subfolders that are the classes; None takes all.
    """

    train: str | os.PathLike[str] = field(Rule("path", fixed=True))
    _: KW_ONLY
    test: float | str | os.PathLike[str] | None = field(
        Rule("share_or_folder", 0.0, 0.9, above=True, optional=True, fixed=True), None
    )
    validation: float | str | os.PathLike[str] = field(Rule("share_or_folder", 0.0, 0.9, above=True, fixed=True), 0.2)
    image_size: int | tuple[int, int] | None = field(Rule("size", 4, 4096, optional=True), None)
    channels: int = int_field(3, options=(1, 3))
    resize: str = text_field("stretch", "stretch", "crop", "pad")
    max_skipped: float = float_field(0.05, 0.0, 1.0, fixed=True)
    cache: bool = bool_field(True, fixed=True)
    classes: Sequence[str] | None = field(Rule("names", optional=True, fixed=True), None)


@checked_arguments
@dataclass(frozen=True, repr=False)
class Npz(Record):
    """A NumPy archive with `x_train`, `y_train` and, optionally, `x_validation`, `x_test` and their `y_`.

    Images have the shape (n, height, width) or (n, height, width, channels), values 0 to 255 (or 0 to 1 when they
    are floats), in one range for all splits; labels are integers or texts, one for each image. An array `classes`
    names the classes. An array of any other name is an error.

    Args:
        file: Path of the archive, relative to the folder of the space file.
        validation: Fraction of the training images for validation if the archive has no `x_validation`.
        test: Fraction of all images for the test if the archive has no `x_test`.
    """

    file: str | os.PathLike[str] = field(Rule("path", fixed=True))
    _: KW_ONLY
    validation: float = float_field(0.2, 0.0, 0.9, above=True, fixed=True)
    test: float = float_field(0.2, 0.0, 0.9, above=True, fixed=True)


@checked_arguments
@dataclass(frozen=True, repr=False)
class KerasDataset(Record):
    """One of the image sets of `keras.datasets`, which Keras downloads once.

    Args:
        name: `cifar10`, `cifar100`, `fashion_mnist` or `mnist`.
        validation: Fraction of the training images for validation, stratified.
    """

    name: str = text_field("cifar10", *KERAS_DATASETS, fixed=True)
    _: KW_ONLY
    validation: float = float_field(0.2, 0.0, 0.9, above=True, fixed=True)


@checked_arguments
@dataclass(frozen=True, repr=False)
class CustomData(Record):
    """Images from a function of your own; `Space(data=function)` is short for it.

    Args:
        load: Returns a dict with `train` and, optionally, `validation` and `test`, each a pair
            (images, labels), and `classes`, a list of names. Images and labels are those of `Npz`.
        validation: Fraction of the training images for validation if there is no `validation`.
        test: Fraction of all images for the test if there is no `test`.
    """

    load: Callable[[], dict[str, Any]] = field(Rule("function", fixed=True))
    _: KW_ONLY
    validation: float = float_field(0.2, 0.0, 0.9, above=True, fixed=True)
    test: float = float_field(0.2, 0.0, 0.9, above=True, fixed=True)


DATA = (Digits, ImageFolder, Npz, KerasDataset, CustomData)
