"""The log files of worker processes, which are for people."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from search.formatting import escape_text, redact
from spaces.errors import OutputError
from studies.study_folder import path_for_other_study

STUDY, UNKNOWN, IDENTITY_CHARACTERS = "study id   ", "not open yet", 36


class Log:
    """The log file of one worker, to which its processes write one after another.

    Its first line holds the identity of the study, which is filled in once the study is open.

    Args:
        path: Path of the file.
        descriptor: Descriptor of the file, open for appending and locked.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path, self.descriptor = path, descriptor
        self.number = int(path.stem.partition("-")[2])
        self._begin = path.stat().st_size

    def sign(self, study: str) -> None:
        """Write the identity of the study into the first line; append it if the line holds another one."""
        before = _study_of(self.path)
        if before == "":
            with self.path.open("r+b") as file:
                file.write(_first_line(study))
        elif before != study:
            os.write(self.descriptor, _first_line(study))

    def begin(self) -> None:
        """Start the part of another process."""
        self._begin = self.path.stat().st_size

    def tail(self, lines: int = 5) -> str:
        """Return the last lines of the last process, without passwords and control characters."""
        with self.path.open("rb") as file:
            file.seek(self._begin)
            written = file.read().decode(errors="backslashreplace").splitlines()
        shown = [line for line in written if line.strip()][-lines:]
        return "\n".join(f"    {escape_text(redact(line))}" for line in shown)

    def close(self) -> None:
        """Close the file and release its lock."""
        os.close(self.descriptor)


def open_logs(folder: Path, count: int, study: str = "") -> list[Log]:
    """Open and lock one log file for each worker; another supervisor of the same study uses other files.

    Args:
        folder: Folder of the logs. Those of another study are renamed.
        study: Identity of the study; empty if it does not exist yet.

    Raises:
        OutputError: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = _free(folder, study)
        return [next(free) for _ in range(count)]
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror}\nhint: pass a different --output") from error


def _free(folder: Path, study: str) -> Iterator[Log]:
    number = 0
    while True:
        number += 1
        path = folder / f"worker-{number}.log"
        descriptor = _lock(path)
        if descriptor is not None and _study_of(path) not in ("", None, study):
            path.rename(path_for_other_study(path, _study_of(path) or ""))
            os.close(descriptor)
            descriptor = _lock(path)
        if descriptor is None:
            continue
        if path.stat().st_size == 0:
            os.write(descriptor, _first_line(study))
        yield Log(path, descriptor)


def _lock(path: Path) -> int | None:
    """Return a descriptor of a locked log file, or None if another process holds the lock."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        # The worker processes inherit the lock with the descriptor, so it outlives a killed supervisor.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        # Another supervisor uses it, or is renaming it.
        pass
    os.close(descriptor)
    return None


def _first_line(study: str) -> bytes:
    """Return the first line; it has the same length with and without an identity, so that it can be filled in."""
    return f"{STUDY}{study or UNKNOWN:<{IDENTITY_CHARACTERS}}\n".encode()


def _study_of(path: Path) -> str | None:
    """Return the identity in the first line of a log; empty if it is not filled in, None without such a line."""
    with path.open("rb") as file:
        line = file.readline(len(STUDY) + IDENTITY_CHARACTERS + 1).decode(errors="replace")
    if not line.startswith(STUDY):
        return None
    found = line.removeprefix(STUDY).strip()
    return "" if found == UNKNOWN else found
