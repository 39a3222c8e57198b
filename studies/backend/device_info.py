"""Describe the device that Keras trains on: accelerators or the CPU."""

import functools
import os

import keras


@functools.cache
def accelerators() -> tuple[str, ...]:
    """Return the names of the GPUs and TPUs that the backend sees."""
    # JAX raises an error if asked for a kind of device that is missing.
    return tuple(name for name in keras.distribution.list_devices() if not name.lower().startswith("cpu"))


def cpu_cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe_device() -> str:
    """Return the devices and the backend in words."""
    names, cores = accelerators(), cpu_cores()
    device = ", ".join(names) if names else f"{cores} CPU core{'s' if cores > 1 else ''}"
    return f"{device} ({keras.backend.backend()})"


def jit_compile() -> str | bool:
    """Return `jit_compile` for `compile`: XLA makes a CNN two to five times slower on TensorFlow's CPU."""
    return "auto" if accelerators() or keras.backend.backend() != "tensorflow" else False
