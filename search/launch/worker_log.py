"""The log files of worker processes, and what is read from them."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from search.formatting import escape_text, redact
from spaces.errors import OutputError

STUDY, UNKNOWN, IDENTITY_CHARACTERS = "study id   ", "not open yet", 36


class Log:
    """The log file of one worker, to which its processes write, one after the other.

    Its first line is the identity of the study, which is filled in once the study is open.

    Args:
        path: The file.
        descriptor: It, open for appending and held.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path, self.descriptor = path, descriptor
        self.number = int(path.stem.partition("-")[2])
        self._begin = path.stat().st_size

    def sign(self, study: str) -> None:
        """Write the identity of the study into the first line, or to the end where another one is there."""
        before = _study_of(self.path)
        if before == "":
            with self.path.open("r+b") as file:
                file.write(_first_line(study))
        elif before != study:
            os.write(self.descriptor, _first_line(study))

    def begin(self) -> None:
        """Another process writes from here on."""
        self._begin = self.path.stat().st_size

    def tail(self, lines: int = 5) -> str:
        """The last lines that the last process wrote, for showing."""
        with self.path.open("rb") as file:
            file.seek(self._begin)
            written = file.read().decode(errors="backslashreplace").splitlines()
        shown = [line for line in written if line.strip()][-lines:]
        return "\n".join(f"    {escape_text(redact(line))}" for line in shown)

    def close(self) -> None:
        """Let others have the file."""
        os.close(self.descriptor)


def open_logs(folder: Path, count: int, study: str = "") -> list[Log]:
    """Open one log file for each worker, and lock it: another supervisor may work on the same study.

    Args:
        folder: Where they are. Those of another study are moved out of the way, and kept.
        count: How many.
        study: Identity of the study; empty while there is none.

    Raises:
        OutputError: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = _free(folder, study)
        return [next(free) for _ in range(count)]
    except OSError as error:
        raise OutputError(f"the folder {folder} cannot be written: {error.strerror}: give another --output") from error


def _free(folder: Path, study: str) -> Iterator[Log]:
    number = 0
    while True:
        number += 1
        path = folder / f"worker-{number}.log"
        descriptor = _held(path)
        if descriptor is not None and _study_of(path) not in ("", None, study):
            path.rename(_aside(path))
            os.close(descriptor)
            descriptor = _held(path)
        if descriptor is None:
            continue
        if path.stat().st_size == 0:
            os.write(descriptor, _first_line(study))
        yield Log(path, descriptor)


def _held(path: Path) -> int | None:
    """Return a descriptor of a locked log file, or None if another process holds the lock."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        # Held through the descriptors of the worker's processes, too: also when their supervisor was killed.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        # Another supervisor writes it, or moves it away at this moment.
        pass
    os.close(descriptor)
    return None


def _first_line(study: str) -> bytes:
    """As long for a study that is not open yet as for any other, so that it can be filled in."""
    return f"{STUDY}{study or UNKNOWN:<{IDENTITY_CHARACTERS}}\n".encode()


def _study_of(path: Path) -> str | None:
    """The identity in the first line of a log; empty while it is not filled in, None if there is no such line."""
    with path.open("rb") as file:
        line = file.readline(len(STUDY) + IDENTITY_CHARACTERS + 1).decode(errors="replace")
    if not line.startswith(STUDY):
        return None
    found = line.removeprefix(STUDY).strip()
    return "" if found == UNKNOWN else found


def _aside(path: Path) -> Path:
    """Where the log of another study is kept; nothing is there yet."""
    study = _study_of(path) or ""
    short = study[:8] if study[:8].isalnum() else "earlier"
    names = (f"{path.stem}-{short}{f'-{count}' if count > 1 else ''}.log" for count in range(1, 10_000))
    return next(found for found in map(path.with_name, names) if not found.exists())
