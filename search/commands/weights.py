"""`search weights`: lists or downloads the weights of pretrained networks."""

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from search.display.spinner import spinner
from search.display.terminal import NUMBER, TEXT, print_line, show_table
from search.formatting import escape_text, format_bytes, format_count
from search.quiet_env import silence_native_logs
from spaces.backbones import APPLICATIONS
from spaces.errors import UsageError

if TYPE_CHECKING:
    from studies.models.weights_find import WeightsFile


def list_weights(*, debug: bool = False) -> None:
    """Write the weights files of this machine to standard output.

    Raises:
        ModelError: SEARCH_WEIGHTS is not a folder.
    """
    silence_native_logs()
    with spinner("Loading Keras", debug=debug):
        from studies.models.weights_download import keras_cache
        from studies.models.weights_find import weights_files, weights_folder

        folders = [folder for folder in (weights_folder(), keras_cache()) if folder is not None]
        found = [(folder, file) for folder in folders for file in weights_files(folder)]
    if found:
        _show([file for _, file in found])
        print_line()
    for folder in folders:
        count = sum(where == folder for where, _ in found)
        print_line(f"{format_count(count, 'file')} in {escape_text(folder.absolute())}")


def get_weights(
    names: list[str], *, alpha: float | None, size: int, top: bool, output: Path | None, debug: bool = False
) -> None:
    """Download the weights of some networks.

    Args:
        alpha: Width multiplier; None for the network's default.
        output: Folder to download to; None for SEARCH_WEIGHTS, or else the Keras cache.

    Raises:
        UsageError: Keras has no network of that name.
        ModelError: There are no such weights, or the download failed.
    """
    networks = [_network(name) for name in names]
    silence_native_logs()
    with spinner("Loading Keras", debug=debug):
        from studies.models.weights_download import download, keras_cache, keras_file
        from studies.models.weights_find import weights_folder

        files = [keras_file(name, alpha, None if top else (size, size, 3), top) for name in networks]
    folder = output or weights_folder() or keras_cache()
    for name, file in zip(networks, files, strict=True):
        path = download(file, folder, print_line)
        print_line(f"{name}: {escape_text(path)}, {format_bytes(path.stat().st_size)}")


def _network(name: str) -> str:
    by_lower = {network.lower(): network for network in APPLICATIONS}
    if name.lower() in by_lower:
        return by_lower[name.lower()]
    nearest = [by_lower[found] for found in difflib.get_close_matches(name.lower(), by_lower, n=3)]
    guess = f"did you mean {' or '.join(nearest)}? " if nearest else ""
    raise UsageError(f"unknown network {name!r}\nhint: {guess}`search weights get --help` lists all")


def _show(found: "list[WeightsFile]") -> None:
    rows = []
    for file in found:
        network = file.network
        name = network.name if network else "unknown"
        alpha = f"{network.alpha:g}" if network and network.alpha is not None else ""
        top = "" if network is None else "1,000 classes" if network.has_top else "none"
        rows.append([name, alpha, top, format_bytes(file.path.stat().st_size), escape_text(file.path)])
    show_table({"network": TEXT, "alpha": NUMBER, "top": TEXT, "size": NUMBER, "file": TEXT}, rows)
