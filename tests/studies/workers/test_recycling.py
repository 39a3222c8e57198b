"""When a worker makes room for a fresh process."""

import numpy as np

from studies.workers.recycling import machine_memory, memory_per_worker, private_memory, restart_check


def test_a_process_ends_after_its_share_of_trials():
    """So many trials are enough, however little memory they took."""
    asked = restart_check(3, 10**12)
    assert [asked(count) for count in range(5)] == [False, False, False, True, True]


def test_a_process_ends_when_its_memory_has_grown():
    """Above the limit the next trial is for a fresh process; but each one evaluates at least one."""
    memory = [50]
    asked = restart_check(100, 99, lambda: memory[0])
    assert not asked(1)
    memory[0] = 100
    assert asked(1)
    assert not asked(0)


def test_mapped_files_are_not_the_memory_of_a_process(tmp_path):
    """Decoded images that are read through a map do not count, arrays of the process itself do."""
    size = 64 * 2**20
    (tmp_path / "images").write_bytes(bytes(size))
    before = private_memory()
    mapped = np.memmap(tmp_path / "images", np.uint8)
    assert mapped.sum() == 0
    assert private_memory() - before < size / 2
    own = np.ones(size, np.uint8)
    assert private_memory() - before > 0.9 * own.nbytes


def test_the_memory_of_a_container_counts(tmp_path):
    """The smaller of the machine's memory and the container's limit is divided."""
    limit = tmp_path / "memory.max"
    limit.write_text("max\n")
    assert machine_memory(limit) == machine_memory(tmp_path / "absent")
    limit.write_text(f"{2**30}\n")
    assert machine_memory(limit) == 2**30
    assert 0 < memory_per_worker(2) <= 0.41 * machine_memory()
