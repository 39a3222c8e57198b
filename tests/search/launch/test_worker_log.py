"""The log files of worker processes."""

import contextlib

import pytest

from search.launch.worker_log import open_logs
from spaces.errors import OutputError


@pytest.fixture
def opened(tmp_path):
    """Return a function that opens logs, which are closed after the test."""
    with contextlib.ExitStack() as closing:

        def open_some(count):
            logs = open_logs(tmp_path / "logs", count)
            for log in logs:
                closing.callback(log.close)
            return logs

        yield open_some


def write(log, text):
    with log.path.open("a") as file:
        file.write(text)


def test_each_worker_has_its_own_file(opened, tmp_path):
    """Two supervisors of one study never write to the same file; a closed file is used again."""
    for _ in range(2):
        (log,) = open_logs(tmp_path / "logs", 1)
        log.close()
    first, other = opened(2), opened(1)
    assert [log.path.name for log in (log, *other)] == ["worker-1.log", "worker-3.log"]
    assert [(log.path.name, log.number) for log in first] == [("worker-1.log", 1), ("worker-2.log", 2)]


def test_last_lines_are_safe_to_show(opened):
    """They hold no passwords and no control characters."""
    (log,) = opened(1)
    write(log, "".join(f"line {index}\n" for index in range(9)) + "\npostgresql://me:secret@host\n\x1b[31mred\n")
    assert log.tail().splitlines()[2:] == ["    line 8", "    postgresql://***@host", "    \\x1b[31mred"]


def test_unwritable_folder_is_an_output_error(tmp_path):
    """The hint names the option."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="--output"):
        open_logs(tmp_path / "file" / "logs", 1)
