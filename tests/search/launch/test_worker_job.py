"""How a worker process receives its job."""

import os

from search.launch.worker_job import JOB, STORAGE, WorkerJob, job_of

SECRET = "postgresql+psycopg://me:secret@host/db"
MINE = WorkerJob(2, "space.py", "runs", "logs/worker-2.log", 4711, memory=2**30, trials=50, settings={"trials": 9})


def test_job_arrives_unchanged():
    """All of it is in the environment."""
    assert job_of(MINE.environment({}, None)) == MINE


def test_database_url_is_never_in_the_command_line():
    """Command lines are public: only the environment holds the password."""
    environment = MINE.environment({"HOME": "/root"}, SECRET)
    assert "secret" not in " ".join(MINE.command())
    assert "secret" not in environment[JOB]
    assert environment[STORAGE] == SECRET
    assert environment["HOME"] == "/root"


def test_workers_use_the_database_of_their_supervisor():
    """They ignore a database that the environment names."""
    assert STORAGE not in MINE.environment({STORAGE: SECRET}, None)


def test_command_line_describes_the_process():
    """A list of processes shows the worker and its space."""
    assert MINE.command()[-2:] == ["worker-2", "space.py"]


def test_program_is_found_from_any_folder():
    """The packages of this program come first; the user's own path stays."""
    paths = MINE.environment({"PYTHONPATH": "/mine"}, None)["PYTHONPATH"].split(os.pathsep)
    assert (len(paths), paths[-1]) == (2, "/mine")
