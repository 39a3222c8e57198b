"""`search delete` deletes a study with its files, and nothing else."""

import contextlib
import json
import re
import sqlite3

import pytest
import sqlalchemy as sa

from studies import Study
from studies.database.connection import open_storage
from studies.database.tables import CLAIMS, EPOCHS, IDENTITIES, STUDIES, WORKERS
from studies.database.urls import sqlite_url
from tests.support.fakes import joined, opened_tiny, run_tiny


@pytest.fixture
def delete(search):
    """Type `search delete`, check the exit code, and return everything that it writes."""

    def deleted(*words, code=0):
        done = search("delete", *words)
        assert done.exit_code == code
        return re.sub(r"\s+", " ", done.output)

    return deleted


@pytest.fixture
def folder(folder):
    """A finished study with a file of each kind."""
    run_tiny(folder, Study(trials=2, sampler="random"))
    identity = opened_tiny(folder, Study(trials=2, sampler="random")).identity
    for name in ("checkpoints", "logs", "best/saved_model/assets"):
        (folder / name).mkdir(parents=True)
    for name in (f"0001-00002-1-{identity[:8]}.checkpoint", f"best-{identity[:8]}-0001-1.weights"):
        (folder / "checkpoints" / name).write_bytes(b"x" * 1000)
    (folder / "logs" / "worker-1.log").write_text("log")
    for name in ("model.keras", "saved_model/saved_model.pb"):
        (folder / "best" / name).write_bytes(b"x" * 5000)
    (folder / "best" / "metrics.json").write_text(json.dumps({"study_id": identity}))
    return folder


def test_a_study_goes_with_its_files(delete, search, folder):
    """Its disk use is shown by kind, in `search status` too, and nothing is left."""
    assert "10.1 kB" in search("status", "tiny").stdout
    disk = json.loads(search("status", "tiny", "--json").stdout)["disk"]
    assert (disk["checkpoints"], sorted(disk)) == (2000, ["checkpoints", "database", "export", "logs"])
    output = delete("tiny", "--yes")
    for line in ("study tiny, 2 trials", "checkpoints 2 kB", "export 10.1 kB", "deleted tiny"):
        assert line in output, output
    assert (folder.exists(), search("status", "tiny").exit_code) == (False, 6)


def test_deleting_needs_a_confirmation(delete, search, folder):
    """Without a terminal --yes is required."""
    assert "--yes" in delete("tiny", code=2)
    assert ((folder / "best" / "model.keras").exists(), search("status", "tiny").exit_code) == (True, 0)


@pytest.mark.parametrize("has_own_export", [True, False])
def test_other_files_are_kept_and_named(delete, folder, tmp_path, has_own_export):
    """Files of the user, checkpoints and exports of studies with another identity, and targets of symbolic links."""
    (folder / "notes.txt").write_text("mine")
    (folder / "best" / "mine.csv").write_text("mine")
    if not has_own_export:
        (folder / "best" / "metrics.json").write_text(json.dumps({"study_id": "another"}))
    other = folder / "checkpoints" / "0001-00002-1-ffffffff.checkpoint"
    other.write_bytes(b"of another study")
    elsewhere = (folder / "logs" / "worker-1.log").rename(tmp_path / "elsewhere.log")
    (folder / "logs" / "worker-1.log").symlink_to(elsewhere)
    assert "best/mine.csv" in delete("tiny", "--yes")
    left = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    export = set() if has_own_export else {"best/metrics.json", "best/model.keras", "best/saved_model/saved_model.pb"}
    assert left == {"notes.txt", "best/mine.csv", f"checkpoints/{other.name}"} | export
    assert elsewhere.exists()


def test_other_studies_in_the_database_are_kept(delete, folder):
    """Only the rows of this study are deleted, in all tables."""
    opened = opened_tiny(folder, Study(trials=1), name="second")
    joined(opened, Study(trials=1)).claim()
    assert "other studies: second" in delete("tiny", "--yes", "--storage", sqlite_url(folder / "study.db"))
    storage = open_storage(sqlite_url(folder / "study.db"))
    assert [study.study_name for study in storage.get_all_studies()] == ["second"]
    with storage.engine.connect() as connection:
        for table in (STUDIES, WORKERS, CLAIMS, IDENTITIES):
            assert set(connection.scalars(sa.select(table.c.study_id))) == {opened.study_id}, table
        assert connection.scalars(sa.select(EPOCHS.c.trial_id)).all() == []


def test_a_running_study_is_refused(delete, folder):
    """The hint is to stop its workers first."""
    opened = opened_tiny(folder, Study(trials=4, sampler="random"))
    queue = joined(opened, Study(trials=4, sampler="random"))
    assert "search stop tiny" in delete("tiny", "--yes", code=6)
    queue.worker.deregister(opened.database)
    delete("tiny", "--yes")


def test_a_missing_folder_is_ignored(delete, folder, tmp_path):
    """The rows of a database elsewhere are deleted."""
    url = sqlite_url(tmp_path / "elsewhere.db")
    with contextlib.closing(sqlite3.connect(folder / "study.db")) as connection:
        connection.execute("VACUUM INTO ?", (str(tmp_path / "elsewhere.db"),))
    delete("tiny", "--yes", "--output", "nowhere", "--storage", url)
    assert (tmp_path / "elsewhere.db").exists()
    assert open_storage(url).get_all_studies() == []


def test_a_link_to_a_folder_is_refused(delete, folder, tmp_path):
    """The error names its target."""
    (tmp_path / "runs" / "linked").symlink_to(folder)
    assert "is a link to" in delete(tmp_path / "runs" / "linked", "--yes", code=8)
    assert folder.exists()
