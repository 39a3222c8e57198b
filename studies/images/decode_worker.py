"""Decode images in a process of its own: `python -m studies.images.decode_worker`, driven over stdin and stdout.

The first line of the input is [array file, offset of its rows, image format]. Each further line is a list of
[row, path]; the answer is a line with a list of [digest, reason or null]. The process ends when its input ends.
"""

import json
import signal
import sys
import warnings
from contextlib import closing
from typing import NamedTuple, Protocol

import numpy as np

from studies.images.decoding import ImageFormat, UnreadableImageError, content_digest, decode_pixels, read_bytes


class DecodeResult(NamedTuple):
    """Result of one file: the digest of its content (empty if it could not be read), and its problem if it has one."""

    digest: bytes
    problem: str | None


class PixelRows(Protocol):
    """Target of decoded images: an array, or the file of one."""

    def __setitem__(self, row: int, image: np.ndarray, /) -> None: ...


class FileRows:
    """Rows of an array file that already has its full length.

    Rows are written rather than memory-mapped: on a full disk a write raises an error, and a mapped page kills the
    process.

    Args:
        path: Path of the file.
        offset: Offset of row 0 in bytes.
        row_bytes: Length of a row in bytes.
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
    """Decode one file into its row. Raises `OSError` if the row cannot be written."""
    file_digest = b""
    try:
        content = read_bytes(path)
        file_digest = content_digest(content)
        image = decode_pixels(content, form)
    except UnreadableImageError as error:
        return DecodeResult(file_digest, str(error))
    rows[row] = image
    return DecodeResult(file_digest, None)


def main() -> None:
    """Answer each line until the input ends."""
    # Ctrl-C reaches every process of the terminal. The parent handles it and closes the input.
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
            _answer([(result.digest.hex(), result.problem) for result in done])


def _answer(message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
