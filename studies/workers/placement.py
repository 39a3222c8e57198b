"""Assigns devices to workers: the GPUs of this machine, found without using one, and the threads of its CPU."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from spaces.errors import UsageError

NVIDIA = Path("/proc/driver/nvidia/gpus")
HIDDEN = {"CUDA_VISIBLE_DEVICES": "-1", "HIP_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
"""Environment that hides the GPUs from a process."""

GROWTH = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
"""Environment that lets TensorFlow and JAX allocate GPU memory as needed, rather than all of it."""

THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC")
"""Variables from which TensorFlow, NumPy and JAX read their number of threads when they are imported."""


@dataclass(frozen=True)
class DeviceAssignment:
    """Device of one worker.

    Args:
        label: Name for people, such as `GPU 1`.
        share: Fraction of the device that the worker uses.
        environment: Environment variables that its process needs before the backend starts.
        defaults: Further variables, which the user's own environment overrides.
    """

    label: str
    share: float
    environment: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)

    def environment_for(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of its process, given that of this one."""
        return {**self.defaults, **environ, **self.environment}


@dataclass(frozen=True)
class Machine:
    """Devices of this machine.

    Args:
        cores: Number of CPU cores.
        gpus: Names of the GPUs, as CUDA_VISIBLE_DEVICES lists them.
        is_listed: The user's own CUDA_VISIBLE_DEVICES lists them.
        memory: Returns the memory of a GPU in bytes, or None if unknown.
    """

    cores: int
    gpus: tuple[str, ...] = ()
    is_listed: bool = False
    memory: Callable[[str], int | None] = lambda gpu: None


def this_machine(environ: Mapping[str, str] = os.environ) -> Machine:
    """Return the devices of this machine, without using a GPU."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(cores, visible_gpus(environ), "CUDA_VISIBLE_DEVICES" in environ, _gpu_memory)


def assign_devices(
    machine: Machine,
    workers: int | None = None,
    devices: str | None = None,
    workers_per_gpu: int | None = None,
    gpu_memory: int | None = None,
) -> list[DeviceAssignment]:
    """Return the device of each worker.

    Args:
        machine: Devices of the machine.
        workers: Number of workers; None for as many as fit, which on a CPU is one.
        devices: `auto`, `cpu` or a list of GPUs; None for `auto`.
        workers_per_gpu: Maximum number of workers per GPU; None for no maximum.
        gpu_memory: GPU memory limit of each worker in bytes, or None.

    Raises:
        UsageError: A GPU does not exist, or the workers do not fit.
    """
    devices = (devices or "auto").replace(" ", "")
    if devices == "cpu" or (devices == "auto" and not machine.gpus):
        return [_on_cpu(workers or 1, machine.cores, HIDDEN if devices == "cpu" else {})] * (workers or 1)
    chosen = machine.gpus
    if devices != "auto":
        chosen = tuple(dict.fromkeys(_gpu(name, machine.gpus) for name in devices.split(",")))
    count = workers or len(chosen) * (workers_per_gpu or 1)
    if workers_per_gpu is not None and count > workers_per_gpu * len(chosen):
        gpus = f"{len(chosen)} GPU{'s' if len(chosen) > 1 else ''}"
        raise UsageError(
            f"{count} workers do not fit on {gpus} with {workers_per_gpu} per GPU\n"
            f"hint: pass --workers {workers_per_gpu * len(chosen)} or --workers-per-gpu {-(-count // len(chosen))}"
        )
    names = [chosen[index % len(chosen)] for index in range(count)]
    return [_on_gpu(name, machine, names.count(name), gpu_memory) for name in names]


def _gpu(name: str, gpus: tuple[str, ...]) -> str:
    if not name.isdigit() and name in gpus:
        return name
    if not name.isdigit() or int(name) >= len(gpus):
        found = f"found {', '.join(map(str, range(len(gpus))))}" if gpus else "no GPU was found"
        raise UsageError(f"--devices: GPU {name} does not exist ({found})\nhint: pass --devices auto or --devices cpu")
    return gpus[int(name)]


def _on_gpu(name: str, machine: Machine, sharing: int, limit: int | None) -> DeviceAssignment:
    index = machine.gpus.index(name)
    environment = {"CUDA_VISIBLE_DEVICES": name, **GROWTH}
    if not machine.is_listed:
        # CUDA numbers the fastest GPU first, nvidia-smi follows the bus. A list of the user keeps CUDA's order.
        environment["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    if limit is not None and (memory := machine.memory(name)) is not None:
        if limit * sharing > memory:
            raise UsageError(
                f"--gpu-memory: GPU {index} has {memory / 2**30:.1f}GiB, too little for {sharing} x "
                f"{limit / 2**30:.1f}GiB\nhint: pass at most {memory // sharing // 2**20}MiB"
            )
        environment["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{limit / memory:.4f}"
    return DeviceAssignment(f"GPU {index}{f', 1/{sharing}' if sharing > 1 else ''}", 1 / sharing, environment)


def _on_cpu(workers: int, cores: int, hidden: Mapping[str, str]) -> DeviceAssignment:
    threads = max(1, cores // workers)
    label = f"CPU, {threads} thread{'s' if threads > 1 else ''}"
    return DeviceAssignment(label, 1 / workers, hidden, dict.fromkeys(THREADS, str(threads)))


def visible_gpus(environ: Mapping[str, str], list_gpus: Callable[[], list[str]] | None = None) -> tuple[str, ...]:
    """Return the GPUs that a process started here would see, as CUDA_VISIBLE_DEVICES lists them.

    If the environment does not set it, they are listed by `list_gpus`, or by the driver.
    """
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return tuple((list_gpus or _machine_gpus)())
    names: list[str] = []
    for name in (part.strip() for part in visible.split(",")):
        if not (name.isdigit() or name.startswith(("GPU-", "MIG-"))):
            break  # Like CUDA: the first invalid name ends the list.
        names.append(name)
    return tuple(names)


def _machine_gpus() -> list[str]:
    listed = _nvidia_smi("-L")
    if listed is not None:
        count = sum(line.startswith("GPU ") for line in listed)
    else:
        count = len(list(NVIDIA.iterdir())) if NVIDIA.is_dir() else 0
    return [str(index) for index in range(count)]


def _gpu_memory(gpu: str) -> int | None:
    lines = _nvidia_smi(f"--id={gpu}", "--query-gpu=memory.total", "--format=csv,noheader,nounits")
    return int(lines[0]) * 2**20 if lines and lines[0].strip().isdigit() else None


def _nvidia_smi(*words: str) -> list[str] | None:
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    try:
        done = subprocess.run([program, *words], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.splitlines()
