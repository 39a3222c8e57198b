"""Who exports the best trial when several could, and when the one that does has died."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from studies import Study, trials
from studies.checkpoints import Checkpoints
from studies.database.steering import claim_export
from studies.database.tables import WORKERS
from studies.exporting import Exporter
from studies.features import Features
from studies.results import Result
from studies.stopping import StopRequest
from tests.fakes import TINY, Recorder, joined, opened_tiny, run_tiny

SETTINGS = Study(trials=2, sampler="random")


@pytest.fixture
def opened(tmp_path):
    """A study whose trials have all ended."""
    run_tiny(tmp_path, SETTINGS)
    return opened_tiny(tmp_path, SETTINGS)


@pytest.fixture
def export(opened, tmp_path, monkeypatch):
    """Exports as a new worker would, but for the training; `wait` is called between two looks at another exporter."""
    monkeypatch.setattr("studies.retraining.retrain_and_export", lambda *_, **__: {"test": {}})
    result = Result(
        study="tiny",
        metric="val_accuracy",
        direction="maximize",
        progress=trials.progress(opened.study, 2),
        metrics=None,
        export=None,
        interrupted=None,
        timed_out=False,
        already_finished=True,
    )

    def run(wait):
        exporter = Exporter(
            opened=opened,
            member=joined(opened, SETTINGS).member,
            seed=0,
            folder=Path(),
            target=tmp_path / "best",
            images=lambda recipe: None,
            features=Features(Path()),
            watcher=Recorder(),
            stop=StopRequest(),
            checkpoints=Checkpoints(tmp_path / "checkpoints"),
            wait=wait,
        )
        return exporter.exported(TINY, result)

    return run


def heard(opened, later):
    """Move the last sign of life of all workers."""
    change = sa.update(WORKERS).values(heartbeat_at=WORKERS.c.heartbeat_at + later)
    opened.database.run(lambda connection: connection.execute(change))


def test_another_one_that_shows_to_be_alive_goes_on(opened, export):
    """Whoever comes second leaves it to the first, at its next heartbeat."""
    other = joined(opened, SETTINGS).member
    assert claim_export(opened.database, opened.study_id, other.worker_id)
    waits = []
    result = export(lambda seconds: (waits.append(seconds), heard(opened, 2.0)))
    assert (result.export, result.elsewhere) == (None, "another worker is retraining and exporting the best trial")
    assert len(waits) == 1


def test_one_that_died_is_replaced_as_soon_as_it_is_lost(opened, export, tmp_path):
    """A start right after `kill -9` of the exporting process waits until that is noticed, and exports."""
    other = joined(opened, SETTINGS).member
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
