"""The tables of search: created once, and refused if the version differs."""

import multiprocessing

import optuna
import pytest
import sqlalchemy as sa

from spaces.errors import StudyError
from studies.database.claims import TrialQueue
from studies.database.create_study import create_study
from studies.database.study_control import Limits, set_limits
from studies.database.tables import CLAIMS, EPOCHS, METADATA, SCHEMA_VERSION, STUDIES, VERSION, WORKERS, read_epochs
from studies.database.trial_writes import PendingWrites
from studies.database.workers import WorkerRegistration
from studies.settings import Study
from tests.support.fakes import DATA, TINY, joined


@pytest.mark.parametrize(("version", "advice"), [(SCHEMA_VERSION + 1, "upgrade search"), (4, "use a new database")])
def test_other_schema_version_is_refused(open_worker, version, advice):
    """The message names both versions and what to do; no table is added to that database."""
    opened = open_worker()
    opened.database.run(lambda connection: connection.execute(sa.update(VERSION).values(version=version)))
    METADATA.drop_all(opened.database.engine, tables=[EPOCHS])
    with pytest.raises(StudyError, match=rf"version {version} is not .* {SCHEMA_VERSION}\)\nhint: {advice}"):
        open_worker()
    assert not sa.inspect(opened.database.engine).has_table(EPOCHS.name)


def test_tables_of_version_1_are_completed(open_worker):
    """The study resumes with its epochs, and only the first worker creates tables."""
    opened = open_worker()
    queue = joined(opened, Study())
    claim = queue.claim()
    queue.save(claim, PendingWrites(epochs={1: {"loss": 0.5}}))
    METADATA.drop_all(opened.database.engine, tables=[VERSION, STUDIES, WORKERS, CLAIMS])
    again, _ = open_worker(), open_worker()
    assert read_epochs(again.database.engine, claim.trial_id) == [{"loss": 0.5}]
    assert joined(again, Study()).claim().number in (0, 1)
    assert again.database.read(lambda c: [*c.scalars(sa.select(VERSION.c.version))]) == [SCHEMA_VERSION]


def test_optuna_lists_study(open_worker, open_plainly, plain_storage):
    """Optuna ignores the tables of search."""
    opened = open_worker()
    joined(opened, Study()).claim()
    plain = open_plainly()
    assert [trial.state.name for trial in plain.trials] == ["RUNNING"]
    assert plain.direction.name == "MAXIMIZE"
    assert [found.study_name for found in optuna.get_all_study_summaries(plain_storage())] == ["tiny"]


def start(url: str, go, answers) -> None:
    """Start a worker on an empty database, in each of many processes."""
    go.wait()
    try:
        opened = create_study(url, "tiny", TINY, Study(), DATA)
        set_limits(opened.database, opened.study_id, Limits(16))
        member = WorkerRegistration(opened.study_id, "fake", lost_after_seconds=600.0)
        member.register(opened.database)
        answers.put((TrialQueue(opened.database, member).claim().number, opened.resumed))
    except Exception as error:  # noqa: BLE001 - shown by the test
        answers.put((repr(error), None))


@pytest.mark.slow
def test_concurrent_starts_create_one_study(url, open_plainly):
    """Sixteen processes start on an empty database, and each claims a trial."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    go, answers = context.Event(), context.Queue()
    starts = [context.Process(target=start, args=(url, go, answers)) for _ in range(16)]
    for each in starts:
        each.start()
    go.set()
    numbers, resumed = zip(*(answers.get(timeout=120) for _ in starts), strict=True)
    for each in starts:
        each.join()
    assert {*numbers} == {*range(16)}
    assert resumed.count(False) == 1
    assert len(open_plainly().trials) == 16
