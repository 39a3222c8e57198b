"""Checks the space, reads the images and adapts the space to them, before the study is opened."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from spaces.loading import LoadedSpace
from spaces.space import Space, baseline, resolve
from studies.backend.keras_backend import require_backend
from studies.data.dataset import Dataset
from studies.data.folds import check_folds
from studies.settings import Study
from studies.trials.run_context import RunContext
from studies.trials.samplers import initial_assignments, max_trials
from studies.trials.space_checks import (
    check_fine_tuning,
    check_hypermodel,
    check_metric,
    check_weights,
    precision_of_file,
    with_data_defaults,
    with_default_folds,
)
from studies.workers.context import WorkerContext


@dataclass(frozen=True)
class PreflightResult:
    """Space and images of a study, after all checks.

    Args:
        space: The space, with epochs, batch size and weights that suit the images.
        dataset: Images of the baseline.
        notices: Notices for the user, one sentence each.
    """

    space: Space
    dataset: Dataset
    notices: tuple[str, ...]


def prepare(
    declared: LoadedSpace,
    settings: Study,
    context: RunContext,
    process: WorkerContext,
    *,
    export: bool,
    check_time: Callable[[], None],
) -> PreflightResult:
    """Check the space before the first trial, with the quickest checks first, and read the images.

    Args:
        declared: Space and its folder.
        settings: Settings of the study.
        context: Context of the run.
        process: Role of this process among the workers.
        export: True if the best trial will be exported.
        check_time: Called after the images are read; raises if there is no time for a trial.

    Raises:
        SearchError: The space cannot be searched on these images.
    """
    if process.gpu_memory is not None:
        require_backend(process.gpu_memory)
    precision, of_precision = precision_of_file(declared.space)
    check_weights(declared.space, declared.folder)
    check_fine_tuning(declared.space)
    notices = check_hypermodel(declared.space, exports=export)
    dataset = context.datasets(resolve(declared.space, baseline(declared.space)))
    context.listener.on_data_ready(dataset.summary())
    check_time()
    check_metric(declared.space.metric, dataset)
    if declared.space.folds:
        check_folds(dataset, declared.space.folds)
    space = with_data_defaults(replace(declared.space, precision=precision), len(dataset.train))
    space = with_default_folds(space, dataset)
    max_trials(space, settings.sampler)
    initial_assignments(space, settings.sampler, settings.seed, settings.first)
    require_backend()
    # Keras is imported only where it is needed.
    from studies.models.weights_check import prepare_weights
    from studies.trials.first_model import check_first_model

    notify = partial(context.listener.on_worker_output, "weights")
    space = prepare_weights(space, declared.folder, dataset.image_shape, notify)
    notices += [*of_precision, *dataset.duplicates.notices()]
    if process.checks_model and not process.is_replacement:
        notices += check_first_model(space, dataset, export=export)
    return PreflightResult(space, dataset, tuple(notices))
