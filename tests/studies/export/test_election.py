"""One worker exports the best trial, and another takes over if it is lost."""

import json
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import sqlalchemy as sa

from spaces import to_json
from studies import Study
from studies.checkpoints.study_checkpoints import StudyCheckpoints
from studies.database import stored_trials
from studies.database.study_control import claim_export, read_control, release_export
from studies.database.tables import WORKERS
from studies.export.election import BY_ANOTHER, Exporter, notices, read_stored_metrics
from studies.export.export_folder import ExportLockLostError
from studies.outcome import RunResult
from tests.support.fakes import TINY, change, joined, opened_tiny, run_context, run_tiny

SETTINGS = Study(trials=2, sampler="random")


@pytest.fixture
def opened(tmp_path):
    """A study whose trials are all finished."""
    run_tiny(tmp_path, SETTINGS)
    return opened_tiny(tmp_path, SETTINGS)


@pytest.fixture
def export(opened, tmp_path, monkeypatch):
    """Export like a new worker, without the training; `wait` is called between two checks of another exporter."""
    monkeypatch.setattr("studies.export.retraining.retrain_and_export", lambda *_, **__: {"test": {}})
    progress = stored_trials.progress(opened.study, 2)
    result = RunResult("tiny", "val_accuracy", "maximize", progress, metrics=None, export=None, already_finished=True)
    dataset = SimpleNamespace(train=SimpleNamespace(images=np.zeros((1, 8, 8, 1), np.uint8)))

    def run(wait):
        context = run_context(dataset=dataset, checkpoints=StudyCheckpoints(tmp_path / "checkpoints"))
        worker = joined(opened, SETTINGS).worker
        exporter = Exporter(opened=opened, worker=worker, target=tmp_path / "best", context=context, wait=wait)
        return exporter.export(TINY, result)

    return run


def heard(opened, later, member=None):
    """Move the last heartbeat of a worker, or of all."""
    moved = sa.update(WORKERS).values(heartbeat_at=WORKERS.c.heartbeat_at + later)
    change(opened, moved if member is None else moved.where(WORKERS.c.worker_id == member.worker_id))


@pytest.mark.parametrize(("is_alive", "looks"), [(True, 1), (False, 3)])
def test_exporter_is_replaced_only_if_lost(opened, export, tmp_path, is_alive, looks):
    """A second worker stops waiting at the first one's next heartbeat, or exports once the first one is lost."""
    other = joined(opened, SETTINGS).worker
    assert claim_export(opened.database, opened.study_id, other.worker_id)
    waits = []

    def wait(seconds):
        waits.append(seconds)
        if len(waits) == looks:
            heard(opened, 2.0 if is_alive else -60.0, None if is_alive else other)

    result = export(wait)
    assert (result.export, result.exported_by) == ((None, BY_ANOTHER) if is_alive else (tmp_path / "best", ""))
    assert len(waits) == looks


@pytest.mark.parametrize("is_same_worker", [False, True])
def test_late_exporter_changes_nothing(opened, is_same_worker):
    """After a later claim, also of the same worker, neither the result nor the files of the first are used."""
    sleeper, other, third = (joined(opened, SETTINGS).worker for _ in range(3))
    first = claim_export(opened.database, opened.study_id, sleeper.worker_id)
    if not is_same_worker:
        heard(opened, -60.0, sleeper)
    exporter = sleeper if is_same_worker else other
    second = claim_export(opened.database, opened.study_id, exporter.worker_id)
    swapped = []
    assert not release_export(opened.database, first, {"trial": [0, 2], "host": "A"}, lambda: swapped.append("A"))
    row = read_control(opened.database, opened.study_id)
    assert (row.exporter_id, row.export_info, swapped) == (exporter.worker_id, None, [])
    assert claim_export(opened.database, opened.study_id, third.worker_id) is None
    assert release_export(opened.database, second, {"trial": [0, 2], "host": "B"}, lambda: swapped.append("B"))
    row = read_control(opened.database, opened.study_id)
    assert (row.exporter_id, row.export_info["host"], swapped) == (None, "B", ["B"])
    assert not release_export(opened.database, second)


def test_worker_that_lost_the_lock_reports_the_exporter(opened, export, monkeypatch):
    """A worker that was considered lost during its export ends as if it had never been the exporter."""
    claimed = Mock(side_effect=ExportLockLostError("another worker has claimed the export"))
    monkeypatch.setattr("studies.export.retraining.retrain_and_export", claimed)
    result = export(lambda seconds: None)
    assert (result.export, result.metrics, result.exported_by) == (None, None, BY_ANOTHER)


def test_export_of_another_study_is_not_reused(opened, tmp_path):
    """An export of another or unknown study is not reused; a notice says where it is moved."""
    best = tmp_path / "best"
    assert notices(best, opened.identity) == []
    best.mkdir()
    (best / "model.keras").touch()
    (best / "recipe.json").write_text(json.dumps(to_json(TINY)))
    for study, is_own in ((opened.identity, True), ("11111111-other", False), (None, False)):
        stored = {"best": {}, "trials": {}, "test": {}} | ({"study_id": study} if study else {})
        (best / "metrics.json").write_text(json.dumps(stored))
        assert (read_stored_metrics(best, TINY, opened.identity) == stored) is is_own
        assert len(notices(best, opened.identity)) == (not is_own)
    assert "moved to best-earlier" in notices(best, opened.identity)[0]
