"""Where files are kept: a folder, or anywhere that fsspec reaches."""

import contextlib
import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from spaces.errors import OutputError
from studies.study_folder import CHECKPOINT_FOLDER


class CheckpointStore(Protocol):
    """Holds files by their names, without folders in it."""

    def names(self) -> list[str]:
        """The names of all files, also of those that were only partly written."""
        ...

    def read(self, name: str) -> bytes:
        """A file's content."""
        ...

    def write(self, name: str, pieces: Sequence[bytes | memoryview]) -> None:
        """Write a file whole or not at all."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file; an absent one is fine."""
        ...


def store_of_study(chosen: str | None, folder: Path) -> str | Path:
    """Where a study's trainings are saved: on several machines it must be reached from all of them.

    Args:
        chosen: A folder or URL for all studies, or None.
        folder: The folder of the study, which has its name.
    """
    return folder / CHECKPOINT_FOLDER if chosen is None else f"{chosen.rstrip('/')}/{folder.name}"


def store_at(place: str | Path) -> CheckpointStore:
    """A folder's path, or a URL such as `s3://bucket/folder`, as a place.

    Raises:
        OutputError: Nothing that is installed reaches the URL.
    """
    if isinstance(place, Path) or "://" not in place:
        return LocalStore(Path(place))
    # Loaded where it is needed only: a folder needs none of it.
    import fsspec
    from fsspec.implementations.local import LocalFileSystem

    scheme = place.partition("://")[0]
    try:
        filesystem, path = fsspec.core.url_to_fs(place)
    except ImportError as error:
        way_out = f"a package that is not installed{_installing(scheme)} ({error})"
        raise OutputError(f"checkpoints: {scheme}:// needs {way_out}") from error
    except ValueError as error:
        raise OutputError(
            f"checkpoints: {scheme}:// is not known: give a folder, or a URL that fsspec reads such as s3://BUCKET/FOLDER"
        ) from error
    return LocalStore(Path(path)) if isinstance(filesystem, LocalFileSystem) else RemoteStore(filesystem, path)


def _installing(scheme: str) -> str:
    """What installs the package of a scheme; what fsspec's own file systems need is told by its words alone."""
    from fsspec.registry import known_implementations

    package = known_implementations.get(scheme, {}).get("class", "fsspec").partition(".")[0]
    return "" if package == "fsspec" else f": pip install {package}"


class LocalStore:
    """A folder, which may be shared by several machines.

    Args:
        path: Made when the first file is written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self) -> list[str]:
        """The names of all files."""
        return [file.name for file in self._path.iterdir()] if self._path.is_dir() else []

    def read(self, name: str) -> bytes:
        """A file's content."""
        return (self._path / name).read_bytes()

    def write(self, name: str, pieces: Sequence[bytes | memoryview]) -> None:
        """Write beside the file, then put it in place: whoever reads sees all of it or nothing."""
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
        """Remove a file; an absent one is fine."""
        (self._path / name).unlink(missing_ok=True)

    def _sync(self) -> None:
        """Make the new name outlive the machine's failure, where a folder can be opened."""
        with contextlib.suppress(OSError):
            folder = os.open(self._path, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


class RemoteStore:
    """A folder of an fsspec file system; a file is written with one put.

    Args:
        filesystem: The file system.
        path: The folder in it.
    """

    def __init__(self, filesystem: Any, path: str) -> None:
        self._filesystem, self._path = filesystem, path.rstrip("/")

    def names(self) -> list[str]:
        """The names of all files, also of those that others have just written."""
        self._filesystem.invalidate_cache()
        try:
            found = self._filesystem.ls(self._path, detail=False)
        except FileNotFoundError:
            return []
        return [str(path).rpartition("/")[2] for path in found]

    def read(self, name: str) -> bytes:
        """A file's content."""
        return bytes(self._filesystem.cat_file(self._file(name)))

    def write(self, name: str, pieces: Sequence[bytes | memoryview]) -> None:
        """Write with one put; what a failed one leaves is removed."""
        content = b"".join(pieces)
        try:
            self._put(self._file(name), content)
        except BaseException:
            # Whatever went wrong, and whatever goes wrong now: the first error is the one to tell.
            with contextlib.suppress(Exception):
                self._filesystem.rm_file(self._file(name))
            raise

    def remove(self, name: str) -> None:
        """Remove a file; an absent one is fine."""
        with contextlib.suppress(FileNotFoundError):
            self._filesystem.rm_file(self._file(name))

    def _put(self, file: str, content: bytes) -> None:
        try:
            self._filesystem.pipe_file(file, content)
        except FileNotFoundError:
            # Object stores have no folders; where there are some, the first file makes its own.
            self._filesystem.makedirs(self._path, exist_ok=True)
            self._filesystem.pipe_file(file, content)

    def _file(self, name: str) -> str:
        return f"{self._path}/{name}"
