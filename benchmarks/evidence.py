"""Describe the machine and summarize runs, for all benchmarks."""

import os
import platform
import statistics
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path


def machine(*packages: str) -> str:
    """Return the hardware, the load before the first run, and the versions."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in packages)
    load = f"load {os.getloadavg()[0]:.1f} before"
    return f"{_processor()}, {cores} cores, {load}; Python {platform.python_version()}, {versions}"


def spread(values: Sequence[float], unit: str = "s") -> str:
    """Return the median, minimum and maximum of some runs."""
    median, low, high = (f"{value:.4g}" for value in (statistics.median(values), min(values), max(values)))
    return f"median {median} {unit}".rstrip() + f", from {low} to {high}, n={len(values)}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
