"""Decode many files on all cores: in processes, because of Python's lock, or a few files in threads."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from studies.images.decode_worker import DecodeResult, FileRows, PixelRows, decode_into
from studies.images.decoding import ImageFormat, UnreadableImageError, content_digest, quiet_pillow, read_bytes

ProgressCallback = Callable[[int, int], None]
"""Called with the number of files done and the total."""

PROCESSES_FROM = 4000
"""Number of files from which processes pay off: they take a quarter of a second to start."""

_MAX_PER_CHUNK = 32
_SECONDS_BETWEEN_REPORTS = 0.05


class DecodeTask(NamedTuple):
    """One file to decode, and its row."""

    row: int
    path: str


class ArrayFile(NamedTuple):
    """An array file of full length whose rows are still to be written.

    Args:
        path: Path of the file.
        offset: Offset of row 0 in bytes.
    """

    path: str
    offset: int


def decode_files(
    tasks: Sequence[DecodeTask],
    target: np.ndarray | ArrayFile,
    form: ImageFormat,
    progress: ProgressCallback | None = None,
    done: dict[int, DecodeResult] | None = None,
) -> list[DecodeResult]:
    """Decode every file into its row, on all cores.

    Args:
        target: Array (n, height, width, channels), or the file of one.
        progress: Callback, called from this thread at most 20 times a second; may raise to stop the decoding.
        done: Results of rows that are already decoded, by row; updated with all results, also when an error is raised.

    Returns:
        Result of each task, in order.

    Raises:
        OSError: The target cannot be written.
    """
    found = {} if done is None else done
    remaining = [task for task in tasks if task.row not in found]
    use_processes = isinstance(target, ArrayFile) and len(remaining) >= PROCESSES_FROM and core_count() > 1
    run = _Run(remaining, target, form, use_processes, done_before=len(tasks) - len(remaining))
    try:
        run.empty_queue(progress)
    finally:
        found |= {task.row: result for task, result in zip(run.tasks, run.results, strict=True) if result is not None}
    return [found[task.row] for task in tasks]


def digests(paths: Sequence[str]) -> list[bytes]:
    """Return the digest of the content of each file; empty if it cannot be read."""
    with ThreadPoolExecutor(2 * core_count()) as pool:
        try:
            return list(pool.map(_file_digest, paths, chunksize=1))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def core_count() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _file_digest(path: str) -> bytes:
    try:
        return content_digest(read_bytes(path))
    except UnreadableImageError:
        return b""


class _Decoder(Protocol):
    """Decoder of chunks of tasks, in this process or in another one."""

    def decode(self, chunk: Sequence[DecodeTask]) -> list[DecodeResult]: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


class _DecoderDied(Exception):
    """A process died while decoding, because of a file or for lack of memory."""


@dataclass
class _Run:
    """One call of `decode_files`: a queue of chunks, and one thread per core that empties it."""

    tasks: list[DecodeTask]
    target: np.ndarray | ArrayFile
    form: ImageFormat
    use_processes: bool
    done_before: int = 0
    results: list[DecodeResult | None] = field(init=False)
    chunks: deque[range] = field(init=False)
    decoders: list["_Decoder"] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    done: int = 0

    def __post_init__(self) -> None:
        self.results = [None] * len(self.tasks)
        length = max(1, min(_MAX_PER_CHUNK, len(self.tasks) // (8 * core_count())))
        starts = range(0, len(self.tasks), length)
        self.chunks = deque(range(start, min(start + length, len(self.tasks))) for start in starts)

    def empty_queue(self, progress: ProgressCallback | None) -> None:
        with quiet_pillow(), ThreadPoolExecutor(core_count()) as pool:
            threads = [pool.submit(self._empty_queue) for _ in range(core_count())]
            try:
                self._watch(threads, progress)
            finally:
                self._stop()

    def _stop(self) -> None:
        self.stopped.set()
        with self.lock:
            for decoder in self.decoders:
                decoder.stop()

    def _watch(self, threads: list[Future[None]], progress: ProgressCallback | None) -> None:
        waiting = set(threads)
        while waiting:
            finished, waiting = wait(waiting, timeout=_SECONDS_BETWEEN_REPORTS)
            for thread in finished:
                thread.result()
            if progress is not None:
                progress(self.done_before + self.done, self.done_before + len(self.tasks))

    def _empty_queue(self) -> None:
        while self.chunks and not self.stopped.is_set():
            decoder = self._decoder()
            try:
                self._decode_with(decoder)
            finally:
                decoder.close()

    def _decode_with(self, decoder: "_Decoder") -> None:
        """Decode until the queue is empty or the process of the decoder has died."""
        while not self.stopped.is_set():
            try:
                chunk = self.chunks.popleft()
            except IndexError:
                return
            try:
                self._keep(chunk, decoder.decode([self.tasks[k] for k in chunk]))
            except _DecoderDied:
                self._retry(chunk)
                return

    def _keep(self, chunk: range, found: Sequence[DecodeResult]) -> None:
        # A stopped run returns fewer results.
        self.results[chunk.start : chunk.start + len(found)] = found
        with self.lock:
            self.done += len(found)

    def _retry(self, chunk: range) -> None:
        """Requeue the files of a chunk one by one, so that only the file that kills the process is lost."""
        if self.stopped.is_set():
            return
        if len(chunk) == 1:
            self._keep(chunk, [DecodeResult(b"", "decoding it killed the process")])
        self.chunks.extend(range(k, k + 1) for k in chunk if len(chunk) > 1)

    def _decoder(self) -> _Decoder:
        decoder: _Decoder = _ThreadDecoder(self.target, self.form, self.stopped)
        if isinstance(self.target, ArrayFile) and self.use_processes:
            with contextlib.suppress(OSError, _DecoderDied):
                decoder = _ProcessDecoder(self.target, self.form)
        with self.lock:
            self.decoders.append(decoder)
            return decoder


class _ThreadDecoder:
    def __init__(self, target: np.ndarray | ArrayFile, form: ImageFormat, stopped: threading.Event) -> None:
        self._form, self._stopped = form, stopped
        self._rows: PixelRows = target if isinstance(target, np.ndarray) else FileRows(*target, form.bytes)

    def decode(self, chunk: Sequence[DecodeTask]) -> list[DecodeResult]:
        return [decode_into(self._rows, *task, self._form) for task in chunk if not self._stopped.is_set()]

    def stop(self) -> None:
        """Do nothing: `decode` checks whether the run is stopped."""

    def close(self) -> None:
        if isinstance(self._rows, FileRows):
            self._rows.close()


class _ProcessDecoder:
    """A separate process, started by module name: a forked one would inherit TensorFlow's threads, and a spawned one
    would run a user's script again that has no main guard."""

    def __init__(self, target: ArrayFile, form: ImageFormat) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "studies.images.decode_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            encoding="ascii",
        )
        try:
            self._ask([*target, form])
        except BaseException:
            self.close()
            raise

    def decode(self, chunk: Sequence[DecodeTask]) -> list[DecodeResult]:
        answer = self._ask(chunk)
        if isinstance(answer, dict):
            raise OSError(answer["errno"], answer["message"])
        return [DecodeResult(bytes.fromhex(found), problem) for found, problem in answer]

    def stop(self) -> None:
        self._process.kill()

    def close(self) -> None:
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process.wait()

    def _ask(self, message: object) -> list[tuple[str, str | None]] | dict[str, str]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise _DecoderDied
        try:
            stdin.write(json.dumps(message) + "\n")
            stdin.flush()
        except OSError as error:
            raise _DecoderDied from error
        line = stdout.readline()
        if not line.endswith("\n"):
            raise _DecoderDied
        return json.loads(line)  # type: ignore[no-any-return]


def _environment() -> dict[str, str]:
    """Return an environment in which this package can be imported and numerical libraries start no threads."""
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
