"""A run in this process: loads the space and searches it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search.display.screen import Screen
from search.run_command import RunCommand, option_name, settings_of
from spaces import KerasTunerModel, baseline
from spaces.errors import UsageError
from spaces.held_out import with_test
from spaces.loading import LoadedSpace, load
from spaces.parameters import Scalar
from spaces.space import Space
from studies.outcome import RunResult
from studies.settings import Study
from studies.stop_request import StopRequest, signals
from studies.workers.context import WorkerContext

SUPERVISOR_OPTIONS = {"workers", "devices"}
WORKER_OPTIONS = {"workers_per_gpu", "gpu_memory", "max_worker_memory"}
GPU_OPTIONS = {"workers_per_gpu", "gpu_memory"}


def load_typed(call: RunCommand, settings: Mapping[str, Any], screen: Screen) -> tuple[LoadedSpace, Study]:
    """Load the space and the settings of a command line.

    Raises:
        SearchError: The file cannot be loaded, or options exclude each other.
    """
    loaded = load(call.target, call.data)
    if call.test is not None:
        loaded = with_test(loaded, call.test)
    _require_text(loaded.folder, call.output.absolute())
    study = settings_of(loaded, settings)
    if study.storage is not None:
        from studies.database.urls import check_url

        check_url(study.storage)
    if not study.is_supervised and (alone := WORKER_OPTIONS & settings.keys()):
        raise UsageError(f"{option_name(min(alone))} requires --workers or --devices")
    # In a space file these settings may be meant for machines that have GPUs.
    if study.devices is not None and study.devices.strip() == "cpu" and (of_gpus := GPU_OPTIONS & settings.keys()):
        raise UsageError(f"{option_name(min(of_gpus))} cannot be combined with --devices cpu")
    screen.on_space_loaded(loaded.space, study)
    return loaded, study


def _require_text(*paths: Path) -> None:
    """Raise if a path is not text: it is stored in the study and its export."""
    for path in paths:
        if not str(path).isprintable() and any("\ud800" <= letter <= "\udfff" for letter in str(path)):
            raise UsageError(f"the path {str(path)!a} must be valid UTF-8: rename the folder")


def search_loaded(
    call: RunCommand, loaded: LoadedSpace, study: Study, screen: Screen, stop: StopRequest, process: WorkerContext
) -> tuple[RunResult, dict[str, Scalar]]:
    """Search a loaded space in this process. Return the result, and the baseline by dotted name."""
    with signals(stop, screen.on_stopping):
        # This loads Optuna and Keras, which takes seconds.
        from studies.run import run as run_study

        result = run_study(
            loaded, study, output=call.output, export=call.export, listener=screen, stop=stop, process=process
        )
    return result, {**baseline(result.space or loaded.space), **_hyperparameters(loaded.space, result)}


def _hyperparameters(space: Space, result: RunResult) -> Mapping[str, Scalar]:
    """Return the defaults of a hypermodel, if the space has one and there is a best trial to compare."""
    if not isinstance(space.model, KerasTunerModel) or result.progress.best is None:
        return {}
    from studies.keras_tuner.suggest import defaults_of

    return defaults_of(space)
