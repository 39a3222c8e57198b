"""The log files of worker processes."""

import pytest

from search.launch.worker_log import facts_in, open_logs
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


def test_lines_are_read_once_and_whole(opened):
    """Half a line is left until it is finished."""
    (log,) = opened(1)
    write(log, "one\ntw")
    assert log.lines() == ["one"]
    write(log, "o\n")
    assert log.lines() == ["two"]
    assert log.lines() == []


def test_the_message_is_that_of_the_last_process(opened):
    """An error is read with all its lines; one of an earlier process is not taken for it."""
    (log,) = opened(1)
    write(log, "trial 1\nerror: the space has changed:\n    - a\n    + b\n")
    assert log.message() == "the space has changed:\n    - a\n    + b"
    log.begin()
    write(log, "search digits\n")
    assert log.message() is None


def test_the_last_lines_are_shown_without_passwords(opened):
    """What stands in a log is shown on the screen: one line each, without control characters."""
    (log,) = opened(1)
    write(log, "".join(f"line {index}\n" for index in range(9)) + "\npostgresql://me:secret@host\n\x1b[31mred\n")
    assert log.tail().splitlines()[2:] == ["    line 8", "    postgresql://***@host", "    \\x1b[31mred"]


def test_only_what_a_worker_knows_better_is_taken_over():
    """Its images and its notes; not what the supervisor tells itself."""
    lines = [
        "space      9 parameters",
        "data       2 classes",
        "           a   5",
        "device     2 CPU cores",
        "note       x",
    ]
    assert list(facts_in(lines)) == [("data", "2 classes"), ("", "a   5"), ("note", "x")]


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    """As any other place for results."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="give another --output"):
        open_logs(tmp_path / "file" / "logs", 1)
