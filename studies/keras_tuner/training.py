"""Trains a hypermodel's network as KerasTuner would, with its own `fit` where it has one."""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import keras

from spaces.errors import ModelError
from spaces.keras_tuner import ONE_HOT, KerasTunerModel
from spaces.space import Recipe
from spaces.training import METRICS
from studies.callbacks import BestEpoch, EpochEnd, StopOnRequest, Validation, validates_itself
from studies.compiling import compile_model
from studies.data import Split
from studies.data.feed import Feed, evaluation_data, steps_per_execution, training_feed
from studies.keras_tuner.asking import Ask, AskedHyperParameters, hyperparameters_for
from studies.keras_tuner.feed import Form
from studies.keras_tuner.labels import check_metrics, one_hot_columns
from studies.keras_tuner.models import as_the_users, build_network, connect, name_of
from studies.keras_tuner.reports import Reports
from studies.models.building import precision
from studies.models.rescaling import is_rescaled
from studies.training import DIVERGED, FINISHED, OUT_OF_PATIENCE, REFUSED, STOPPED, Training

_TWICE = re.compile(r"got multiple values for keyword argument '(\w+)'")


def train_hypermodel(
    recipe: Recipe,
    images: Split,
    validation: Split | None,
    *,
    classes: int,
    seed: int,
    epochs: int | None,
    second_epochs: int | None,
    ask: Ask | None,
    on_epoch: Callable[[int, Mapping[str, float]], bool],
    stop: Callable[[], bool],
    on_steps: Callable[[Any, int], None],
    judges: Callable[[int], bool],
) -> Training:
    """Build and fit the network of a recipe with a `KerasTunerModel`; the arguments are those of `train`.

    Raises:
        ModelError: The hypermodel fails, or its network does not fit the images and classes.
    """
    keras.utils.set_random_seed(seed)
    hp = hyperparameters_for(recipe.model, ask)
    feed = training_feed(images, recipe.batch_size, seed, recipe.balance)
    network, form = _compiled_network(recipe, hp, images.images.shape[1:], classes, feed.steps)
    stopping = StopOnRequest(stop, on_steps)
    ending = EpochEnd(on_epoch, feed.begin_epoch, stopping)
    best = BestEpoch(recipe.metric, METRICS[recipe.metric], recipe.patience, stopping)
    measuring = None if validation is None else _scores(recipe, form, validation, classes, stopping)
    judging = [] if measuring is None else [measuring, best]
    reports = Reports([stopping, *judging, ending], (epochs, second_epochs or 0) if epochs else None)
    reports.set_params({"epochs": recipe.epochs})
    if has_own_fit(recipe.model):
        _own_fit(recipe, network, hp, (images, validation), form, reports)
        if not ending.history and not stopping.stopped:
            # A fit that calls no callbacks is one long epoch.
            reports.set_model(network)
            reports.on_epoch_end(recipe.epochs - 1, {})
    else:
        _fit(recipe, network, feed, validation, form, reports, epochs or recipe.epochs)
    if validation is not None:
        best.restore()
    else:
        reports.restore()
    done = best.epoch or len(ending.history)
    first = min(done, reports.first_fit or done)
    ended = _ended(stopping, ending, best)
    unfinished = {}
    if measuring is not None and stopping.stopped and stopping.has_trained and not ending.history:
        unfinished = measuring.unfinished(judges)
    reached = best.epoch, best.value, best.loss, ended, first, done - first, unfinished.get(recipe.metric)
    return Training(network, tuple(ending.history), *reached)


def _compiled_network(
    recipe: Recipe, hp: AskedHyperParameters, shape: tuple[int, ...], classes: int, steps: int
) -> tuple[keras.Model, Form]:
    """The network, compiled by its hypermodel or else as the recipe says, and what it is to be given."""
    with precision(recipe.precision):
        network = build_network(recipe.model, hp)
        outputs = connect(recipe.model, network, shape, classes)
    execution = steps_per_execution(shape, recipe.batch_size, steps)
    is_users_loss = network.compiled
    if not network.compiled:
        compile_model(network, recipe, steps, execution)
    if not has_own_fit(recipe.model):
        network.steps_per_execution = max(execution, network.steps_per_execution)
    columns = label_columns(recipe.model, network, outputs, is_users_loss)
    rescale = is_rescaled(name_of(recipe.model), network, recipe.model.rescale, shape)
    return network, Form(rescale, columns)


def label_columns(record: KerasTunerModel, network: keras.Model, outputs: int, is_users_loss: bool) -> int:
    """Number of columns of the labels, 0 for integers, as the loss and the metrics take them.

    Raises:
        ModelError: The loss's form cannot be detected, or the metrics need the other one.
    """
    if has_own_fit(record) and not is_users_loss:
        # The loss is hidden in `fit`.
        return outputs if record.labels == ONE_HOT else 0
    columns = one_hot_columns(record, name_of(record), network, outputs)
    check_metrics(name_of(record), network, outputs, columns)
    return columns


def first_network(recipe: Recipe, shape: tuple[int, ...], classes: int) -> tuple[str, keras.Model]:
    """What the hypermodel is called in messages, and its compiled network under its defaults.

    Raises:
        ModelError: The hypermodel fails, or its network cannot be trained on the images and classes.
    """
    network, _ = _compiled_network(recipe, hyperparameters_for(recipe.model, None), shape, classes, 1)
    return name_of(recipe.model), network


def has_own_fit(record: KerasTunerModel) -> bool:
    """Whether the hypermodel's `fit` is more than `model.fit`."""
    import keras_tuner

    own = getattr(type(record.hypermodel), "fit", None)
    return not callable(record.hypermodel) and own not in (None, keras_tuner.HyperModel.fit)


def _fit(
    recipe: Recipe,
    network: keras.Model,
    feed: Feed,
    validation: Split | None,
    form: Form,
    reports: Reports,
    epochs: int,
) -> None:
    judging = None
    if validation is not None and validates_itself(network):
        judging = form.batches(evaluation_data(validation, recipe.batch_size))
    network.fit(
        **{**feed.inputs, "x": form.batches(feed.inputs["x"])},
        epochs=epochs,
        validation_data=judging,
        callbacks=[reports],
        verbose=0,
    )


def _own_fit(
    recipe: Recipe,
    network: keras.Model,
    hp: AskedHyperParameters,
    splits: tuple[Split, Split | None],
    form: Form,
    reports: Reports,
) -> None:
    """Call the hypermodel's `fit` with arrays, as `tuner.search(x, y, validation_data=..., ...)` does.

    A retraining makes the same calls with the same arguments; `reports` ends them where the trial was best.
    """
    if recipe.balance is not None:
        raise ModelError("balance: has no effect on a hypermodel with a fit() of its own: give class_weight there")
    x, y = form.arrays(splits[0])
    # The retraining has no validation images, but a fit may need some to run.
    held = form.arrays(splits[1]) if splits[1] else (x[: recipe.batch_size], y[: recipe.batch_size])
    fit = recipe.model.hypermodel.fit
    given = _accepted(fit, {"epochs": recipe.epochs, "batch_size": recipe.batch_size, "verbose": 0})

    def call() -> None:
        while True:
            try:
                fit(hp, network, x, y, validation_data=held, callbacks=[reports], **given)
                return
            except TypeError as error:
                # The hypermodel sets this argument itself: model.fit(*args, epochs=hp.Int(...), **kwargs).
                found = _TWICE.search(str(error))
                if found is None or given.pop(found.group(1), None) is None:
                    raise

    try:
        as_the_users(recipe.model, "fit", hp, call)
    except ModelError:
        if reports.failure is not None:
            raise reports.failure from None
        raise


def _accepted(function: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments that a function takes."""
    parameters = inspect.signature(function).parameters
    if any(parameter.kind == inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return arguments
    return {name: value for name, value in arguments.items() if name in parameters}


def _scores(recipe: Recipe, form: Form, validation: Split, classes: int, stopping: StopOnRequest) -> Validation:
    # Not in larger batches: the hypermodel's loss may be a sum over the batch.
    images = form.batches(evaluation_data(validation, recipe.batch_size))
    # A loop of the user's own may be using the compiled metrics.
    return Validation(images, validation.labels, classes, stopping, compiled=not has_own_fit(recipe.model))


def _ended(stopping: StopOnRequest, ending: EpochEnd, best: BestEpoch) -> str:
    if stopping.stopped:
        return STOPPED
    if ending.diverged:
        return DIVERGED
    if ending.refused:
        return REFUSED
    return OUT_OF_PATIENCE if best.out_of_patience else FINISHED
