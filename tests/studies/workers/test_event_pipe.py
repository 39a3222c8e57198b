"""The pipe between a worker process and its supervisor."""

import os
import subprocess
import sys

import pytest

from studies.events import DataProgress, DataReady, FeaturesProgress, StudyJoined, WorkerFailed, WorkerLine
from studies.workers.event_pipe import CAPACITY_BYTES, MAX_LINE_BYTES, EventWriter, decode, encode, open_pipe

EVENTS = [
    DataProgress(3, 9),
    DataReady(["a", "b"], [8, 8, 1], {"train": [3, 4]}, [["x\udcff.png", "is not an image"]], ["two\nlines"]),
    FeaturesProgress(9, 9),
    StudyJoined("identity", ["a notice"]),
    WorkerFailed("the database is away\nhint: start it"),
    WorkerLine("weights", "downloading"),
]


@pytest.fixture
def pipe():
    """A reader, the worker's descriptor, and its writer; closed after the test."""
    reader, descriptor = open_pipe()
    yield reader, descriptor, EventWriter(descriptor)
    reader.close()
    os.close(descriptor)


def test_events_arrive_as_they_were_sent(pipe):
    """Each once, in order, with line breaks and undecodable names, and only once it is complete."""
    reader, descriptor, writer = pipe
    for event in EVENTS:
        writer.send(event)
    assert reader.read() == EVENTS
    assert reader.read() == []
    line = encode(EVENTS[0])
    os.write(descriptor, line[:9])
    assert reader.read() == []
    os.write(descriptor, line[9:])
    assert reader.read() == EVENTS[:1]


CHANGES = [(b'"version": 1', b'"version": 2'), (b"DataProgress", b"Unknown"), (b"done", b"doing")]


@pytest.mark.parametrize(
    "line",
    [*(encode(EVENTS[0]).replace(*change) for change in CHANGES), encode(EVENTS[0])[:20], b"\xff\x00", b"[1]", b""],
)
def test_other_lines_are_ignored(line):
    """A torn line, another version, an unknown event or noise of a library is no event."""
    assert decode(line) is None


def test_full_pipe_never_blocks_the_worker(pipe):
    """Events that do not fit are dropped, and a torn one spoils no other."""
    reader, _, writer = pipe
    event = WorkerLine("note", "x" * 9000)
    for _ in range(2 * CAPACITY_BYTES // 9000):
        writer.send(event)
    received = reader.read()
    assert 0 < len(received) < 2 * CAPACITY_BYTES // 9000
    assert set(received) == {event}
    writer.send(EVENTS[4])
    assert reader.read()[-1] == EVENTS[4]


def test_endless_line_is_dropped(pipe):
    """A line is bounded in memory, and the events after it arrive."""
    reader, descriptor, writer = pipe
    for _ in range(MAX_LINE_BYTES // 4096 + 2):
        os.write(descriptor, b"x" * 4096)
        assert reader.read() == []
    assert len(reader._partial) <= MAX_LINE_BYTES
    os.write(descriptor, b"\n")
    writer.send(EVENTS[0])
    assert reader.read() == EVENTS[:1]


def test_worker_survives_its_supervisor():
    """A closed pipe, or none, is no error."""
    reader, descriptor = open_pipe()
    writer = EventWriter(descriptor)
    reader.close()
    for each in (writer, writer, EventWriter(None)):
        each.send(EVENTS[0])
    os.close(descriptor)
    assert reader.read() == []


WORKER = """
import os, signal, subprocess, sys
from studies.events import StudyJoined
from studies.workers.event_pipe import EventWriter, encode
writer = EventWriter(int(sys.argv[1]))
child = [sys.executable, "-c", "import os, sys; os.fstat(int(sys.argv[1]))", sys.argv[1]]
inherited = subprocess.run(child, close_fds=False, capture_output=True).returncode == 0
writer.send(StudyJoined(str(inherited)))
os.write(int(sys.argv[1]), encode(StudyJoined("torn"))[:20])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_worker_leaves_whole_events_and_children_do_not_inherit():
    """A process killed in the middle of a line tears that line alone, and its programs do not hold the pipe."""
    reader, descriptor = open_pipe()
    command = [sys.executable, "-c", WORKER, str(descriptor)]
    done = subprocess.run(command, pass_fds=[descriptor], timeout=60, check=False)
    os.close(descriptor)
    assert done.returncode == -9
    assert [event.identity for event in reader.read()] == ["False"]
    reader.close()
