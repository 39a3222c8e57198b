"""Finds the ImageNet weights of a network: in the user's folder, in Keras' cache, or by downloading them."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import keras

from spaces.backbones import Pretrained
from spaces.errors import ModelError
from studies.models.known_weights import KnownNetwork, network_of, widths_of
from studies.models.weights_content import Shape, is_weights_file, read_content
from studies.models.weights_download import download, is_complete, keras_cache, keras_file
from studies.models.weights_match import first_difference

FOLDER_ENV = "SEARCH_WEIGHTS"


@dataclass(frozen=True)
class WeightsFile:
    """Weights file on this machine.

    Args:
        path: The file.
        network: The network that the file belongs to; None if Keras has no such network.
    """

    path: Path
    network: KnownNetwork | None


def weights_folder() -> Path | None:
    """Return the folder named by SEARCH_WEIGHTS, or None.

    Raises:
        ModelError: SEARCH_WEIGHTS is not a folder.
    """
    given = os.environ.get(FOLDER_ENV)
    if not given:
        return None
    folder = Path(given).expanduser()
    if not folder.is_dir():
        raise ModelError(f"{FOLDER_ENV}: {folder.absolute()} is not a folder")
    return folder


def weights_files(folder: Path) -> Iterator[WeightsFile]:
    """Yield every weights file in a folder and its subfolders, by path; other files are ignored."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and is_weights_file(path):
            try:
                yield WeightsFile(path, network_of(read_content(path)))
            except ModelError:
                continue


def imagenet_file(
    record: Pretrained, image_shape: Shape, network: Callable[[], keras.Model], notice: Callable[[str], None]
) -> Path:
    """Return the file with a network's ImageNet weights, downloading it if necessary.

    Args:
        image_shape: (height, width, channels) of the images, which selects one of MobileNet's files.
        network: Builds the network without its top; called only for a file that fits no network of Keras.

    Raises:
        ModelError: There are no such weights, several files fit, or the download failed.
    """
    if found := local_imagenet_file(record, image_shape, network):
        return found
    wanted = keras_file(record.name, record.alpha, image_shape)
    try:
        return download(wanted, keras_cache(), notice)
    except ModelError as error:
        raise ModelError(
            f"backbone: no ImageNet weights of {record.name}: {error}\nhint: put {wanted.name} into a folder and set "
            f'{FOLDER_ENV} to it, or pass a file: Pretrained("{record.name}", weights="FILE")'
        ) from error


def local_imagenet_file(record: Pretrained, image_shape: Shape, network: Callable[[], keras.Model]) -> Path | None:
    """Return the file with a network's ImageNet weights on this machine, or None; the arguments are those above."""
    if found := file_in_folder(record, image_shape, network):
        return found
    wanted = keras_file(record.name, record.alpha, image_shape)
    cached = keras_cache() / wanted.name
    return cached if is_complete(cached, wanted) else None


def file_in_folder(record: Pretrained, image_shape: Shape, network: Callable[[], keras.Model]) -> Path | None:
    """Return the file in SEARCH_WEIGHTS that fits a network without its top; None if there is none.

    Prefer files without a top, then the file with the name that Keras uses.

    Raises:
        ModelError: Several different files fit, or SEARCH_WEIGHTS is not a folder.
    """
    folder = weights_folder()
    if folder is None:
        return None
    built = cache(network)
    fitting = [file for file in weights_files(folder) if _fits(built, record, file)]
    if len(fitting) > 1:
        fitting = [file for file in fitting if not (file.network and file.network.has_top)] or fitting
    if len(fitting) > 1:
        name = keras_file(record.name, record.alpha, image_shape).name
        fitting = [file for file in fitting if file.path.name == name] or fitting
    if len(fitting) > 1 and len({digest_of(file.path) for file in fitting}) > 1:
        names = ", ".join(str(file.path.relative_to(folder)) for file in fitting)
        raise ModelError(
            f"backbone: {len(fitting)} files in {FOLDER_ENV} fit {record.name}: {names}\n"
            f'hint: keep one of them, or pass one: Pretrained("{record.name}", weights="FILE")'
        )
    return fitting[0].path if fitting else None


def digest_of(path: Path) -> str:
    """Return a digest of a file's content.

    Raises:
        ModelError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=20)).hexdigest()
    except OSError as error:
        raise ModelError(f"cannot read the weights file {path}: {error.strerror}") from error


def _fits(network: Callable[[], keras.Model], record: Pretrained, file: WeightsFile) -> bool:
    if file.network is not None:
        width = record.alpha if record.alpha is not None or not widths_of(record.name) else 1.0
        return (file.network.name, file.network.alpha) == (record.name, width)
    return first_difference(network(), read_content(file.path)) is None
