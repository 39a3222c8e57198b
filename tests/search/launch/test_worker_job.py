"""How a worker process receives its job."""

import os

from search.launch.worker_job import JOB, WorkerJob, job_of
from search.run_command import STORAGE, RunCommand
from studies.workers.context import WorkerContext

SECRET = "postgresql+psycopg://me:secret@host/db"
MINE = WorkerJob(2, RunCommand("space.py", {"trials": 9}), WorkerContext(log="logs/worker-2.log", parent=4711))


def test_job_arrives_unchanged():
    """All of it is in the environment, with the packages of this program first on the path; the command names both."""
    environment = MINE.environment({"PYTHONPATH": "/mine"}, None)
    assert job_of(environment) == MINE
    paths = environment["PYTHONPATH"].split(os.pathsep)
    assert (len(paths), paths[-1]) == (2, "/mine")
    assert MINE.command_line()[-2:] == ["worker-2", "space.py"]


def test_database_url_is_never_in_the_command_line():
    """Command lines are public: only the environment has the password, and never the URL of another database."""
    environment = MINE.environment({"HOME": "/root"}, SECRET)
    assert "secret" not in " ".join(MINE.command_line())
    assert "secret" not in environment[JOB]
    assert (environment[STORAGE], environment["HOME"]) == (SECRET, "/root")
    assert STORAGE not in MINE.environment({STORAGE: SECRET}, None)
