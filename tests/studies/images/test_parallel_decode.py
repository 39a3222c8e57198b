"""Decoding on all cores, in threads and in processes."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from studies.images import parallel_decode
from studies.images.cache_entry import create_array_file
from studies.images.decoding import ImageFormat, content_digest
from studies.images.parallel_decode import ArrayFile, DecodeTask, decode_files
from tests.support.images import picture, write_image

FORM = ImageFormat(8, 8, 3, "stretch")


@pytest.fixture
def tasks(tmp_path):
    """Five images in reverse order: one broken, one missing, one with an undecodable name."""
    names = ["0.png", "1.png", os.fsdecode(b"\xff.png"), "broken.png", "absent.png"]
    for seed in range(3):
        write_image(tmp_path / names[seed], seed)
    (tmp_path / "broken.png").write_text("no image")
    return [DecodeTask(4 - k, str(tmp_path / name)) for k, name in enumerate(names)]


@pytest.fixture
def processes(monkeypatch):
    monkeypatch.setattr(parallel_decode, "PROCESSES_FROM", 0)
    monkeypatch.setattr(parallel_decode, "core_count", lambda: 2)


@pytest.fixture(params=["threads", "processes"])
def way(request, processes, monkeypatch):
    if request.param == "threads":
        monkeypatch.setattr(parallel_decode, "PROCESSES_FROM", 10**9)
    return request.param


def test_every_file_is_decoded_into_its_row(way, tasks, tmp_path):
    """Rows, digests and problems are those of the files, in threads and in processes."""
    target = create_array_file(tmp_path / "x.npy", 5, FORM)
    reports: list[tuple[int, int]] = []
    found = decode_files(tasks, target, FORM, lambda *report: reports.append(report))
    images = np.load(tmp_path / "x.npy")
    assert all(np.array_equal(images[4 - k], picture(k)) for k in range(3))
    assert [result.problem for result in found[:4]] == [None, None, None, "not a JPEG, PNG, BMP, GIF or WebP image"]
    assert found[4].problem == "no such file or directory"
    assert found[3].digest == content_digest(b"no image")
    assert found[4].digest == b""
    assert reports[-1] == (5, 5)


def test_an_unwritable_target_ends_the_decoding(way, tasks, tmp_path):
    """The error of the operating system is raised, also from a process."""
    full = ArrayFile("/dev/full", 0)
    if not Path(full.path).exists():
        pytest.skip("needs /dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        decode_files(tasks, full, FORM)
    assert caught.value.errno == errno.ENOSPC


def test_no_process_is_left_behind(way, tasks, tmp_path, monkeypatch):
    """An interruption ends every process that was started."""
    started: list[subprocess.Popen] = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **more: started.append(popen(*args, **more)) or started[-1])
    with pytest.raises(KeyboardInterrupt):
        decode_files(
            tasks, create_array_file(tmp_path / "x.npy", 5, FORM), FORM, progress=Mock(side_effect=KeyboardInterrupt)
        )
    assert all(process.poll() is not None for process in started)
    assert bool(started) == (way == "processes")


@pytest.mark.usefixtures("processes")
def test_a_file_that_kills_its_process_is_skipped(tasks, tmp_path, monkeypatch):
    """Only this file is lost, not the others that the process has been given with it."""
    deadly = tmp_path / "deadly.py"
    deadly.write_text(
        "import os\nfrom studies.images import decode_worker\nread = decode_worker.read_bytes\n"
        "def killing(path):\n    return os._exit(9) if path.endswith('1.png') else read(path)\n"
        "decode_worker.read_bytes = killing\ndecode_worker.main()\n"
    )
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda args, **kwargs: popen([sys.executable, str(deadly)], **kwargs))
    many = [*tasks, *(DecodeTask(row, tasks[0].path) for row in range(5, 32))]
    found = decode_files(many, create_array_file(tmp_path / "x.npy", 32, FORM), FORM)
    assert [k for k, result in enumerate(found) if result.problem is not None] == [1, 3, 4]
    assert found[1].problem == "decoding it killed the process"


@pytest.mark.usefixtures("processes")
def test_threads_decode_if_no_process_can_be_started(tasks, tmp_path, monkeypatch):
    """A missing or broken interpreter only costs speed."""
    for executable in ("/absent/python", "/bin/false"):
        monkeypatch.setattr(sys, "executable", executable)
        found = decode_files(tasks, create_array_file(tmp_path / "x.npy", 5, FORM), FORM)
        assert [result.problem is None for result in found] == [True, True, True, False, False]
