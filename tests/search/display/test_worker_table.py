"""The live table of all workers."""

from dataclasses import replace

import pytest
from rich.cells import cell_len

from studies.outcome import WorkerInfo
from tests.search.display.test_live_screen import SIZES, drawn, loading
from tests.support import fake_events

WORKERS = [
    WorkerInfo(
        f"node{number // 4}.example.org",
        1000 + number,
        "GPU 0, 1/2",
        heartbeat_seconds=0.5,
        activity="training",
        trial_number=number,
        epoch=3,
        epochs=15,
        metric_value=0.9 + number / 1000,
        log=f"/runs/digits/logs/worker-{number % 4 + 1}.log" if number else None,
    )
    for number in range(12)
]
WORKERS[1] = replace(WORKERS[1], state="lost", heartbeat_seconds=14)


def watching(workers):
    """A screen with workers, after three trials."""
    screen = loading(fake_events.WIDE_SPACE)
    fake_events.play(screen, fake_events.WIDE_SPACE)
    screen.state = replace(screen.state, running=None)
    screen.on_workers_changed(workers)
    return screen


def test_each_worker_has_a_row():
    """A lost worker has no current trial; counts are above the table, the best and recent trials below."""
    lines = drawn(watching(WORKERS[:3]), 140, 40)
    training = next(line for line in lines if "node0 3" in line)
    assert training.split() == ["node0", "3", "GPU", "0,", "1/2", "#2", "3/15", "0.9020"]
    assert any("node0 pid 1000" in line for line in lines)
    lost = next(line for line in lines if "node0 2" in line)
    assert "lost, no heartbeat for 14s" in lost
    assert "#1" not in lost
    for fragment in ("2 workers", "best: trial 2  val_accuracy 0.9871  baseline 0.9767", "#1  pruned"):
        assert fragment in "\n".join(lines)


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("count", [1, 3, 12])
def test_the_table_fits_the_terminal(width, height, count):
    """With any number of workers; running ones are shown first, and hidden ones counted."""
    lines = drawn(watching(WORKERS[:count]), width, height)
    assert len(lines) <= height
    assert all(cell_len(line) <= width for line in lines)
    assert "more workers, 1 of them lost" in "\n".join(drawn(watching(WORKERS), 80, 14))


def test_a_single_process_shows_the_number_of_workers():
    """A run without a supervisor counts the workers of its study, and says when it waits for them."""
    screen = loading(fake_events.WIDE_SPACE)
    fake_events.play(screen, fake_events.WIDE_SPACE)
    assert "worker" not in "".join(drawn(screen, 80, 24)[:2])
    screen.on_worker_count(3)
    screen.on_waiting()
    shown = drawn(screen, 80, 24)
    assert "3 workers" in shown[1]
    assert any("Waiting for the other workers" in line for line in shown)
