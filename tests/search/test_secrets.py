"""Passwords are never shown or stored."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from tests.support.servers import postgres

SECRET = "s3cr3t"
UNREACHABLE = (
    f"postgresql+psycopg://me:{SECRET}@127.0.0.1:1/db",
    f"mysql+pymysql://me:{SECRET}@127.0.0.1:1/db",
    f"postgresql+psycopg://127.0.0.1:1/db?user=me&password={SECRET}",
    f"postgresql+psycopg://me:{SECRET}/",
    f"postgresql+psycopg://me:p@ss/w{SECRET}@127.0.0.1:1/db",
    f"oracle://me:{SECRET}@host/db",
)
SPACE = """
from spaces import CNN, Digits, Space
from studies import Study
space = Space(data=Digits(), backbone=CNN(filters=4, blocks=1), augment=None, batch_size=64, epochs=1)
study = Study(trials=2, pruner="none")
"""


@pytest.mark.parametrize("url", UNREACHABLE)
@pytest.mark.parametrize("debug", [[], ["--debug"]], ids=["", "debug"])
@pytest.mark.parametrize("command", ["status", "workers", "stop", "trials"])
def test_errors_redact_the_password_of_an_unreachable_database(search, monkeypatch, command, debug, url):
    """The URL is typed or from the environment; message and traceback are checked."""
    typed = search(command, "digits", "--storage", url, *debug)
    monkeypatch.setenv("SEARCH_STORAGE", url)
    set_before = search(command, "digits", *debug)
    assert (typed.exit_code, set_before.exit_code) == (6, 6)
    assert SECRET not in typed.output + set_before.output
    assert ("Traceback" in typed.output) == bool(debug)


def test_the_example_url_is_not_redacted(search):
    """An invalid URL is answered with a complete example."""
    done = search("status", "--storage", f"me:{SECRET}")
    assert "such as postgresql+psycopg://host/name or sqlite:///study.db" in done.stderr
    assert SECRET not in done.stderr


@pytest.mark.slow
def test_a_whole_run_leaves_no_password_anywhere(tmp_path):
    """It is not in output, logs, study folder, export, database or process lists."""
    pytest.importorskip("pgserver")
    (tmp_path / "mine.py").write_text(SPACE)
    with postgres() as server:
        plain = server.new_database()
        url = sa.make_url(plain)._replace(password=SECRET).render_as_string(hide_password=False)
        commands = ("run mine.py", "status", "status mine", "workers mine --include-ended --json")
        commands += ("resume mine --trials +1", "stop mine", "trials mine")
        shown = [_run(tmp_path, url, *command.split()) for command in commands]
        typed = _run(tmp_path, None, "run", "mine.py", "--storage", url, "--trials", "4", "--debug")
        stored = _rows(plain)
    assert SECRET not in "".join([*shown, typed, stored])
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {"command.json", "CARD.md", "metrics.json", "model.keras"} <= {file.name for file in files}
    assert [file for file in files if SECRET.encode() in file.read_bytes()] == []


def _run(folder: Path, url: str | None, *words: str) -> str:
    """Run a command; returns its output, and the command lines of all processes that it had started."""
    environment = {**os.environ, "SEARCH_CACHE": str(folder / "cache"), "PYTHONPATH": str(Path(__file__).parents[2])}
    environment |= {"SEARCH_STORAGE": url} if url else {}
    command = [sys.executable, "-m", "search", *words]
    with (folder / "output.txt").open("w+") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output, text=True)
        seen = set()
        while process.poll() is None:
            seen |= _command_lines(process.pid, with_own="--storage" not in words)
            time.sleep(0.02)
        output.seek(0)
        told = output.read()
    assert process.returncode == 0, told
    return told + "".join(seen)


def _command_lines(pid: int, *, with_own: bool) -> set[str]:
    """The command lines of a process's children, and its own."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return {" ".join(each.cmdline()) for each in [*process.children(), *([process] if with_own else [])]}
    return set()


def _rows(url: str) -> str:
    """Everything in a database, as text."""
    engine = sa.create_engine(url)
    tables = sa.MetaData()
    with engine.connect() as connection:
        tables.reflect(connection)
        rows = [repr(row) for table in tables.sorted_tables for row in connection.execute(sa.select(table))]
    engine.dispose()
    return "\n".join(rows)
