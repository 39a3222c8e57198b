"""Many processes that start with an empty cache at once, like the workers of one study."""

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
class Reports(logging.Handler):
    def emit(self, record):
        if "waiting" in record.getMessage():
            pipe.write(f"waiting {os.getpid()}\\n")
logging.getLogger("studies").setLevel(logging.INFO)
logging.getLogger("studies").addHandler(Reports())

def progress(done, total):
    if done and total not in seen:
        seen.add(total)
        pipe.write(f"decoding {os.getpid()}\\n")
        sys.stdin.readline()

seen = set()
data = load(ImageFolder(sys.argv[1]), Path.cwd(), progress=progress)
splits = (data.test, data.validation, data.train)
print(hashlib.sha256(b"".join(split.images.tobytes() for split in splits)).hexdigest())
"""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_classes(tmp_path / "photos", {"a": 100, "b": 100}, extension=".jpg")


@contextmanager
def start_all(photos: Path) -> Iterator[tuple[dict[int, subprocess.Popen[str]], TextIO]]:
    """Yield processes by number, and the lines they report: `decoding` or `waiting` and the number."""
    reader, writer = os.pipe()
    command = [sys.executable, "-c", LOAD, str(photos), str(writer)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = [subprocess.Popen(command, pass_fds=[writer], **pipes) for _ in range(STARTS)]
    os.close(writer)
    with os.fdopen(reader) as reports:
        try:
            yield {process.pid: process for process in running}, reports
        finally:
            for process in running:
                process.kill()
                process.communicate()


def decoding_process(reports: TextIO) -> int:
    """Return the process that decodes, once it does and all others wait for it."""
    lines = [reports.readline().split() for _ in range(STARTS)]
    assert sorted(what for what, _ in lines) == ["decoding", *["waiting"] * (STARTS - 1)]
    return next(int(number) for what, number in lines if what == "decoding")


@pytest.mark.parametrize("is_killed", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_many_starts_at_once_decode_once(photos, cache, is_killed):
    """One decodes, or within seconds of its kill -9 another one; the others read its images, and no scratch is left."""
    with start_all(photos) as (processes, reports):
        decoding = decoding_process(reports)
        if is_killed:
            processes.pop(decoding).kill()
            began = time.monotonic()
            what, number = reports.readline().split()
            assert time.monotonic() - began < 10
            assert (what, int(number) in processes) == ("decoding", True)
        for process in processes.values():
            process.stdin.write("\n")
            process.stdin.flush()
        [content] = {process.communicate(timeout=60)[0] for process in processes.values()}
        assert len(content.strip()) == 64
        assert reports.read() == ""
    assert not list((cache / "decoded").glob("scratch-*"))
