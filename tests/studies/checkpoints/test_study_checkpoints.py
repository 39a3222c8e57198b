"""The checkpoints of a trial: two are kept, the newest whole one counts, and trouble with them ends nothing."""

import errno
import importlib
import logging
import os
import resource
import uuid
from importlib.util import find_spec

import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from spaces.errors import OutputError
from studies.checkpoints.checkpoint_file import TrainingState
from studies.checkpoints.study_checkpoints import StudyCheckpoints
from studies.checkpoints.throttle import Throttle
from tests.support.servers import s3_bucket


class Clock:
    """Seconds that pass only when told."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def snapshot(epoch, size=10):
    return TrainingState(epoch, {"a": np.full(size, epoch, np.float32)}, {"history": [{"loss": 1 / epoch}] * epoch})


def saved(trial, *epochs):
    for epoch in epochs:
        trial.save(snapshot(epoch))


def loaded(trial):
    """The epoch of the checkpoint that counts."""
    found = trial.load()
    return found and found.epoch


@pytest.fixture(scope="module")
def bucket():
    """A bucket of an S3 server of our own."""
    with s3_bucket() as url:
        yield url


NEEDS_S3 = [
    pytest.mark.optional,
    pytest.mark.skipif(not (find_spec("s3fs") and find_spec("moto")), reason="s3fs or moto is not installed"),
]


@pytest.fixture(params=["folder", "file://", "memory://", pytest.param("s3://", marks=NEEDS_S3)])
def place(request, tmp_path):
    """Somewhere to keep checkpoints."""
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


def test_a_checkpoint_comes_back(place):
    """Whatever was saved is there for the next worker, wherever it is kept."""
    assert StudyCheckpoints(place).for_trial(7).load() is None
    StudyCheckpoints(place).for_trial(7).save(snapshot(2))
    found = StudyCheckpoints(place).for_trial(7).load()
    assert (found.epoch, found.state) == (2, snapshot(2).state)
    np.testing.assert_array_equal(found.arrays["a"], snapshot(2).arrays["a"])
    assert StudyCheckpoints(place).for_trial(70).load() is None


def test_the_newest_counts_and_two_are_kept(place):
    """Also the second newest stays, in case the newest is torn."""
    trial = StudyCheckpoints(place).for_trial(0)
    saved(trial, 1, 2, 3, 4)
    assert loaded(StudyCheckpoints(place).for_trial(0)) == 4
    assert len(trial._store.names()) == 2


def test_clearing_removes_one_trials_files(place):
    """Other trials keep theirs, whoever wrote them."""
    checkpoints = StudyCheckpoints(place)
    for number in (1, 12):
        saved(checkpoints.for_trial(number, attempt=0), 1)
        saved(checkpoints.for_trial(number, attempt=1), 2)
    StudyCheckpoints(place).for_trial(1).clear()
    assert loaded(checkpoints.for_trial(1)) is None
    assert loaded(checkpoints.for_trial(12)) == 2
    checkpoints.delete_except([12])
    assert loaded(checkpoints.for_trial(12)) == 2
    checkpoints.delete_except([])
    assert checkpoints.for_trial(12)._store.names() == []


def test_half_written_files_are_removed(folder):
    """What a killed worker left half written goes with the trial's checkpoints."""
    trial = StudyCheckpoints(folder).for_trial(3)
    saved(trial, 1)
    (folder / "0003-00002-0.1234.tmp").write_bytes(b"half")
    (folder / "0004-00002-0.1234.tmp").write_bytes(b"half")
    trial.clear()
    assert names(folder) == ["0004-00002-0.1234.tmp"]
    StudyCheckpoints(folder).delete_except([])
    assert names(folder) == []


@pytest.mark.parametrize("keep", [0, 10, -1])
def test_a_torn_checkpoint_falls_back_to_the_one_before(folder, caplog, keep):
    """Cut off anywhere, it is passed over with a warning that names it."""
    saved(StudyCheckpoints(folder).for_trial(0), 1, 2)
    newest = folder / "0000-00002-0.checkpoint"
    newest.write_bytes(newest.read_bytes()[:keep])
    assert loaded(StudyCheckpoints(folder).for_trial(0)) == 1
    assert "ignoring checkpoint 0000-00002-0.checkpoint: " in caplog.text
    (folder / "0000-00001-0.checkpoint").unlink()
    assert loaded(StudyCheckpoints(folder).for_trial(0)) is None


def test_another_recipes_checkpoint_is_passed_over(folder, caplog):
    """The parameters of a trial are part of its checkpoints."""
    saved(StudyCheckpoints(folder).for_trial(0, "dropout 0.1"), 1)
    assert loaded(StudyCheckpoints(folder).for_trial(0, "dropout 0.1")) == 1
    assert loaded(StudyCheckpoints(folder).for_trial(0, "dropout 0.2")) is None
    assert "another recipe" in caplog.text


def test_another_studys_checkpoints_are_neither_read_nor_removed(folder, caplog):
    """A study under the same name, with the same recipe, begins from nothing; what is there is counted and kept."""
    one = StudyCheckpoints(folder, "11111111-1111-4111-8111-111111111111")
    other = one.for_study("22222222-2222-4222-8222-222222222222")
    saved(one.for_trial(0, "recipe"), 1, 2)
    before = names(folder)
    assert other.notices() == ["ignoring 2 checkpoints of other studies"]
    assert loaded(other.for_trial(0, "recipe")) is None
    saved(other.for_trial(0, "recipe", 1), 1, 2, 3)
    other.for_trial(0).clear()
    other.delete_except([])
    assert names(folder) == before
    assert (loaded(one.for_trial(0, "recipe")), one.notices()) == (2, [])


def test_a_checkpoint_that_was_renamed_is_still_of_its_study(folder, caplog):
    """The content says which study it is of, whatever its name says."""
    saved(StudyCheckpoints(folder, "11111111-1111-4111-8111-111111111111").for_trial(0), 1)
    (file,) = folder.iterdir()
    file.rename(file.with_name(file.name.replace("11111111", "22222222")))
    assert loaded(StudyCheckpoints(folder, "22222222-2222-4222-8222-222222222222").for_trial(0)) is None
    assert "another study" in caplog.text


def test_the_newest_epoch_of_any_worker_counts(folder):
    """A trial that was taken twice goes on from where either worker was."""
    checkpoints = StudyCheckpoints(folder)
    stalled, second = checkpoints.for_trial(0, attempt=0), checkpoints.for_trial(0, attempt=1)
    saved(stalled, 1, 2)
    saved(second, 3)
    assert loaded(checkpoints.for_trial(0, attempt=2)) == 3
    saved(stalled, 4)
    assert loaded(checkpoints.for_trial(0, attempt=2)) == 4


def test_a_stalled_worker_removes_nothing_of_the_next(folder):
    """Whoever took the trial last keeps its checkpoints; those of workers before go once it has two of its own."""
    checkpoints = StudyCheckpoints(folder)
    stalled, second = checkpoints.for_trial(0, attempt=0), checkpoints.for_trial(0, attempt=1)
    saved(stalled, 1, 2)
    saved(second, 3)
    assert len(names(folder)) == 3
    saved(second, 4)
    assert names(folder) == ["0000-00003-1.checkpoint", "0000-00004-1.checkpoint"]
    saved(stalled, 5, 6, 7)
    assert names(folder)[:2] == ["0000-00003-1.checkpoint", "0000-00004-1.checkpoint"]


def test_a_trial_that_begins_again_keeps_its_new_checkpoints(folder):
    """Torn checkpoints of later epochs are not taken for the newest ones to keep."""
    saved(StudyCheckpoints(folder).for_trial(0), 8, 9)
    for file in folder.iterdir():
        file.write_bytes(b"torn")
    trial = StudyCheckpoints(folder).for_trial(0, attempt=1)
    saved(trial, 1)
    assert loaded(trial) == 1
    saved(trial, 2)
    assert names(folder) == ["0000-00001-1.checkpoint", "0000-00002-1.checkpoint"]


def test_the_same_epoch_twice_is_one_checkpoint(folder):
    """A worker that takes its trial again writes over what it wrote."""
    saved(StudyCheckpoints(folder).for_trial(0), 1)
    trial = StudyCheckpoints(folder).for_trial(0)
    saved(trial, 1, 1)
    assert names(folder) == ["0000-00001-0.checkpoint"]
    saved(trial, 2)
    assert loaded(trial) == 2
    assert len(names(folder)) == 2


def test_a_disk_that_is_full_ends_nothing(folder, caplog):
    """A file that cannot be written to its end is removed, said once, and the one before still counts."""
    trial = StudyCheckpoints(folder).for_trial(5)
    saved(trial, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
        trial.save(snapshot(2, size=10_000))
        trial.save(snapshot(3, size=10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(folder) == ["0005-00001-0.checkpoint"]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert f"for trial 5: {os.strerror(errno.EFBIG)}" in caplog.text
    saved(trial, 4)
    assert loaded(trial) == 4


def test_a_remote_place_that_fails_ends_nothing(monkeypatch, caplog):
    """A put that breaks off leaves nothing, and neither do reads and listings that fail end the trial."""
    place = f"memory://{uuid.uuid4().hex}"
    trial = StudyCheckpoints(place).for_trial(5)
    saved(trial, 1)
    original = MemoryFileSystem.pipe_file

    def breaks_off(self, path, value, **more):
        original(self, path, value[:10], **more)
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(MemoryFileSystem, "pipe_file", breaks_off)
        saved(trial, 2)
    assert "for trial 5: ConnectionError" in caplog.text
    assert trial._store.names() == ["0005-00001-0.checkpoint"]

    def fails(*_, **__):
        raise RuntimeError("s3://user:password@host")

    for method in ("cat_file", "ls"):
        monkeypatch.setattr(MemoryFileSystem, method, fails)
        assert trial.load() is None
    trial.clear()
    StudyCheckpoints(place).delete_except([])
    assert "of trial 5: RuntimeError" in caplog.text
    assert "password" not in caplog.text


def test_a_place_that_nothing_reaches_is_refused_at_once(monkeypatch):
    """One message says what is unknown, or what to install, and holds no password."""
    with pytest.raises(OutputError, match="nosuch://"):
        StudyCheckpoints("nosuch://user:password@bucket")
    known = {"class": "absent_package.FileSystem", "err": "Install absent-package to access it"}
    registry = importlib.import_module("fsspec.registry")
    monkeypatch.setitem(registry.known_implementations, "absent", known)
    with pytest.raises(OutputError, match=r"Install absent-package.*\nhint: pip install absent_package") as error:
        StudyCheckpoints("absent://user:password@bucket")
    assert "password" not in str(error.value)


def test_checkpoints_take_a_twentieth_of_the_time_at_most(monkeypatch, folder):
    """The first is due at once; after one that took two seconds, with its copying, forty must pass."""
    clock = Clock()
    trial = StudyCheckpoints(folder, clock=clock).for_trial(0)
    assert trial.is_due
    write = trial._store.write

    def slow(*arguments):
        clock.now += 1.5
        write(*arguments)

    monkeypatch.setattr(trial._store, "write", slow)
    trial.save(snapshot(1), copying_seconds=0.5)
    clock.now += 39.9
    assert not trial.is_due
    clock.now += 0.2
    assert trial.is_due


def test_a_failed_checkpoint_is_not_tried_all_the_time(monkeypatch, folder):
    """What a failure takes counts as what a checkpoint takes."""
    clock = Clock()
    trial = StudyCheckpoints(folder, clock=clock).for_trial(0)

    def fails(*_):
        clock.now += 10.0
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(trial._store, "write", fails)
    trial.save(snapshot(1))
    assert not trial.is_due
    assert not trial.is_quick


def test_a_pace_leaves_time_between():
    """Due at once, then not before so many times what it took."""
    clock = Clock()
    pace = Throttle(10.0, clock)
    assert pace.is_due
    pace.record_save(1.0)
    assert not pace.is_due
    clock.now = 10.0
    assert pace.is_due
