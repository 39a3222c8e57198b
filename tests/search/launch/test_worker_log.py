"""The log files of worker processes."""

import pytest

from search.launch.worker_log import open_logs
from spaces.errors import OutputError


@pytest.fixture
def opened(tmp_path):
    """Opens logs, and closes them after the test."""
    held = []

    def open_some(count):
        held.extend(open_logs(tmp_path / "logs", count))
        return held[-count:]

    yield open_some
    for log in held:
        log.close()


def write(log, text):
    with log.path.open("a") as file:
        file.write(text)


def test_each_worker_has_a_file_of_its_own(opened):
    """Two supervisors on one study do not write into each other's files; a file that was given back is used again."""
    first, other = opened(2), opened(1)
    assert [log.path.name for log in (*first, *other)] == ["worker-1.log", "worker-2.log", "worker-3.log"]
    assert [log.number for log in first] == [1, 2]


def test_a_file_that_was_given_back_is_continued(tmp_path):
    """The next run appends to the log of the run before."""
    for _ in range(2):
        (log,) = open_logs(tmp_path, 1)
        assert log.path.name == "worker-1.log"
        log.close()


def test_the_last_lines_are_shown_without_passwords(opened):
    """What stands in a log is shown on the screen: one line each, without control characters."""
    (log,) = opened(1)
    write(log, "".join(f"line {index}\n" for index in range(9)) + "\npostgresql://me:secret@host\n\x1b[31mred\n")
    assert log.tail().splitlines()[2:] == ["    line 8", "    postgresql://***@host", "    \\x1b[31mred"]


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    """As any other place for results."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="give another --output"):
        open_logs(tmp_path / "file" / "logs", 1)
