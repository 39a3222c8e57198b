"""Which worker trains on what."""

import pytest

from spaces.errors import UsageError
from studies.workers.placement import HIDDEN, THREADS, Machine, assign_devices, found_gpus

TWO = Machine(16, ("0", "1"), memory=lambda gpu: 16 * 2**30)
NONE = Machine(8)


def visible(chosen):
    """The GPU of each worker."""
    return [place.environment.get("CUDA_VISIBLE_DEVICES") for place in chosen]


def test_workers_are_dealt_to_the_gpus_in_turn():
    """Each worker sees one GPU, and knows which part of it is its own."""
    chosen = assign_devices(TWO, workers=3, per_gpu=2)
    assert visible(chosen) == ["0", "1", "0"]
    assert [place.share for place in chosen] == [0.5, 1.0, 0.5]
    assert [place.label for place in chosen] == ["GPU 0, 1/2", "GPU 1", "GPU 0, 1/2"]


@pytest.mark.parametrize(
    ("asked", "gpus"),
    [
        ({"devices": "auto"}, ["0", "1"]),
        ({"devices": "1"}, ["1"]),
        ({"devices": "0, 1", "per_gpu": 2}, ["0", "1", "0", "1"]),
        ({"devices": "1,1"}, ["1"]),
        ({"workers": 1}, ["0"]),
        ({"workers": 5, "devices": "1"}, ["1"] * 5),
    ],
)
def test_as_many_workers_as_find_room(asked, gpus):
    """Without a number of workers there is one for each place; without places, as many as are needed."""
    assert visible(assign_devices(TWO, **asked)) == gpus


def test_a_worker_takes_of_its_gpu_what_it_needs():
    """Memory grows with need, GPUs are counted as nvidia-smi counts, and a limit is a part of the whole for JAX."""
    (place,) = assign_devices(TWO, devices="1", gpu_memory=4 * 2**30)
    assert place.environment["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    assert place.environment["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    assert place.environment["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.2500"
    assert place.environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def test_a_list_of_the_users_own_is_the_whole_machine():
    """Under a scheduler, GPU 0 is the first of those that it has lent, in the order that it means."""
    machine = Machine(16, ("5", "3"), is_listed=True)
    (place,) = assign_devices(machine, devices="1")
    assert place.environment["CUDA_VISIBLE_DEVICES"] == "3"
    assert "CUDA_DEVICE_ORDER" not in place.environment


@pytest.mark.parametrize(
    ("machine", "asked", "message"),
    [
        (TWO, {"devices": "2"}, "no GPU 2 here, there are 0, 1"),
        (NONE, {"devices": "0"}, "no GPU was found"),
        (TWO, {"devices": "GPU-abc"}, "no GPU GPU-abc"),
        (TWO, {"workers": 5, "per_gpu": 2}, "--workers 4 or --workers-per-gpu 3"),
        (TWO, {"devices": "0", "per_gpu": 2, "gpu_memory": 9 * 2**30}, "GPU 0 has 16.0GiB.*at most 8192MiB"),
    ],
)
def test_what_is_not_there_is_refused(machine, asked, message):
    """A GPU that is absent, and workers that find no room, are errors of the command line."""
    with pytest.raises(UsageError, match=message) as error:
        assign_devices(machine, **asked)
    assert error.value.exit_code == 2


def test_on_a_cpu_the_threads_are_divided():
    """Workers share the cores; whatever the user has set stays."""
    chosen = assign_devices(TWO, workers=5, devices="cpu")
    assert len(chosen) == 5
    told = chosen[0].environment_for({"OMP_NUM_THREADS": "7", "HOME": "/root"})
    assert told == {**dict.fromkeys(THREADS, "3"), "OMP_NUM_THREADS": "7", "HOME": "/root", **HIDDEN}
    assert chosen[0].label == "CPU, 3 threads"
    assert chosen[0].share == pytest.approx(0.2)


def test_without_gpus_the_cpu_is_taken():
    """`auto` on a machine without an NVIDIA GPU hides nothing: the backend may know another accelerator."""
    (place,) = assign_devices(NONE, devices="auto")
    assert place.label == "CPU, 8 threads"
    assert not place.environment


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ("2,3", ("2", "3")),
        ("", ()),
        ("-1", ()),
        ("0,-1,1", ("0",)),
        ("GPU-1a, MIG-2b", ("GPU-1a", "MIG-2b")),
        ("NoDevFiles", ()),
    ],
)
def test_gpus_are_those_that_the_environment_leaves(visible, expected):
    """CUDA_VISIBLE_DEVICES decides, as CUDA itself reads it."""
    assert found_gpus({"CUDA_VISIBLE_DEVICES": visible}, ask=lambda: pytest.fail("asked")) == expected


def test_gpus_are_counted_without_starting_one(tmp_path, monkeypatch):
    """nvidia-smi lists them; MIG devices below a GPU are none of their own."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H200'\necho '  MIG 1g.18gb'\necho 'GPU 1: NVIDIA H200'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert found_gpus({}) == ("0", "1")
