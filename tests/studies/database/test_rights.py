"""The database privileges of docs/many-machines.md are sufficient and necessary."""

import contextlib
import gc
import re
from pathlib import Path

import pytest
import sqlalchemy as sa

from spaces.errors import StudyError
from studies.database.claims import TrialQueue
from studies.database.create_study import create_study
from studies.database.errors import translate_errors
from studies.database.lookup import open_study
from studies.database.study_control import Limits, set_limits
from studies.database.workers import WorkerActivity, WorkerRegistration
from studies.settings import Study
from studies.status.status import read_status
from studies.stop_request import StopRequest
from studies.study_folder import StudyRef
from studies.workers.heartbeat import worker_session
from studies.workers.worker import Worker
from tests.support.fakes import DATA, TINY, run_context
from tests.support.invariants import faults
from tests.support.sleeping_workers import NAME, SleepingEvaluator, SleepSettings

# Storages that cannot be opened leave their connections to be collected: see `refused`.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
PAGE = Path(__file__).parents[3] / "docs" / "many-machines.md"
OWNER, WORKER, READER, GUEST, NOBODY = "search_owner", "search_worker", "reader", "guest", "nobody"
OTHERS = f"""
CREATE ROLE {READER} LOGIN; CREATE ROLE {GUEST} LOGIN; CREATE ROLE {NOBODY} LOGIN;
GRANT CONNECT ON DATABASE search TO {READER}, {GUEST};
GRANT USAGE ON SCHEMA public TO {READER}, {GUEST}
"""


@pytest.fixture(scope="module")
def urls(postgres_server):
    """Return the URL of the database for each user of the documentation; the study exists."""
    made, granted = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[::2]
    before, inside = made.split("\\c search\n")
    execute(postgres_server.url("postgres"), before)
    url = postgres_server.url("search")
    execute(url, inside + OTHERS)
    urls = {user: url.replace("postgres@", f"{user}:password@") for user in (OWNER, WORKER, READER, GUEST, NOBODY)}
    with refused("permission denied for schema public"):
        work_as(urls[WORKER])
    work_as(urls[OWNER])
    with refused("permission denied for table version_info"):
        work_as(urls[WORKER])
    execute(urls[OWNER], granted)
    execute(urls[OWNER], f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}")
    return urls


def execute(url, statements):
    """Run SQL statements, each in its own transaction."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in filter(str.strip, statements.split(";")):
            connection.exec_driver_sql(statement)
    engine.dispose()


def work_as(url, trials=2):
    """Evaluate trials as a worker up to a number of trials."""
    stop, settings = StopRequest(), Study(sampler="random", pruner="none")
    opened = create_study(url, NAME, TINY, settings, DATA)
    member = WorkerRegistration(opened.study_id, "none")
    try:
        with translate_errors(url):
            set_limits(opened.database, opened.study_id, Limits(trials))
            with worker_session(opened.database, member, WorkerActivity(), stop) as member:
                queue = TrialQueue(opened.database, member)
                evaluate = SleepingEvaluator(SleepSettings(url, trials, epochs=2, seconds=0.0), stop)
                Worker(opened, TINY, settings, queue, evaluate, run_context(stop=stop)).run()
    finally:
        opened.database.engine.dispose()


@contextlib.contextmanager
def refused(reason):
    """Expect the block to be refused, and collect its connections here."""
    with pytest.raises(StudyError, match=reason):
        yield
    gc.collect()


def look_as(url):
    """Read the status of the study."""
    found = open_study(StudyRef(NAME, url, Path()))
    try:
        return read_status(found)
    finally:
        found.database.engine.dispose()


def test_documented_privileges_suffice_for_worker(urls):
    """It runs the owner's study to its end and creates one."""
    work_as(urls[WORKER], trials=4)
    assert faults(urls[WORKER], NAME, 4, epochs=2) == []
    opened = create_study(urls[WORKER], "own", TINY, Study(), DATA)
    opened.database.engine.dispose()
    assert not opened.resumed


def test_select_privilege_suffices_for_reading(urls):
    """A read-only user cannot create a study."""
    assert look_as(urls[READER]).progress.complete >= 2
    with refused(r"missing database privileges .*permission denied for table"):
        work_as(urls[READER], trials=100)


TABLE_RIGHTS = (f"{verb} ON ALL TABLES" for verb in ("SELECT", "INSERT", "UPDATE", "DELETE"))


@pytest.mark.parametrize("right", ["USAGE ON ALL SEQUENCES", *TABLE_RIGHTS])
def test_missing_privilege_is_reported(urls, right):
    """The message names the privilege and the documentation."""
    execute(urls[OWNER], f"REVOKE {right} IN SCHEMA public FROM {WORKER}")
    try:
        with refused(r"permission denied for \w+ \w+\nhint: see docs/many-machines.md"):
            work_as(urls[WORKER], trials=100)
    finally:
        execute(urls[OWNER], f"GRANT {right} IN SCHEMA public TO {WORKER}")


@pytest.mark.parametrize(
    ("user", "reason"), [(GUEST, "for table version_info"), (NOBODY, "for database .*CONNECT privilege")]
)
def test_user_without_privileges_is_refused(urls, user, reason):
    """Workers and readers fail without retries."""
    for use in (work_as, look_as):
        with refused(f"permission denied {reason}"):
            use(urls[user])
