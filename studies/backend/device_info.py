"""What trains: the accelerator or the processor that Keras sees."""

import functools
import os

import keras


@functools.cache
def accelerators() -> tuple[str, ...]:
    """The GPUs and TPUs that the backend sees, by name."""
    # Asked for one kind of device, JAX fails where there is none.
    return tuple(name for name in keras.distribution.list_devices() if not name.lower().startswith("cpu"))


def describe() -> str:
    """The device in words, with the backend."""
    names = accelerators()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    device = ", ".join(names) if names else f"{cores} CPU core{'s' if cores > 1 else ''}"
    return f"{device} ({keras.backend.backend()})"


def jit_compile() -> str | bool:
    """What `compile` is told: XLA makes a CNN two to five times slower on TensorFlow's CPU."""
    return "auto" if accelerators() or keras.backend.backend() != "tensorflow" else False
