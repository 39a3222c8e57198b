"""A process that decodes images: `python -m studies.images.decode_worker`, driven over its standard input and output.

The first line it reads is [array file, offset of its rows, form of the images]; each further line is a list of
[row, path], answered by a line with a list of [digest, reason or null]. It ends with its input.
"""

import json
import signal
import sys
import warnings
from contextlib import closing
from typing import NamedTuple, Protocol

import numpy as np

from studies.images.decoding import ImageFormat, Unreadable, digest, pixels, read_bytes


class DecodeResult(NamedTuple):
    """What became of one file: the digest of its content (empty where it could not be read), and what is wrong."""

    digest: bytes
    problem: str | None


class PixelRows(Protocol):
    """Where images are put: an array, or the file of one."""

    def __setitem__(self, row: int, image: np.ndarray, /) -> None: ...


class FileRows:
    """The rows of an array file that exists in its full length.

    Rows are written rather than mapped: on a full disk a write is an error, and a mapped page kills the process.

    Args:
        path: The file.
        offset: Where row 0 begins, in bytes.
        row_bytes: The length of a row.
    """

    def __init__(self, path: str, offset: int, row_bytes: int) -> None:
        self._file = open(path, "r+b", buffering=0)  # noqa: PTH123, SIM115 - closed by `close`
        self._offset, self._row_bytes = offset, row_bytes

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __setitem__(self, row: int, image: np.ndarray) -> None:
        self._file.seek(self._offset + row * self._row_bytes)
        data = np.ascontiguousarray(image).data.cast("B")
        while data:
            data = data[self._file.write(data) :]


def decode_into(rows: PixelRows, row: int, path: str, form: ImageFormat) -> DecodeResult:
    """Decode one file into its row. Raises `OSError` when the row cannot be written."""
    found = b""
    try:
        content = read_bytes(path)
        found = digest(content)
        image = pixels(content, form)
    except Unreadable as error:
        return DecodeResult(found, str(error))
    rows[row] = image
    return DecodeResult(found, None)


def main() -> None:
    """Answer lines until the input ends."""
    # Ctrl-C reaches every process of a terminal: the parent decides, and ends the input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    path, offset, numbers = json.loads(sys.stdin.readline())
    form = ImageFormat(*numbers)
    with closing(FileRows(path, offset, form.bytes)) as rows:
        _answer("ready")
        for line in sys.stdin:
            try:
                done = [decode_into(rows, row, path, form) for row, path in json.loads(line)]
            except OSError as error:
                _answer({"errno": error.errno, "message": error.strerror})
                return
            _answer([(found.digest.hex(), found.problem) for found in done])


def _answer(message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
