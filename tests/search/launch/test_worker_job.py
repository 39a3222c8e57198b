"""What a worker process is told, and where."""

import os

from search.launch.worker_job import JOB, STORAGE, WorkerJob, job_of

SECRET = "postgresql+psycopg://me:secret@host/db"
MINE = WorkerJob(2, "space.py", "runs", "logs/worker-2.log", 4711, memory=2**30, trials=50, settings={"trials": 9})


def test_a_job_arrives_as_it_was_given():
    """Everything of it stands in the environment."""
    assert job_of(MINE.environment({}, None)) == MINE


def test_the_database_is_never_in_the_command_line():
    """Command lines are public: a password is handed over in the environment alone."""
    environment = MINE.environment({"HOME": "/root"}, SECRET)
    assert "secret" not in " ".join(MINE.command())
    assert "secret" not in environment[JOB]
    assert environment[STORAGE] == SECRET
    assert environment["HOME"] == "/root"


def test_workers_use_the_database_of_their_supervisor():
    """What the environment says else does not lead them elsewhere."""
    assert STORAGE not in MINE.environment({STORAGE: SECRET}, None)


def test_the_command_line_says_what_the_process_is():
    """Whoever lists processes sees the worker and its space."""
    assert MINE.command()[-2:] == ["worker-2", "space.py"]


def test_this_program_is_found_wherever_it_was_started():
    """The packages of this program come first, what the user has set stays."""
    paths = MINE.environment({"PYTHONPATH": "/mine"}, None)["PYTHONPATH"].split(os.pathsep)
    assert (len(paths), paths[-1]) == (2, "/mine")
