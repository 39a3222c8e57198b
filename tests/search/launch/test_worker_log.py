"""The log files of worker processes."""

import pytest

from search.launch.worker_log import open_logs
from spaces.errors import OutputError


@pytest.fixture
def opened(tmp_path):
    """Return a function that opens logs, which are closed after the test."""
    logs = []

    def open_some(count):
        logs.extend(open_logs(tmp_path / "logs", count))
        return logs[-count:]

    yield open_some
    for log in logs:
        log.close()


def write(log, text):
    with log.path.open("a") as file:
        file.write(text)


def test_each_worker_has_its_own_file(opened):
    """Two supervisors of one study never write to the same file."""
    first, other = opened(2), opened(1)
    assert [log.path.name for log in (*first, *other)] == ["worker-1.log", "worker-2.log", "worker-3.log"]
    assert [log.number for log in first] == [1, 2]


def test_next_run_appends_to_the_log(tmp_path):
    """A closed file is used again."""
    for _ in range(2):
        (log,) = open_logs(tmp_path, 1)
        assert log.path.name == "worker-1.log"
        log.close()


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
