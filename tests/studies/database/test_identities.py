"""A study is distinguished from a deleted one with the same name and ids."""

import gc
from pathlib import Path

import optuna
import pytest
import sqlalchemy as sa
from optuna.trial import TrialState

from studies import Study
from studies.database.identities import IDENTITY, StudyDeletedError, explain_deletion
from studies.database.lookup import open_study
from studies.database.optuna_tables import PARAMS, STEPS, SYSTEM_ATTRIBUTES, TRIALS, USER_ATTRIBUTES
from studies.database.study_control import claim_export, release_export
from studies.database.tables import CLAIMS, EPOCHS, IDENTITIES, STUDIES, WORKERS
from studies.database.workers import WorkerRegistration
from studies.outcome import COMPLETE, TrialOutcome
from studies.status.listing import list_studies
from studies.status.monitor import StudyMonitor
from studies.status.status import read_status
from studies.status.trial_table import summarize_trials
from studies.study_folder import StudyRef
from tests.support.fakes import change, claim_trial, joined

# What only looks at a study leaves its connections to be collected.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
DONE = TrialOutcome(COMPLETE, 0.5, 1, 1, 0.0)
OURS = (CLAIMS, EPOCHS, WORKERS, STUDIES, IDENTITIES)
HANGING = (PARAMS, STEPS, USER_ATTRIBUTES, SYSTEM_ATTRIBUTES)


@pytest.fixture(scope="module", autouse=True)
def collected():
    """Collect leftover connections here, where their warnings are ignored."""
    yield
    gc.collect()


@pytest.fixture
def delete(plain_storage):
    """Delete the study as Optuna and its dashboard do."""
    return lambda: optuna.delete_study(study_name="tiny", storage=plain_storage())


def count(opened, *tables):
    """Count the rows of tables."""
    with opened.database.engine.connect() as connection:
        return [connection.scalar(sa.select(sa.func.count()).select_from(table)) for table in tables]


def found(url, name="tiny"):
    """Open an existing study for reading."""
    return open_study(StudyRef(name, url, Path()))


def searched(opened, trials=2):
    """Evaluate some trials and deregister."""
    queue = joined(opened, Study())
    for _ in range(trials):
        taken = claim_trial(opened.study, queue)
        taken.report(0.5, 1)
        taken.storage.record_epoch(1, {"val_accuracy": 0.5})
        taken.write()
        taken.end(DONE)
    queue.worker.deregister(opened.database)


def test_recreated_study_has_new_identity(open_worker, delete, url):
    """Every process reads the same identity, which Optuna's study carries too; nothing of the deleted study is left."""
    first = open_worker()
    assert open_worker().identity == first.identity == first.study.user_attrs[IDENTITY]
    searched(first)
    delete()
    second = open_worker()
    assert second.identity != first.identity
    assert not second.resumed
    assert count(second, CLAIMS, EPOCHS, WORKERS, IDENTITIES) == [0, 0, 0, 1]
    searched(second)
    assert read_status(found(url)).progress.complete == 2


def test_reused_trial_ids_have_no_old_rows(open_worker, delete):
    """Epochs and crashes of a deleted study do not affect trials of another study, enqueued ones included."""
    other = open_worker(name="other")
    queue = joined(other, Study())
    first = open_worker()
    searched(first, trials=3)
    change(first, sa.update(CLAIMS).values(crash_count=99, attempt=7))
    delete()
    other.study.enqueue_trial({"dropout": 0.25})
    for _ in range(3):
        taken = claim_trial(other.study, queue)
        taken.storage.record_epoch(1, {"val_accuracy": 0.1})
        taken.end(DONE)
    own = EPOCHS.c.trial_id.in_(sa.select(TRIALS.c.trial_id))
    with other.database.engine.connect() as connection:
        assert connection.scalars(sa.select(EPOCHS.c.metrics).where(own)).all() == [{"val_accuracy": 0.1}] * 3
        attempts = sa.select(CLAIMS.c.attempt).where(CLAIMS.c.study_id == other.study_id)
        assert connection.scalars(attempts).all() == [1] * 3
    assert [trial.state for trial in other.study.trials] == [TrialState.COMPLETE] * 3


@pytest.mark.parametrize("comes_after", ["nothing", "a new study", "another program's study"])
def test_worker_of_deleted_study_writes_nothing(open_worker, delete, comes_after, plain_storage):
    """Every step raises the same error, even if another study has the ids; its claim of the export is invalid."""
    first = open_worker()
    queue = joined(first, Study())
    taken = claim_trial(first.study, queue)
    taken.report(0.5, 1)
    export = claim_export(first.database, first.study_id, queue.worker.worker_id)
    delete()
    if comes_after == "a new study":
        open_worker()
    if comes_after == "another program's study":
        study = optuna.create_study(study_name="tiny", storage=plain_storage(), direction="maximize")
        study.enqueue_trial({"dropout": 0.25})
    before = count(first, TRIALS, *HANGING)
    assert not taken.write()
    assert isinstance(taken.claim_lost, StudyDeletedError)
    taken.storage.set_trial_user_attr(taken.claim.trial_id, "late", 1)
    queue.release(taken.claim, taken.storage.pop_changes())
    assert not release_export(first.database, export, {"trial": [0, 1]}, lambda: pytest.fail("put in place"))
    for step in (
        lambda: taken.end(DONE),
        queue.claim,
        lambda: claim_export(first.database, first.study_id, queue.worker.worker_id),
        lambda: WorkerRegistration(first.study_id, "fake", identity=first.identity).register(first.database),
    ):
        with pytest.raises(StudyDeletedError):
            step()
    queue.worker.deregister(first.database)
    assert count(first, TRIALS, *HANGING) == before


def test_errors_after_deletion_are_explained(open_worker, delete):
    """Errors of an existing study stay unchanged."""
    opened = open_worker()
    with pytest.raises(KeyError), explain_deletion(opened.database, opened.study_id, opened.identity):
        raise KeyError(0)
    delete()
    open_worker()
    explained = pytest.raises(StudyDeletedError, match="run the same command again to start a new study")
    for error in (KeyError(0), sa.exc.NoResultFound(), StudyDeletedError()):
        with explained, explain_deletion(opened.database, opened.study_id, opened.identity):
            raise error


def test_copied_study_gets_own_identity(open_worker, url, plain_storage):
    """The original keeps its identity."""
    first = open_worker()
    searched(first)
    storage = plain_storage()
    optuna.copy_study(from_study_name="tiny", to_study_name="copy", from_storage=storage, to_storage=storage)
    assert not found(url, "copy").created_by_search
    copy = open_worker(name="copy")
    assert copy.identity != first.identity == open_worker().identity
    assert found(url, "copy").identity == copy.identity


def test_rows_of_deleted_study_are_not_shown(open_worker, delete, plain_storage, url, tmp_path):
    """A study of another program with the same name and id has no workers, trials or limits."""
    first = open_worker()
    searched(first)
    joined(first, Study())
    delete()
    optuna.create_study(study_name="tiny", storage=plain_storage(), direction="maximize").ask()
    seen = found(url)
    status = read_status(seen)
    assert (seen.created_by_search, status.workers, status.stop, status.progress.trials) == (False, (), None, 1)
    rows = {row.name: (row.trials, row.alive) for row in list_studies(url)}
    assert rows == {"tiny": (None, 0)}
    assert [(row.host, row.attempts) for row in summarize_trials("tiny", tmp_path, url)] == [("", 0)]


def test_monitor_notices_deletion(open_worker, delete, url):
    """It distinguishes a new study of the same name."""
    opened = open_worker()
    searched(opened)
    monitor = StudyMonitor(url, "tiny")
    before = monitor.refresh()
    assert before.identity == opened.identity
    delete()
    open_worker()
    assert monitor.refresh() is None
    assert monitor.refresh().identity not in (None, opened.identity)
    monitor._study.database.engine.dispose()
