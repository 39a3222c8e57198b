"""When a worker process restarts."""

import numpy as np

from studies.workers.context import WorkerContext
from studies.workers.recycling import machine_memory, memory_per_worker, private_memory, should_restart


def test_process_restarts_after_its_trials():
    """The number of trials counts, however little memory they took."""
    process = WorkerContext(max_trials=3, max_memory=10**12)
    assert [should_restart(process, count) for count in range(5)] == [False, False, False, True, True]


def test_process_restarts_when_its_memory_has_grown(monkeypatch):
    """Above the limit a new process evaluates the next trial; each process evaluates at least one."""
    process = WorkerContext(max_trials=100, max_memory=99)
    for memory, restarts in ((50, False), (100, True)):
        monkeypatch.setattr("studies.workers.recycling.private_memory", lambda memory=memory: memory)
        assert should_restart(process, 1) is restarts
    assert not should_restart(process, 0)


def test_mapped_files_do_not_count_as_memory(tmp_path):
    """Decoded images that are read through a map do not count; arrays of the process do."""
    size = 64 * 2**20
    (tmp_path / "images").write_bytes(bytes(size))
    before = private_memory()
    mapped = np.memmap(tmp_path / "images", np.uint8)
    assert mapped.sum() == 0
    assert private_memory() - before < size / 2
    own = np.ones(size, np.uint8)
    assert private_memory() - before > 0.9 * own.nbytes


def test_container_limit_counts_as_memory(tmp_path):
    """The smaller of the machine's memory and the container's limit is divided."""
    limit = tmp_path / "memory.max"
    limit.write_text("max\n")
    assert machine_memory(limit) == machine_memory(tmp_path / "absent")
    limit.write_text(f"{2**30}\n")
    assert machine_memory(limit) == 2**30
    assert 0 < memory_per_worker(2) <= 0.41 * machine_memory()
