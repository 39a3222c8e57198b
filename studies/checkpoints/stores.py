"""Stores for checkpoint files: a folder, or any file system that fsspec supports."""

import contextlib
import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from spaces.errors import OutputError
from studies.study_folder import CHECKPOINT_FOLDER


class CheckpointStore(Protocol):
    """Flat store of files by name."""

    def names(self) -> list[str]:
        """Return the names of all files, including incomplete ones."""
        ...

    def read(self, name: str) -> bytes:
        """Return a file's content."""
        ...

    def write(self, name: str, pieces: Sequence[bytes | memoryview]) -> None:
        """Write a file completely or not at all."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file if it exists."""
        ...


def store_of_study(chosen: str | None, folder: Path) -> str | Path:
    """Return the path or URL of a study's checkpoints: in the study's folder, unless another place is chosen.

    Several machines need a place that all can access.
    """
    return folder / CHECKPOINT_FOLDER if chosen is None else f"{chosen.rstrip('/')}/{folder.name}"


def store_at(place: str | Path) -> CheckpointStore:
    """Return the store at a path or a URL such as `s3://bucket/folder`.

    Raises:
        OutputError: No installed package supports the URL.
    """
    if isinstance(place, Path) or "://" not in place:
        return LocalStore(Path(place))
    # A local folder does not need these imports.
    import fsspec
    from fsspec.implementations.local import LocalFileSystem

    scheme = place.partition("://")[0]
    try:
        filesystem, path = fsspec.core.url_to_fs(place)
    except ImportError as error:
        raise OutputError(f"checkpoints: {scheme}:// needs a missing package ({error}){_hint(scheme)}") from error
    except ValueError as error:
        raise OutputError(
            f"checkpoints: unknown protocol {scheme}://\n"
            "hint: pass a folder, or a URL that fsspec supports, such as s3://BUCKET/FOLDER"
        ) from error
    return LocalStore(Path(path)) if isinstance(filesystem, LocalFileSystem) else RemoteStore(filesystem, path)


def _hint(scheme: str) -> str:
    """Return how to install the package of a scheme; empty for fsspec's own, whose errors name the package."""
    from fsspec.registry import known_implementations

    package = known_implementations.get(scheme, {}).get("class", "fsspec").partition(".")[0]
    return "" if package == "fsspec" else f"\nhint: pip install {package}"


class LocalStore:
    """Store in a folder, which several machines may share.

    Args:
        path: The folder, created when the first file is written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self) -> list[str]:
        """Return the names of all files."""
        return [file.name for file in self._path.iterdir()] if self._path.is_dir() else []

    def read(self, name: str) -> bytes:
        """Return a file's content."""
        return (self._path / name).read_bytes()

    def write(self, name: str, pieces: Sequence[bytes | memoryview]) -> None:
        """Write a temporary file and rename it, so that readers see all of the file or nothing."""
        self._path.mkdir(parents=True, exist_ok=True)
        temporary = self._path / f"{Path(name).stem}.{uuid.uuid4().hex}.tmp"
        try:
            with temporary.open("xb") as file:
                file.writelines(pieces)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path / name)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        self._sync()

    def remove(self, name: str) -> None:
        """Remove a file if it exists."""
        (self._path / name).unlink(missing_ok=True)

    def _sync(self) -> None:
        """Make the rename survive a machine crash, where a folder can be opened."""
        with contextlib.suppress(OSError):
            folder = os.open(self._path, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


class RemoteStore:
    """Store in a folder of an fsspec file system; each file is written with one put.

    Args:
        filesystem: The file system.
        path: The folder.
    """

    def __init__(self, filesystem: Any, path: str) -> None:
        self._filesystem, self._path = filesystem, path.rstrip("/")

    def names(self) -> list[str]:
        """Return the names of all files, including those that other machines have just written."""
        self._filesystem.invalidate_cache()
        try:
            found = self._filesystem.ls(self._path, detail=False)
        except FileNotFoundError:
            return []
        return [str(path).rpartition("/")[2] for path in found]

    def read(self, name: str) -> bytes:
        """Return a file's content."""
        return bytes(self._filesystem.cat_file(self._file(name)))

    def write(self, name: str, pieces: Sequence[bytes | memoryview]) -> None:
        """Write with one put; remove what a failed put leaves."""
        content = b"".join(pieces)
        try:
            self._put(self._file(name), content)
        except BaseException:
            # An error during this cleanup must not hide the first one.
            with contextlib.suppress(Exception):
                self._filesystem.rm_file(self._file(name))
            raise

    def remove(self, name: str) -> None:
        """Remove a file if it exists."""
        with contextlib.suppress(FileNotFoundError):
            self._filesystem.rm_file(self._file(name))

    def _put(self, file: str, content: bytes) -> None:
        try:
            self._filesystem.pipe_file(file, content)
        except FileNotFoundError:
            # Object stores have no folders; on other file systems the first write creates the folder.
            self._filesystem.makedirs(self._path, exist_ok=True)
            self._filesystem.pipe_file(file, content)

    def _file(self, name: str) -> str:
        return f"{self._path}/{name}"
