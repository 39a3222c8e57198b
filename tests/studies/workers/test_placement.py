"""Devices of workers."""

import pytest

from spaces.errors import UsageError
from studies.workers.placement import HIDDEN, THREADS, Machine, assign_devices, visible_gpus

TWO = Machine(16, ("0", "1"), memory=lambda gpu: 16 * 2**30)
NONE = Machine(8)


def gpus_of(chosen):
    """Return the GPU of each worker."""
    return [place.environment.get("CUDA_VISIBLE_DEVICES") for place in chosen]


def test_workers_are_assigned_to_gpus_in_turn():
    """Each worker sees one GPU, and knows its share of it."""
    chosen = assign_devices(TWO, workers=3, workers_per_gpu=2)
    assert gpus_of(chosen) == ["0", "1", "0"]
    assert [place.share for place in chosen] == [0.5, 1.0, 0.5]
    assert [place.label for place in chosen] == ["GPU 0, 1/2", "GPU 1", "GPU 0, 1/2"]


@pytest.mark.parametrize(
    ("asked", "gpus"),
    [
        ({"devices": "auto"}, ["0", "1"]),
        ({"devices": "1"}, ["1"]),
        ({"devices": "0, 1", "workers_per_gpu": 2}, ["0", "1", "0", "1"]),
        ({"devices": "1,1"}, ["1"]),
        ({"workers": 1}, ["0"]),
        ({"workers": 5, "devices": "1"}, ["1"] * 5),
    ],
)
def test_number_of_workers_follows_from_the_gpus(asked, gpus):
    """Without --workers each GPU is filled; without a limit per GPU any number of workers fits."""
    assert gpus_of(assign_devices(TWO, **asked)) == gpus


def test_gpu_memory_grows_as_needed():
    """GPUs are numbered like in nvidia-smi, and JAX receives a limit as a fraction of the memory."""
    (place,) = assign_devices(TWO, devices="1", gpu_memory=4 * 2**30)
    expected = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    expected |= {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.2500", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert expected.items() <= place.environment.items()


def test_users_own_list_is_the_whole_machine():
    """Under a scheduler, GPU 0 is the first one that it has assigned, in its order."""
    machine = Machine(16, ("5", "3"), is_listed=True)
    (place,) = assign_devices(machine, devices="1")
    assert place.environment["CUDA_VISIBLE_DEVICES"] == "3"
    assert "CUDA_DEVICE_ORDER" not in place.environment


@pytest.mark.parametrize(
    ("machine", "asked", "message"),
    [
        (TWO, {"devices": "2"}, r"GPU 2 .*0, 1"),
        (NONE, {"devices": "0"}, "no GPU was found"),
        (TWO, {"devices": "GPU-abc"}, "GPU-abc"),
        (TWO, {"workers": 5, "workers_per_gpu": 2}, "--workers 4 or --workers-per-gpu 3"),
        (TWO, {"devices": "0", "workers_per_gpu": 2, "gpu_memory": 9 * 2**30}, r"GPU 0 has 16.0GiB(.|\n)*8192MiB"),
    ],
)
def test_missing_gpus_and_too_many_workers_are_usage_errors(machine, asked, message):
    """The message names what exists and what fits."""
    with pytest.raises(UsageError, match=message) as error:
        assign_devices(machine, **asked)
    assert error.value.exit_code == 2


def test_workers_share_the_threads_of_a_cpu():
    """Variables that the user has set stay."""
    place, *others = assign_devices(TWO, workers=5, devices="cpu")
    environment = place.environment_for({"OMP_NUM_THREADS": "7", "HOME": "/root"})
    assert environment == {**dict.fromkeys(THREADS, "3"), "OMP_NUM_THREADS": "7", "HOME": "/root", **HIDDEN}
    assert (place.label, place.share, len(others)) == ("CPU, 3 threads", pytest.approx(0.2), 4)


def test_auto_uses_the_cpu_without_gpus():
    """`auto` on a machine without an NVIDIA GPU hides nothing: the backend may know another accelerator."""
    (place,) = assign_devices(NONE, devices="auto")
    assert place.label == "CPU, 8 threads"
    assert not place.environment


@pytest.mark.parametrize(
    ("visible", "expected"),
    [("2,3", "2 3"), ("", ""), ("-1", ""), ("0,-1,1", "0"), ("GPU-1a, MIG-2b", "GPU-1a MIG-2b"), ("NoDevFiles", "")],
)
def test_cuda_visible_devices_decides(visible, expected):
    """It is read as CUDA reads it."""
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": visible}, list_gpus=lambda: pytest.fail("asked")) == tuple(
        expected.split()
    )


def test_gpus_are_listed_by_nvidia_smi(tmp_path, monkeypatch):
    """No GPU is used for it; MIG devices of a GPU are not counted."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H200'\necho '  MIG 1g.18gb'\necho 'GPU 1: NVIDIA H200'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert visible_gpus({}) == ("0", "1")
