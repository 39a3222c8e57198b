"""Draws `curves.png`: the learning curves of the best trial and the baseline."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from matplotlib.ticker import MaxNLocator

from studies.export.plots.canvas import new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Epochs: TypeAlias = Sequence[Mapping[str, float | None]]
"""Metrics of each epoch, in order; None for values that were not finite."""

_TRAIN, _VALIDATION, _BASELINE = "#4477aa", "#cc6633", "#868b91"
_LOG_SCALE_RATIO = 50.0
"""Ratio of the largest to the smallest loss above which the scale is logarithmic."""


@dataclass(frozen=True)
class Curve:
    """Learning curve of one trial.

    Args:
        number: Trial number.
        epoch: Best epoch, counted from 1, or None.
        epochs: Metrics of each epoch.
    """

    number: int
    epoch: int | None
    epochs: Epochs


def plot_curves(path: Path, metric: str, best: Curve, baseline: Curve | None) -> None:
    """Plot the training and validation loss and metric of the best trial, and the baseline's validation curves.

    Args:
        metric: Metric of the study, such as `val_accuracy`.
        baseline: Trial 0; None, or the best trial itself, to omit it.

    Raises:
        OSError: The file cannot be written.
    """
    names = ["loss", "accuracy" if metric == "val_loss" else metric.removeprefix("val_")]
    figure = new_figure(10, 4)
    other = None if baseline is None or baseline.number == best.number else baseline
    for axes, name in zip(figure.subplots(1, 2), names, strict=True):
        _panel(axes, name, best, other)
    figure.suptitle(f"Trial {best.number} (best by {metric})")
    save(figure, path)


def mean_over_folds(rows: Epochs) -> Epochs:
    """Return the metrics of each epoch, averaged over the folds that reached it."""
    folds: dict[float, list[Mapping[str, float | None]]] = {}
    for row in rows:
        folds.setdefault(row.get("fold") or 0.0, []).append(row)
    return [_mean_row([row for row in each if row is not None]) for each in zip_longest(*folds.values())]


def _mean_row(rows: Sequence[Mapping[str, float | None]]) -> Mapping[str, float | None]:
    columns = {name: [value for row in rows if (value := row.get(name)) is not None] for name in rows[0]}
    return {name: sum(values) / len(values) if values else None for name, values in columns.items()}


def _panel(axes: "Axes", name: str, best: Curve, baseline: Curve | None) -> None:
    value = f"val_{name}"
    if baseline is not None:
        label = f"baseline, trial {baseline.number}, validation"
        _line(axes, baseline, value, color=_BASELINE, linestyle="--", label=label)
    _line(axes, best, name, color=_TRAIN, label=f"trial {best.number}, training")
    _line(axes, best, value, color=_VALIDATION, linewidth=2.2, label=f"trial {best.number}, validation")
    _mark(axes, best, value)
    axes.set(xlabel="epoch", ylabel=name.replace("_", " "))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if name == "loss" and _needs_log_scale([best, *([] if baseline is None else [baseline])]):
        axes.set_yscale("log")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, framealpha=0.8)


def _line(axes: "Axes", curve: Curve, name: str, **look: Any) -> None:
    values = _values(curve, name)
    if any(math.isfinite(value) for value in values):
        marker = "o" if len(values) < 3 else None
        axes.plot(range(1, len(values) + 1), values, marker=marker, **look)


def _mark(axes: "Axes", curve: Curve, name: str) -> None:
    """Mark the best epoch and its value."""
    values = _values(curve, name)
    if curve.epoch is None or curve.epoch > len(values) or not math.isfinite(values[curve.epoch - 1]):
        return
    value = values[curve.epoch - 1]
    axes.axvline(curve.epoch, color=_VALIDATION, linewidth=0.8, linestyle=":")
    label = f"best epoch, {curve.epoch}: {value:.4f}"
    axes.plot([curve.epoch], [value], "o", color=_VALIDATION, markersize=8, markeredgecolor="white", label=label)


def _needs_log_scale(curves: Sequence[Curve]) -> bool:
    values = [value for curve in curves for name in ("loss", "val_loss") for value in _values(curve, name)]
    finite = [value for value in values if math.isfinite(value)]
    return bool(finite) and min(finite) > 0 and max(finite) > _LOG_SCALE_RATIO * min(finite)


def _values(curve: Curve, name: str) -> list[float]:
    found = [epoch.get(name) for epoch in curve.epochs]
    return [math.nan if value is None else float(value) for value in found]
