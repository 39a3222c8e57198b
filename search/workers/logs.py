"""The log files of worker processes, and what is read from them."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from search.formats import clean, masked
from search.screen import LABEL
from spaces.errors import OutputError

ERROR = "error: "
TOLD = ("images", "data", "balance", "skipped", "features", "note")
"""The facts that a worker tells while it prepares and the supervisor does not know itself."""


class Log:
    """The log file of one worker, to which its processes write, one after the other.

    Args:
        path: The file.
        descriptor: It, open for appending and held.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path, self.descriptor = path, descriptor
        self.number = int(path.stem.partition("-")[2])
        self._begin = self._read = path.stat().st_size

    def begin(self) -> None:
        """Another process writes from here on."""
        self._begin = self._read = self.path.stat().st_size

    def lines(self) -> list[str]:
        """The whole lines that were written since the last call."""
        with self.path.open("rb") as file:
            file.seek(self._read)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._read += len(whole) + len(newline)
        return whole.decode(errors="backslashreplace").splitlines() if newline else []

    def message(self) -> str | None:
        """What the last process said it ended with, or None."""
        written = self._written()
        starts = [index for index, line in enumerate(written) if line.startswith(ERROR)]
        return "\n".join([written[starts[-1]].removeprefix(ERROR), *written[starts[-1] + 1 :]]) if starts else None

    def tail(self, lines: int = 5) -> str:
        """The last lines that the last process wrote, for showing."""
        written = [line for line in self._written() if line.strip()][-lines:]
        return "\n".join(f"    {clean(masked(line))}" for line in written)

    def _written(self) -> list[str]:
        with self.path.open("rb") as file:
            file.seek(self._begin)
            return file.read().decode(errors="backslashreplace").splitlines()

    def close(self) -> None:
        """Let others have the file."""
        os.close(self.descriptor)


def open_logs(folder: Path, count: int) -> list[Log]:
    """As many log files, each of them written by nobody else: another supervisor may work on the same study.

    Raises:
        OutputError: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = _free(folder)
        return [next(free) for _ in range(count)]
    except OSError as error:
        raise OutputError(f"the folder {folder} cannot be written: {error.strerror}: give another --output") from error


def _free(folder: Path) -> Iterator[Log]:
    number = 0
    while True:
        number += 1
        path = folder / f"worker-{number}.log"
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            # Held through the descriptors of the worker's processes, too: also when their supervisor was killed.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        yield Log(path, descriptor)


def facts_in(lines: list[str]) -> Iterator[tuple[str, str]]:
    """The facts that only a worker knows, in the lines of a log: a label, empty as in the line before, and a text."""
    current = ""
    for line in lines:
        label, text = line[:LABEL].strip(), line[LABEL + 1 :]
        current = label or current
        if current in TOLD:
            yield label, text
