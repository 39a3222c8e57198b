"""Many processes that start with an empty cache at once, like the workers of one study."""

import hashlib
import os
import signal
import time
from collections import defaultdict
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.support.image_folders import all_bytes, load_folder
from tests.support.images import write_classes

STARTS = 8
CONTEXT = get_context("spawn")


def load_images(photos: Path, events, may_finish) -> None:
    """Report whether this process decodes or waits, decode to the end when allowed, and report the images."""

    def progress(done: int, total: int) -> None:
        events.put(("decodes" if done else "waits", os.getpid()))
        if done:
            may_finish.wait()

    data = load_folder(photos, progress=progress)
    events.put((hashlib.sha256(b"".join(all_bytes(data))).hexdigest(), os.getpid()))


@pytest.mark.parametrize("is_killed", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_many_starts_at_once_decode_once(tmp_path, cache, is_killed):
    """One decodes, or within seconds of its kill -9 another one; the others read its images, and no scratch is left."""
    photos = write_classes(tmp_path, {"a": 100, "b": 100}, extension=".jpg")
    events, seen = CONTEXT.Queue(), defaultdict(set)

    def read(is_enough):
        while not is_enough():
            what, number = events.get(timeout=60)
            seen[what].add(number)

    permits = [CONTEXT.Event() for _ in range(STARTS)]
    processes = [CONTEXT.Process(target=load_images, args=(photos, events, each), daemon=True) for each in permits]
    for process in processes:
        process.start()
    permit_of = {process.pid: permit for process, permit in zip(processes, permits, strict=True)}
    read(lambda: seen["decodes"] and len(seen["decodes"] | seen["waits"]) == STARTS)
    if is_killed:
        [decoding] = seen["decodes"]
        # Setting the event of a process that was killed while it waited would block.
        del permit_of[decoding]
        os.kill(decoding, signal.SIGKILL)
        began = time.monotonic()
        read(lambda: len(seen["decodes"]) == 2)
        assert time.monotonic() - began < 10
    for permit in permit_of.values():
        permit.set()
    for process in processes:
        process.join()
    read(events.empty)
    assert len(seen.pop("decodes")) == 1 + is_killed
    assert len(seen.pop("waits")) >= STARTS - 1
    assert list(seen.values()) == [set(permit_of)]
    assert not list((cache / "decoded").glob("scratch-*"))
