"""Looks into folders: their visible sub-folders and files, and what the names of files say."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from spaces.errors import DataError
from studies.images.decoding import EXTENSIONS, shown_path

SUPPORTED = "JPEG, PNG, BMP, GIF or WebP"

UNSUPPORTED = frozenset(
    (
        *(".tif", ".tiff", ".heic", ".heif", ".avif", ".jxl", ".jp2", ".j2k", ".svg", ".eps", ".psd", ".ico", ".tga"),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".exr", ".hdr", ".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf"),
        *(".rw2", ".raf", ".dcm", ".nii", ".czi", ".svs", ".mp4", ".avi", ".mov", ".mkv", ".webm", ".pdf", ".npy"),
    )
)
"""Files that hold pictures in a form that is not read."""

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
    """Everything in a folder.

    Raises:
        DataError: It cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DataError(f"The folder {shown_path(folder)} cannot be read: {reason}.") from error


def subfolders(path: str) -> list[tuple[str, str]]:
    """Name and path of the visible sub-folders, sorted."""
    folders = (entry for entry in scan(path) if entry.is_dir() and _is_visible_folder(entry.name))
    return sorted((entry.name, entry.path) for entry in folders)


def loose_images(path: str) -> list[str]:
    """The paths of the images directly in a folder, sorted."""
    return sorted(entry.path for entry in scan(path) if is_picture(entry.name) and not entry.is_dir())


def outnumbered(images: int, folder: str) -> bool:
    """Return True if there are at most as many images as at all depths below a folder."""
    below = (entry for entry, _ in walk(folder) if is_picture(entry.name))
    return sum(1 for _ in itertools.islice(below, images)) == images


def has_images(path: str) -> bool:
    """Return True if there is a picture at any depth below a folder, also one of an unsupported type."""
    return any(is_picture(entry.name) for entry, _ in walk(path))


def walk(folder: str, prefix: str = "", above: tuple[str, ...] = ()) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Every visible file below a folder and its name relative to the first; links in a circle are followed once."""
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
        yield from walk(entry.path, f"{prefix}{entry.name}/", (*above, real))


def extension(name: str) -> str:
    """The extension of a file's name in lower case, with its dot; empty if there is none."""
    stem, dot, found = name.rpartition(".")
    return dot + found.lower() if stem else ""


def is_picture(name: str) -> bool:
    """Return True for the name of a picture of a supported or an unsupported type."""
    return not name.startswith(".") and extension(name) in EXTENSIONS | UNSUPPORTED


def is_something_else(name: str) -> bool:
    """Return True for a file whose name says that it is not a picture, such as a table or a text."""
    return extension(name) in _OTHER_FILES or name.lower() in _OTHER_NAMES


def _is_visible_folder(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _OTHER_FOLDERS
