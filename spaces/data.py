"""Where the images come from: one record for each kind of source."""

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
    """Scikit-learn's 1,797 handwritten digits, 8x8 grey, ten classes; they come with it and need no network.

    Args:
        validation: Share of the training images that is split off, stratified, to judge the trials by.
        test: Share of all images that is kept aside, stratified, for the one test at the end.
    """

    _: KW_ONLY
    validation: float = float_field(0.2, 0.0, 0.9, above=True, fixed=True)
    test: float = float_field(0.2, 0.0, 0.9, above=True, fixed=True)


@checked_arguments
@dataclass(frozen=True, repr=False)
class ImageFolder(Record):
    """A folder with one sub-folder of images for each class.

    A relative path is looked up from the folder of the space file. A folder that holds `train` (and `test`,
    `validation`) with class folders inside is taken as already split, also under names such as `Training` or
    `test_set`; a single folder around all images is entered. Where `test` names a folder, or `classes` the classes,
    `train` is exactly the folder of class folders, whatever their names.

    Args:
        train: The folder of class folders.
        test: The folder of the test images; or the share of the training images that is split off, stratified and
            always the same, whatever lies next to them; None takes `test` beside `train`, or else splits off 20%.
        validation: The folder of the validation images; `"folder"` for the one named `validation`, `val` or `valid`
            beside `train`; or the share of the training images that is split off, stratified and always the same,
            to judge the trials by.
        image_size: Pixels of the square that images are resized to, or (height, width); None takes the median
            side of the images, at most 128.
        channels: 3 for colour, 1 for grey.
        resize: `stretch` ignores the proportions, `crop` cuts the centre, `pad` adds black bars.
        max_skipped: Largest share of files that may be unreadable before that is an error.
        cache: Decode the images once into the cache on disk; False decodes them once to check them and again for
            every batch, which is slower but takes no room.
        classes: Names of the sub-folders that are the classes; None takes all.
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
    """A NumPy archive with `x_train`, `y_train` and, where present, `x_validation`, `x_test` and their `y_`.

    Images have the shape (n, height, width) or (n, height, width, channels), values 0 to 255 (or 0 to 1 when they
    are floats), in one range for all splits; labels are integers or texts, one for each image. An array `classes`
    names the classes. An archive with an array of any other name is refused.

    Args:
        file: Path of the archive, from the folder of the space file.
        validation: Share of the training images that is split off when the archive has no `x_validation`.
        test: Share of all images that is kept aside when the archive has no `x_test`.
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
        validation: Share of the training images that is split off, stratified, to judge the trials by.
    """

    name: str = text_field("cifar10", *KERAS_DATASETS, fixed=True)
    _: KW_ONLY
    validation: float = float_field(0.2, 0.0, 0.9, above=True, fixed=True)


@checked_arguments
@dataclass(frozen=True, repr=False)
class CustomData(Record):
    """Images from a function of your own; `Space(data=function)` is short for it.

    Args:
        load: Returns a dict with `train` and, where there are any, `validation` and `test`, each a pair
            (images, labels), and optionally `classes`, a list of names. Images and labels as in `Npz`.
        validation: Share of the training images that is split off when there is no `validation`.
        test: Share of all images that is kept aside when there is no `test`.
    """

    load: Callable[[], dict[str, Any]] = field(Rule("function", fixed=True))
    _: KW_ONLY
    validation: float = float_field(0.2, 0.0, 0.9, above=True, fixed=True)
    test: float = float_field(0.2, 0.0, 0.9, above=True, fixed=True)


DATA = (Digits, ImageFolder, Npz, KerasDataset, CustomData)
