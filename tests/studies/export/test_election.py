"""Who exports the best trial when several could, and when the one that does has died."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import sqlalchemy as sa

from spaces import to_json
from studies import Study
from studies.checkpoints.study_checkpoints import StudyCheckpoints
from studies.database import stored_trials
from studies.database.study_control import claim_export, read_control, release_export
from studies.database.tables import WORKERS
from studies.export.election import Exporter, notices, read_stored_metrics
from studies.export.export_folder import ExportLockLostError
from studies.outcome import RunResult
from tests.support.fakes import TINY, joined, opened_tiny, run_context, run_tiny

SETTINGS = Study(trials=2, sampler="random")


@pytest.fixture
def opened(tmp_path):
    """A study whose trials have all ended."""
    run_tiny(tmp_path, SETTINGS)
    return opened_tiny(tmp_path, SETTINGS)


@pytest.fixture
def export(opened, tmp_path, monkeypatch):
    """Exports as a new worker would, but for the training; `wait` is called between two looks at another exporter."""
    monkeypatch.setattr("studies.export.retraining.retrain_and_export", lambda *_, **__: {"test": {}})
    result = RunResult(
        study="tiny",
        metric="val_accuracy",
        direction="maximize",
        progress=stored_trials.progress(opened.study, 2),
        metrics=None,
        export=None,
        interrupted=None,
        timed_out=False,
        already_finished=True,
    )

    dataset = SimpleNamespace(train=SimpleNamespace(images=np.zeros((1, 8, 8, 1), np.uint8)))

    def run(wait):
        exporter = Exporter(
            opened=opened,
            worker=joined(opened, SETTINGS).worker,
            target=tmp_path / "best",
            context=run_context(dataset=dataset, checkpoints=StudyCheckpoints(tmp_path / "checkpoints")),
            wait=wait,
        )
        return exporter.export(TINY, result)

    return run


def heard(opened, later, member=None):
    """Move the last heartbeat of a worker, or of all."""
    change = sa.update(WORKERS).values(heartbeat_at=WORKERS.c.heartbeat_at + later)
    change = change if member is None else change.where(WORKERS.c.worker_id == member.worker_id)
    opened.database.run(lambda connection: connection.execute(change))


def test_another_one_that_shows_to_be_alive_goes_on(opened, export):
    """Whoever comes second leaves it to the first, at its next heartbeat."""
    other = joined(opened, SETTINGS).worker
    assert claim_export(opened.database, opened.study_id, other.worker_id)
    waits = []
    result = export(lambda seconds: (waits.append(seconds), heard(opened, 2.0)))
    assert (result.export, result.exported_by) == (None, "another worker is retraining and exporting the best trial")
    assert len(waits) == 1


def test_one_that_died_is_replaced_as_soon_as_it_is_lost(opened, export, tmp_path):
    """A start right after `kill -9` of the exporting process waits until that is noticed, and exports."""
    other = joined(opened, SETTINGS).worker
    assert claim_export(opened.database, opened.study_id, other.worker_id)
    waits = []

    def wait(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            # As if so much time had passed since its last heartbeat.
            change = sa.update(WORKERS).where(WORKERS.c.worker_id == other.worker_id)
            silent = change.values(heartbeat_at=WORKERS.c.heartbeat_at - 60.0)
            opened.database.run(lambda connection: connection.execute(silent))

    result = export(wait)
    assert result.export == tmp_path / "best"
    assert len(waits) == 3


def test_an_exporter_that_wakes_up_late_ends_nothing(opened):
    """Its claim is over once another worker has claimed the export: neither its result nor its files count."""
    sleeper, other, third = (joined(opened, SETTINGS).worker for _ in range(3))
    first = claim_export(opened.database, opened.study_id, sleeper.worker_id)
    heard(opened, -60.0, sleeper)
    second = claim_export(opened.database, opened.study_id, other.worker_id)
    swapped = []
    assert not release_export(opened.database, first, {"trial": [0, 2], "host": "A"}, lambda: swapped.append("A"))
    row = read_control(opened.database, opened.study_id)
    assert (row.exporter_id, row.export_info, swapped) == (other.worker_id, None, [])
    assert claim_export(opened.database, opened.study_id, third.worker_id) is None
    assert release_export(opened.database, second, {"trial": [0, 2], "host": "B"}, lambda: swapped.append("B"))
    row = read_control(opened.database, opened.study_id)
    assert (row.exporter_id, row.export_info["host"], swapped) == (None, "B", ["B"])


def test_an_older_claim_of_the_same_worker_is_over(opened):
    """A claim is told from a later one by its number, not by its worker alone."""
    worker = joined(opened, SETTINGS).worker
    older, newer = (claim_export(opened.database, opened.study_id, worker.worker_id) for _ in range(2))
    assert not release_export(opened.database, older)
    assert release_export(opened.database, newer)
    assert not release_export(opened.database, newer)


def test_the_loser_reports_who_exports(opened, export, monkeypatch):
    """A worker that was given up while it exported ends as one that was never the exporter."""

    def taken(*_, **__):
        raise ExportLockLostError("another worker has claimed the export")

    monkeypatch.setattr("studies.export.retraining.retrain_and_export", taken)
    result = export(lambda seconds: None)
    assert (result.export, result.metrics) == (None, None)
    assert result.exported_by == "another worker is retraining and exporting the best trial"


def test_an_export_counts_only_for_its_own_study(opened, tmp_path):
    """One of another study, or of none, is not taken for this one's: the search says what becomes of it."""
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
