"""What happens before the study is opened: the space is checked, images are read, and both are fitted to each other."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from spaces.space import Space, baseline, resolve
from studies.backend.keras_backend import require_backend
from studies.data.dataset import Dataset
from studies.data.folds import check_folds
from studies.settings import Study
from studies.trials.declared import SpaceDefinition
from studies.trials.run_context import RunContext
from studies.trials.samplers import max_trials
from studies.trials.space_checks import (
    check_fine_tuning,
    check_hypermodel,
    check_metric,
    check_weights,
    precision_of_file,
    with_data_defaults,
)
from studies.workers.context import WorkerContext


@dataclass(frozen=True)
class PreflightResult:
    """What a study searches.

    Args:
        space: The space, with the epochs, the batch size and the weights that suit the images.
        dataset: The images of the baseline.
        notices: What the user should know, one sentence each.
    """

    space: Space
    dataset: Dataset
    notices: tuple[str, ...]


def prepare(
    declared: SpaceDefinition,
    settings: Study,
    context: RunContext,
    process: WorkerContext,
    *,
    export: bool,
    check_time: Callable[[], None],
) -> PreflightResult:
    """Check all that can be checked before the first trial, the quickest first, and read the images.

    Args:
        declared: The space and its folder.
        settings: How it is searched.
        context: What all parts of the run share.
        process: What this process is among the workers of the study.
        export: The best trial will be exported.
        check_time: Called once the images are read; raises if nothing more can come of this run.

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
    max_trials(space, settings.sampler)
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
