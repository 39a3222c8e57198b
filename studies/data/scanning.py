"""List the visible sub-folders and files of folders, and classify files by their names."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from spaces.errors import DataError
from studies.images.decoding import EXTENSIONS
from studies.images.messages import os_reason, printable_path

SUPPORTED = "JPEG, PNG, BMP, GIF or WebP"

UNSUPPORTED = frozenset(
    (
        *(".tif", ".tiff", ".heic", ".heif", ".avif", ".jxl", ".jp2", ".j2k", ".svg", ".eps", ".psd", ".ico", ".tga"),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".exr", ".hdr", ".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf"),
        *(".rw2", ".raf", ".dcm", ".nii", ".czi", ".svs", ".mp4", ".avi", ".mov", ".mkv", ".webm", ".pdf", ".npy"),
    )
)
"""Extensions of image files that are not supported."""

_OTHER_FILES = frozenset(
    (
        *(".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".md", ".rst", ".html", ".htm", ".pdf"),
        *(".db", ".ini", ".log", ".py", ".ipynb", ".sh", ".zip", ".tar", ".gz", ".npy", ".npz", ".mat", ".pkl", ".h5"),
        *(".xls", ".xlsx", ".doc", ".docx", ".parquet", ".toml", ".cfg", ".cff", ".bib", ".sha256", ".md5"),
    )
)
_OTHER_NAMES = frozenset(("readme", "license", "licence", "notice", "citation", "changelog", "authors", "makefile"))
_OTHER_FOLDERS = frozenset(
    ("__macosx", "__pycache__", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found")
)


def scan(folder: str) -> list[os.DirEntry[str]]:
    """Return all entries of a folder.

    Raises:
        DataError: The folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise DataError(f"cannot read the folder {printable_path(folder)}: {os_reason(error)}") from error


def list_subfolders(path: str) -> list[tuple[str, str]]:
    """Return the name and path of the visible sub-folders, sorted."""
    folders = (entry for entry in scan(path) if entry.is_dir() and _is_visible_folder(entry.name))
    return sorted((entry.name, entry.path) for entry in folders)


def list_loose_images(path: str) -> list[str]:
    """Return the paths of the images directly in a folder, sorted."""
    return sorted(entry.path for entry in scan(path) if is_image(entry.name) and not entry.is_dir())


def is_outnumbered(images: int, folder: str) -> bool:
    """Return True if a folder contains at least as many images, at any depth."""
    below = (entry for entry, _ in walk_files(folder) if is_image(entry.name))
    return sum(1 for _ in itertools.islice(below, images)) == images


def has_images(path: str) -> bool:
    """Return True if a folder contains an image at any depth, even one of an unsupported type."""
    return any(is_image(entry.name) for entry, _ in walk_files(path))


def walk_files(folder: str, prefix: str = "", above: tuple[str, ...] = ()) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Yield every visible file below a folder, with its relative name; circular links are followed once."""
    real = str(Path(folder).resolve())
    if real in above:
        return
    inner = []
    for entry in scan(folder):
        if entry.is_dir():
            inner += [entry] if _is_visible_folder(entry.name) else []
        elif not entry.name.startswith("."):
            yield entry, prefix + entry.name
    for entry in inner:
        yield from walk_files(entry.path, f"{prefix}{entry.name}/", (*above, real))


def extension(name: str) -> str:
    """Return the extension of a file name in lower case with its dot, or an empty string."""
    stem, dot, found = name.rpartition(".")
    return dot + found.lower() if stem else ""


def is_image(name: str) -> bool:
    """Return True if a file name is that of an image of a supported or an unsupported type."""
    return not name.startswith(".") and extension(name) in EXTENSIONS | UNSUPPORTED


def is_other_file(name: str) -> bool:
    """Return True if a file name is not that of an image but, for example, of a table or a text."""
    return extension(name) in _OTHER_FILES or name.lower() in _OTHER_NAMES


def _is_visible_folder(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _OTHER_FOLDERS
