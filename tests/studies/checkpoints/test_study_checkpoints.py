"""Checkpoints of a trial: two are kept, the newest complete one is used, and errors never end a trial."""

import errno
import importlib
import logging
import os
import resource
import uuid
from importlib.util import find_spec
from unittest.mock import Mock

import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from spaces.errors import OutputError
from studies.checkpoints.checkpoint_file import TrainingState
from studies.checkpoints.study_checkpoints import StudyCheckpoints
from tests.support.servers import s3_bucket


def state_of(epoch, size=10):
    return TrainingState(epoch, {"a": np.full(size, epoch, np.float32)}, {"history": [{"loss": 1 / epoch}] * epoch})


def saved(trial, *epochs):
    for epoch in epochs:
        trial.save(state_of(epoch))


def loaded(trial):
    """The epoch of the checkpoint that is used."""
    found = trial.load()
    return found and found.epoch


@pytest.fixture(scope="module")
def bucket():
    """Bucket of a local S3 server."""
    with s3_bucket() as url:
        yield url


NEEDS_S3 = [
    pytest.mark.optional,
    pytest.mark.skipif(not (find_spec("s3fs") and find_spec("moto")), reason="s3fs or moto is not installed"),
]


@pytest.fixture(params=["folder", "file://", "memory://", pytest.param("s3://", marks=NEEDS_S3)])
def place(request, tmp_path):
    """A store of each kind."""
    if request.param == "s3://":
        return f"{request.getfixturevalue('bucket')}/{uuid.uuid4().hex}"
    if request.param == "memory://":
        return f"memory://{uuid.uuid4().hex}/checkpoints"
    return tmp_path / "checkpoints" if request.param == "folder" else f"file://{tmp_path}/checkpoints"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "checkpoints"


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def test_checkpoints_are_restored_from_any_store(place):
    """The newest two are kept, in case one is damaged; clearing removes those of all attempts of one trial."""
    checkpoints = StudyCheckpoints(place)
    assert checkpoints.for_trial(7).load() is None
    saved(checkpoints.for_trial(7), 1, 2, 3, 4)
    saved(checkpoints.for_trial(7, attempt=1), 2)
    saved(checkpoints.for_trial(70), 2)
    found = StudyCheckpoints(place).for_trial(7).load()
    assert (found.epoch, found.state) == (4, state_of(4).state)
    np.testing.assert_array_equal(found.arrays["a"], state_of(4).arrays["a"])
    assert len(checkpoints.for_trial(7)._store.names()) == 4
    StudyCheckpoints(place).for_trial(7).clear()
    checkpoints.delete_except([70])
    assert [loaded(checkpoints.for_trial(number)) for number in (7, 70)] == [None, 2]
    checkpoints.delete_except([])
    assert checkpoints.for_trial(70)._store.names() == []


def test_incomplete_files_are_removed(folder):
    """Files that a killed worker left incomplete are removed with the trial's checkpoints."""
    trial = StudyCheckpoints(folder).for_trial(3)
    saved(trial, 1)
    for number in (3, 4):
        (folder / f"000{number}-00002-0.1234.tmp").write_bytes(b"half")
    trial.clear()
    assert names(folder) == ["0004-00002-0.1234.tmp"]
    StudyCheckpoints(folder).delete_except([])
    assert names(folder) == []


@pytest.mark.parametrize("keep", [0, 10, -1])
def test_damaged_checkpoint_falls_back_to_the_previous(folder, caplog, keep):
    """A checkpoint cut off anywhere is ignored with a warning that names it."""
    trial, newest = StudyCheckpoints(folder).for_trial(0), folder / "0000-00002-0.checkpoint"
    saved(trial, 1, 2)
    newest.write_bytes(newest.read_bytes()[:keep])
    assert loaded(trial) == 1
    assert f"{newest.name}: " in caplog.text
    (folder / "0000-00001-0.checkpoint").unlink()
    assert loaded(trial) is None


ONE, OTHER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


def test_checkpoints_of_other_recipes_and_studies_are_not_used(folder, caplog):
    """The recipe and the study are part of the content, so a renamed file does not change them."""
    saved(StudyCheckpoints(folder, ONE).for_trial(0, "dropout 0.1"), 1)
    assert loaded(StudyCheckpoints(folder, ONE).for_trial(0, "dropout 0.1")) == 1
    assert loaded(StudyCheckpoints(folder, ONE).for_trial(0, "dropout 0.2")) is None
    assert "another recipe" in caplog.text
    (file,) = folder.iterdir()
    file.rename(file.with_name(file.name.replace(ONE[:8], OTHER[:8])))
    assert loaded(StudyCheckpoints(folder, OTHER).for_trial(0, "dropout 0.1")) is None
    assert "another study" in caplog.text


def test_checkpoints_of_other_studies_are_not_removed(folder):
    """A study with the same recipe starts from scratch; the other study's checkpoints are counted and kept."""
    one = StudyCheckpoints(folder, ONE)
    other = one.for_study(OTHER)
    saved(one.for_trial(0, "recipe"), 1, 2)
    before = names(folder)
    assert other.notices() == ["ignoring 2 checkpoints of other studies"]
    assert loaded(other.for_trial(0, "recipe")) is None
    saved(other.for_trial(0, "recipe", 1), 1, 2, 3)
    other.for_trial(0).clear()
    other.delete_except([])
    assert names(folder) == before
    assert (loaded(one.for_trial(0, "recipe")), one.notices()) == (2, [])


def test_attempts_do_not_disturb_each_other(folder):
    """The newest epoch of any attempt is used, and a stalled worker removes nothing of the next attempt."""
    stalled, second, third = (StudyCheckpoints(folder).for_trial(0, attempt=attempt) for attempt in range(3))
    saved(stalled, 1, 2)
    saved(second, 3)
    assert (loaded(third), len(names(folder))) == (3, 3)
    saved(second, 4)
    newest = ["0000-00003-1.checkpoint", "0000-00004-1.checkpoint"]
    assert names(folder) == newest
    saved(stalled, 5, 6, 7)
    assert (names(folder)[:2], loaded(third)) == (newest, 7)


def test_restarted_trial_keeps_its_new_checkpoints(folder):
    """Damaged checkpoints of later epochs do not count as the newest, and an epoch overwrites its checkpoint."""
    saved(StudyCheckpoints(folder).for_trial(0), 8, 9)
    for file in folder.iterdir():
        file.write_bytes(b"damaged")
    trial = StudyCheckpoints(folder).for_trial(0, attempt=1)
    saved(trial, 1, 1)
    assert loaded(trial) == 1
    saved(trial, 2)
    assert names(folder) == ["0000-00001-1.checkpoint", "0000-00002-1.checkpoint"]


def test_full_disk_does_not_end_a_trial(folder, caplog):
    """The incomplete file is removed, the error is logged once, and the previous checkpoint is used."""
    trial = StudyCheckpoints(folder).for_trial(5)
    saved(trial, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
        for epoch in (2, 3):
            trial.save(state_of(epoch, size=10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(folder) == ["0005-00001-0.checkpoint"]
    [record] = caplog.records
    assert (record.levelno, os.strerror(errno.EFBIG) in record.getMessage()) == (logging.WARNING, True)
    assert "for trial 5: " in caplog.text
    saved(trial, 4)
    assert loaded(trial) == 4


def test_failing_remote_store_does_not_end_a_trial(monkeypatch, caplog):
    """An interrupted put leaves no file; failing reads and listings are logged without passwords."""
    place, original = f"memory://{uuid.uuid4().hex}", MemoryFileSystem.pipe_file
    trial = StudyCheckpoints(place).for_trial(5)
    saved(trial, 1)

    def breaks_off(self, path, value, **more):
        original(self, path, value[:10], **more)
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(MemoryFileSystem, "pipe_file", breaks_off)
        saved(trial, 2)
    assert "for trial 5: ConnectionError" in caplog.text
    assert trial._store.names() == ["0005-00001-0.checkpoint"]
    for method in ("cat_file", "ls"):
        monkeypatch.setattr(MemoryFileSystem, method, Mock(side_effect=RuntimeError("s3://user:password@host")))
        assert trial.load() is None
    trial.clear()
    StudyCheckpoints(place).delete_except([])
    assert "of trial 5: RuntimeError" in caplog.text
    assert "password" not in caplog.text


def test_unsupported_urls_are_refused(monkeypatch):
    """The error names the protocol or the missing package, and contains no password."""
    with pytest.raises(OutputError, match="nosuch://"):
        StudyCheckpoints("nosuch://user:password@bucket")
    known = {"class": "absent_package.FileSystem", "err": "Install absent-package to access it"}
    registry = importlib.import_module("fsspec.registry")
    monkeypatch.setitem(registry.known_implementations, "absent", known)
    with pytest.raises(OutputError, match=r"Install absent-package.*\nhint: pip install absent_package") as error:
        StudyCheckpoints("absent://user:password@bucket")
    assert "password" not in str(error.value)


@pytest.mark.parametrize("error", [None, OSError(errno.ENOSPC, "No space left on device")])
def test_checkpoints_take_at_most_5_percent_of_the_time(monkeypatch, folder, error):
    """The first is due at once; after one that took two seconds with its copying, 40 must pass, also if it failed."""
    now = [0.0]
    trial = StudyCheckpoints(folder, clock=lambda: now[0]).for_trial(0)
    assert trial.is_due
    write = trial._store.write

    def slow(*arguments):
        now[0] += 1.5
        if error:
            raise error
        write(*arguments)

    monkeypatch.setattr(trial._store, "write", slow)
    trial.save(state_of(1), copying_seconds=0.5)
    now[0] += 39.9
    assert not trial.is_due
    now[0] += 0.2
    assert trial.is_due
    assert trial.is_quick
    trial.save(state_of(2), copying_seconds=10.0)
    assert not trial.is_quick
