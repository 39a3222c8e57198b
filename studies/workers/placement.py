"""Which worker trains on what: the GPUs of this machine, found without starting one, and the threads of its CPU."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from spaces.errors import UsageError

NVIDIA = Path("/proc/driver/nvidia/gpus")
HIDDEN = {"CUDA_VISIBLE_DEVICES": "-1", "HIP_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
"""What keeps a process off the GPUs."""

GROWTH = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
"""What lets TensorFlow and JAX take of a GPU what they need, rather than all of it."""

THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC")
"""What TensorFlow, NumPy and JAX read their number of threads from, once, when they are imported."""


@dataclass(frozen=True)
class DeviceAssignment:
    """Where one worker trains.

    Args:
        label: In words, such as `GPU 1`.
        share: Its part of the device.
        environment: What its process is told before the backend starts.
        defaults: As `environment`, where the user's own environment says nothing else.
    """

    label: str
    share: float
    environment: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)

    def environment_for(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The environment of its process, from that of this one."""
        return {**self.defaults, **environ, **self.environment}


@dataclass(frozen=True)
class Machine:
    """What this machine has to train on.

    Args:
        cores: Cores of the CPU.
        gpus: The GPUs, as CUDA calls them.
        is_listed: The user's own CUDA_VISIBLE_DEVICES names them.
        memory: Gives the bytes of a GPU's memory, or None if nobody says.
    """

    cores: int
    gpus: tuple[str, ...] = ()
    is_listed: bool = False
    memory: Callable[[str], int | None] = lambda gpu: None


def this_machine(environ: Mapping[str, str] = os.environ) -> Machine:
    """What there is here; no GPU is started for it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(cores, found_gpus(environ), "CUDA_VISIBLE_DEVICES" in environ, _memory_of)


def assign_devices(
    machine: Machine,
    workers: int | None = None,
    devices: str | None = None,
    per_gpu: int | None = None,
    gpu_memory: int | None = None,
) -> list[DeviceAssignment]:
    """Where each worker trains.

    Args:
        machine: What there is.
        workers: How many; None for as many as find room, which on a CPU is one.
        devices: `auto`, `cpu` or GPUs; None for `auto`.
        per_gpu: Most workers on one GPU; None for as many as are needed.
        gpu_memory: Most bytes that each may take of its GPU, or None.

    Raises:
        UsageError: There is no such GPU, or there are more workers than find room.
    """
    wanted = (devices or "auto").replace(" ", "")
    if wanted == "cpu" or (wanted == "auto" and not machine.gpus):
        return [_on_cpu(workers or 1, machine.cores, HIDDEN if wanted == "cpu" else {})] * (workers or 1)
    chosen = machine.gpus
    if wanted != "auto":
        chosen = tuple(dict.fromkeys(_gpu(name, machine.gpus) for name in wanted.split(",")))
    count = workers or len(chosen) * (per_gpu or 1)
    if per_gpu is not None and count > per_gpu * len(chosen):
        gpus = f"{len(chosen)} GPU{'s' if len(chosen) > 1 else ''}"
        raise UsageError(
            f"{count} workers find no room on {gpus} with {per_gpu} on each: "
            f"give --workers {per_gpu * len(chosen)} or --workers-per-gpu {-(-count // len(chosen))}"
        )
    names = [chosen[index % len(chosen)] for index in range(count)]
    return [_on_gpu(name, machine, names.count(name), gpu_memory) for name in names]


def _gpu(name: str, gpus: tuple[str, ...]) -> str:
    if not name.isdigit() and name in gpus:
        return name
    if not name.isdigit() or int(name) >= len(gpus):
        there = f"there are {', '.join(map(str, range(len(gpus))))}" if gpus else "no GPU was found"
        raise UsageError(f"--devices: there is no GPU {name} here, {there}: give --devices auto or --devices cpu")
    return gpus[int(name)]


def _on_gpu(name: str, machine: Machine, sharing: int, limit: int | None) -> DeviceAssignment:
    index = machine.gpus.index(name)
    told = {"CUDA_VISIBLE_DEVICES": name, **GROWTH}
    if not machine.is_listed:
        # CUDA would count the fastest first, nvidia-smi counts by their places. A user's own list stays as meant.
        told["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    if limit is not None and (memory := machine.memory(name)) is not None:
        if limit * sharing > memory:
            raise UsageError(
                f"--gpu-memory: GPU {index} has {memory / 2**30:.1f}GiB, too little for {sharing} times "
                f"{limit / 2**30:.1f}GiB: give at most {memory // sharing // 2**20}MiB"
            )
        told["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{limit / memory:.4f}"
    return DeviceAssignment(f"GPU {index}{f', 1/{sharing}' if sharing > 1 else ''}", 1 / sharing, told)


def _on_cpu(workers: int, cores: int, hidden: Mapping[str, str]) -> DeviceAssignment:
    threads = max(1, cores // workers)
    label = f"CPU, {threads} thread{'s' if threads > 1 else ''}"
    return DeviceAssignment(label, 1 / workers, hidden, dict.fromkeys(THREADS, str(threads)))


def found_gpus(environ: Mapping[str, str], ask: Callable[[], list[str]] | None = None) -> tuple[str, ...]:
    """The GPUs that a process started here would see, as CUDA_VISIBLE_DEVICES names them.

    Args:
        environ: The environment; a CUDA_VISIBLE_DEVICES in it is the answer.
        ask: Lists those of the machine.
    """
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return tuple((ask or _of_machine)())
    names: list[str] = []
    for name in (part.strip() for part in visible.split(",")):
        if not (name.isdigit() or name.startswith(("GPU-", "MIG-"))):
            break  # As for CUDA: nothing counts from the first wrong name on.
        names.append(name)
    return tuple(names)


def _of_machine() -> list[str]:
    listed = _nvidia_smi("-L")
    if listed is not None:
        count = sum(line.startswith("GPU ") for line in listed)
    else:
        count = len(list(NVIDIA.iterdir())) if NVIDIA.is_dir() else 0
    return [str(index) for index in range(count)]


def _memory_of(gpu: str) -> int | None:
    told = _nvidia_smi(f"--id={gpu}", "--query-gpu=memory.total", "--format=csv,noheader,nounits")
    return int(told[0]) * 2**20 if told and told[0].strip().isdigit() else None


def _nvidia_smi(*words: str) -> list[str] | None:
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    try:
        done = subprocess.run([program, *words], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.splitlines()
