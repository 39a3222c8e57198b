"""Many processes that start on an empty cache at once, as workers of one study do."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pytest

from tests.support.images import write_classes

STARTS = 8
LOAD = """
import hashlib, logging, os, sys
from pathlib import Path
from spaces import ImageFolder
from studies.data.sources import load

pipe = os.fdopen(int(sys.argv[2]), "w", buffering=1)
class Told(logging.Handler):
    def emit(self, record):
        if "waiting" in record.getMessage():
            pipe.write(f"waiting {os.getpid()}\\n")
logging.getLogger("studies").setLevel(logging.INFO)
logging.getLogger("studies").addHandler(Told())

def progress(done, total):
    if done and total not in seen:
        seen.add(total)
        pipe.write(f"decoding {os.getpid()}\\n")
        sys.stdin.readline()

seen = set()
data = load(ImageFolder(sys.argv[1]), Path.cwd(), progress=progress)
parts = (data.test, data.validation, data.train)
print(hashlib.sha256(b"".join(part.images.tobytes() for part in parts)).hexdigest())
"""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_classes(tmp_path / "photos", {"a": 100, "b": 100}, extension=".jpg")


@contextmanager
def storm(photos: Path) -> Iterator[tuple[dict[int, subprocess.Popen[str]], TextIO]]:
    """Starts, by process number, and what they tell: `decoding` or `waiting` and who."""
    reader, writer = os.pipe()
    command = [sys.executable, "-c", LOAD, str(photos), str(writer)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = [subprocess.Popen(command, pass_fds=[writer], **pipes) for _ in range(STARTS)]
    os.close(writer)
    with os.fdopen(reader) as told:
        try:
            yield {process.pid: process for process in running}, told
        finally:
            for process in running:
                process.kill()
                process.communicate()


def told_by_all(told: TextIO) -> int:
    """The process that decodes, once it does and all others wait for it."""
    lines = [told.readline().split() for _ in range(STARTS)]
    assert sorted(what for what, _ in lines) == ["decoding", *["waiting"] * (STARTS - 1)]
    return next(int(who) for what, who in lines if what == "decoding")


def finished(processes: dict[int, subprocess.Popen[str]]) -> set[str]:
    """What the processes have read, after each may go on."""
    for process in processes.values():
        process.stdin.write("\n")
        process.stdin.flush()
    return {process.communicate(timeout=60)[0] for process in processes.values()}


def test_many_starts_at_once_decode_once(photos):
    """One decodes, the others wait, and all of them read the same images."""
    with storm(photos) as (processes, told):
        told_by_all(told)
        contents = finished(processes)
        assert len(contents) == 1
        assert len(contents.pop().strip()) == 64
        assert told.read() == ""


@pytest.mark.slow
def test_another_start_takes_over_from_one_that_was_killed(photos):
    """Within seconds of kill -9 one of those that waited decodes, and the others read what it made."""
    with storm(photos) as (processes, told):
        killed = processes.pop(told_by_all(told))
        killed.kill()
        began = time.monotonic()
        what, who = told.readline().split()
        assert time.monotonic() - began < 10
        assert (what, int(who) in processes) == ("decoding", True)
        contents = finished(processes)
        assert len(contents) == 1
        assert len(contents.pop().strip()) == 64
        assert told.read() == ""
