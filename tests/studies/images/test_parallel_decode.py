"""Decoding on all cores, in threads and in processes."""

import errno
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from studies.images import decode_worker, parallel_decode
from studies.images.cache_entry import create_array_file
from studies.images.decoding import ImageFormat, content_digest
from studies.images.parallel_decode import ArrayFile, DecodeTask, decode_files
from tests.support.images import picture, write_image

FORM = ImageFormat(8, 8, 3, "stretch")


@pytest.fixture
def jobs(tmp_path):
    """Five images in turned order, one of them broken, one absent, one with a name that is no text."""
    names = ["0.png", "1.png", os.fsdecode(b"\xff.png"), "broken.png", "absent.png"]
    for seed in range(3):
        write_image(tmp_path / names[seed], seed)
    (tmp_path / "broken.png").write_text("no image")
    return [DecodeTask(4 - k, str(tmp_path / name)) for k, name in enumerate(names)]


@pytest.fixture(params=["threads", "processes"])
def way(request, monkeypatch):
    monkeypatch.setattr(parallel_decode, "PROCESSES_FROM", 0 if request.param == "processes" else 10**9)
    monkeypatch.setattr(parallel_decode, "core_count", lambda: 2)
    return request.param


def test_every_file_is_decoded_into_its_row(way, jobs, tmp_path):
    """Rows, digests and problems are those of the files, in threads and in processes."""
    target = create_array_file(tmp_path / "x.npy", 5, FORM)
    reports: list[tuple[int, int]] = []
    found = decode_files(jobs, target, FORM, lambda *report: reports.append(report))
    images = np.load(tmp_path / "x.npy")
    assert all(np.array_equal(images[4 - k], picture(k)) for k in range(3))
    assert [result.problem for result in found[:4]] == [None, None, None, "not a JPEG, PNG, BMP, GIF or WebP image"]
    assert found[4].problem == "no such file or directory"
    assert found[3].digest == content_digest(b"no image")
    assert found[4].digest == b""
    assert reports[-1] == (5, 5)


def test_a_target_that_cannot_be_written_ends_the_decoding(way, jobs, tmp_path):
    """The system's error comes through, from a process too."""
    full = ArrayFile("/dev/full", 0)
    if not Path(full.path).exists():
        pytest.skip("needs /dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        decode_files(jobs, full, FORM)
    assert caught.value.errno == errno.ENOSPC


def test_no_process_is_left_behind(way, jobs, tmp_path, monkeypatch):
    """An interruption ends every process that was started."""
    started: list[subprocess.Popen] = []
    popen = subprocess.Popen

    def remembered(*args, **kwargs):
        started.append(popen(*args, **kwargs))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", remembered)

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        decode_files(jobs, create_array_file(tmp_path / "x.npy", 5, FORM), FORM, interrupt)
    assert all(process.poll() is not None for process in started)
    assert bool(started) == (way == "processes")


def test_a_file_that_kills_its_process_is_skipped(jobs, tmp_path, monkeypatch):
    """Only the file itself is lost."""
    monkeypatch.setattr(parallel_decode, "PROCESSES_FROM", 0)
    monkeypatch.setattr(parallel_decode, "core_count", lambda: 2)
    deadly = tmp_path / "deadly.py"
    deadly.write_text(
        "import os\nfrom studies.images import decode_worker\nread = decode_worker.read_bytes\n"
        "def killing(path):\n    return os._exit(9) if path.endswith('1.png') else read(path)\n"
        "decode_worker.read_bytes = killing\ndecode_worker.main()\n"
    )
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda args, **kwargs: popen([sys.executable, str(deadly)], **kwargs))
    found = decode_files(jobs, create_array_file(tmp_path / "x.npy", 5, FORM), FORM)
    assert [result.problem is None for result in found] == [True, False, True, False, False]
    assert found[1].problem == "decoding it killed the process"


def test_where_no_process_can_be_started_threads_decode(jobs, tmp_path, monkeypatch):
    """A missing or broken interpreter costs speed, nothing else."""
    monkeypatch.setattr(parallel_decode, "PROCESSES_FROM", 0)
    monkeypatch.setattr(parallel_decode, "core_count", lambda: 2)
    for executable in ("/absent/python", "/bin/false"):
        monkeypatch.setattr(sys, "executable", executable)
        found = decode_files(jobs, create_array_file(tmp_path / "x.npy", 5, FORM), FORM)
        assert [result.problem is None for result in found] == [True, True, True, False, False]


def test_a_row_is_written_whole_to_its_place(tmp_path):
    """Rows may be written in any order."""
    target = create_array_file(tmp_path / "x.npy", 3, FORM)
    with closing(decode_worker.FileRows(*target, FORM.bytes)) as rows:
        rows[2], rows[0] = picture(2), picture(0)
    images = np.load(tmp_path / "x.npy")
    assert np.array_equal(images[2], picture(2))
    assert not images[1].any()
