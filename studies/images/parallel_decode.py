"""Decodes many files on all cores: small images need processes (Python's lock), a few are quicker in threads."""

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
from studies.images.decoding import ImageFormat, Unreadable, digest, quiet_pillow, read_bytes

ProgressCallback = Callable[[int, int], None]
"""Called with the files done and the files in all."""

PROCESSES_FROM = 4000
"""So many files make up for the quarter of a second in which the processes start."""

_MOST_PER_CHUNK = 32
_SECONDS_BETWEEN_REPORTS = 0.05


class DecodeTask(NamedTuple):
    """One file to decode, and the row it goes to."""

    row: int
    path: str


class ArrayFile(NamedTuple):
    """An array on disk in its full length, whose rows are to be written.

    Args:
        path: The file.
        offset: Where row 0 begins, in bytes.
    """

    path: str
    offset: int


def decode_files(
    jobs: Sequence[DecodeTask],
    target: np.ndarray | ArrayFile,
    form: ImageFormat,
    progress: ProgressCallback | None = None,
    done: dict[int, DecodeResult] | None = None,
) -> list[DecodeResult]:
    """Decode every file into its row, on all cores.

    Args:
        jobs: The files and their rows.
        target: Where the images go: an array (n, height, width, channels), or the file of one.
        form: What images are brought to.
        progress: Called from this thread, at most 20 times a second; what it raises ends the decoding.
        done: What became of rows that are decoded already; at the end, also of an end by an error, of all that are.

    Returns:
        What became of each job, in order.

    Raises:
        OSError: The target cannot be written.
    """
    found = {} if done is None else done
    left = [job for job in jobs if job.row not in found]
    use_processes = isinstance(target, ArrayFile) and len(left) >= PROCESSES_FROM and cores() > 1
    run = _Run(left, target, form, use_processes, before=len(jobs) - len(left))
    try:
        run.empty_queue(progress)
    finally:
        found |= {job.row: result for job, result in zip(run.jobs, run.found, strict=True) if result is not None}
    return [found[job.row] for job in jobs]


def digests(paths: Sequence[str]) -> list[bytes]:
    """The digest of every file's content; empty where it cannot be read."""
    with ThreadPoolExecutor(2 * cores()) as pool:
        try:
            return list(pool.map(_digest_of, paths, chunksize=1))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _digest_of(path: str) -> bytes:
    try:
        return digest(read_bytes(path))
    except Unreadable:
        return b""


class _Decoder(Protocol):
    """Decodes a chunk of jobs, here or elsewhere."""

    def decode(self, chunk: Sequence[DecodeTask]) -> list[DecodeResult]: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


class _Died(Exception):
    """A process ended while it decoded: something in a file, or a lack of memory, has killed it."""


@dataclass
class _Run:
    """One call of `decode_files`: a queue of chunks, and a thread for each core that empties it."""

    jobs: list[DecodeTask]
    target: np.ndarray | ArrayFile
    form: ImageFormat
    use_processes: bool
    before: int = 0
    found: list[DecodeResult | None] = field(init=False)
    chunks: deque[range] = field(init=False)
    decoders: list["_Decoder"] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    done: int = 0

    def __post_init__(self) -> None:
        self.found = [None] * len(self.jobs)
        length = max(1, min(_MOST_PER_CHUNK, len(self.jobs) // (8 * cores())))
        starts = range(0, len(self.jobs), length)
        self.chunks = deque(range(start, min(start + length, len(self.jobs))) for start in starts)

    def empty_queue(self, progress: ProgressCallback | None) -> None:
        with quiet_pillow(), ThreadPoolExecutor(cores()) as pool:
            threads = [pool.submit(self._empty_queue) for _ in range(cores())]
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
                progress(self.before + self.done, self.before + len(self.jobs))

    def _empty_queue(self) -> None:
        while self.chunks and not self.stopped.is_set():
            decoder = self._decoder()
            try:
                self._decode_with(decoder)
            finally:
                decoder.close()

    def _decode_with(self, decoder: "_Decoder") -> None:
        """Until the queue is empty, or the decoder's process is dead."""
        while not self.stopped.is_set():
            try:
                chunk = self.chunks.popleft()
            except IndexError:
                return
            try:
                self._keep(chunk, decoder.decode([self.jobs[k] for k in chunk]))
            except _Died:
                self._retry(chunk)
                return

    def _keep(self, chunk: range, found: Sequence[DecodeResult]) -> None:
        # Fewer, when the run was stopped meanwhile.
        self.found[chunk.start : chunk.start + len(found)] = found
        with self.lock:
            self.done += len(found)

    def _retry(self, chunk: range) -> None:
        """One by one, so that only the file that kills a process is lost."""
        if self.stopped.is_set():
            return
        if len(chunk) == 1:
            self._keep(chunk, [DecodeResult(b"", "the process that decoded it was killed")])
        self.chunks.extend(range(k, k + 1) for k in chunk if len(chunk) > 1)

    def _decoder(self) -> _Decoder:
        decoder: _Decoder = _ThreadDecoder(self.target, self.form, self.stopped)
        if isinstance(self.target, ArrayFile) and self.use_processes:
            with contextlib.suppress(OSError, _Died):
                decoder = _ProcessDecoder(self.target, self.form)
        with self.lock:
            self.decoders.append(decoder)
            return decoder


class _ThreadDecoder:
    def __init__(self, target: np.ndarray | ArrayFile, form: ImageFormat, stopped: threading.Event) -> None:
        self._form, self._stopped = form, stopped
        self._rows: PixelRows = target if isinstance(target, np.ndarray) else FileRows(*target, form.bytes)

    def decode(self, chunk: Sequence[DecodeTask]) -> list[DecodeResult]:
        return [decode_into(self._rows, *job, self._form) for job in chunk if not self._stopped.is_set()]

    def stop(self) -> None:
        """It sees by itself that the run is stopped."""

    def close(self) -> None:
        if isinstance(self._rows, FileRows):
            self._rows.close()


class _ProcessDecoder:
    """A process of its own, started by name: a forked one would inherit TensorFlow's threads, and a spawned one would
    run a user's script again that has no main guard."""

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
            raise _Died
        try:
            stdin.write(json.dumps(message) + "\n")
            stdin.flush()
        except OSError as error:
            raise _Died from error
        line = stdout.readline()
        if not line.endswith("\n"):
            raise _Died
        return json.loads(line)  # type: ignore[no-any-return]


def _environment() -> dict[str, str]:
    """This package can be imported, and no thread is started that decoding does not use."""
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
