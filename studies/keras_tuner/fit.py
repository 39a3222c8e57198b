"""Trains a hypermodel's network as KerasTuner would, with the hypermodel's own `fit` if it has one."""

from dataclasses import replace

import keras

from spaces.errors import ModelError
from spaces.space import Recipe
from spaces.training import METRICS
from studies.data.dataset import Split
from studies.features.training_inputs import TrainingInputs
from studies.keras_tuner.callback_group import CallbackGroup
from studies.keras_tuner.compiled import build_trial_network
from studies.keras_tuner.fit_check import silence_notice
from studies.keras_tuner.hyperparameters import hyperparameters_for
from studies.keras_tuner.input_format import InputFormat
from studies.keras_tuner.own_fit import FitCall, OwnFitResult, has_own_fit, non_finite_reason, nothing_to_export
from studies.training.callbacks.best import BestEpoch, end_reason
from studies.training.callbacks.epochs import EpochReporter
from studies.training.callbacks.stop import StopOnRequest
from studies.training.callbacks.validation import ValidationMetrics, validates_itself
from studies.training.feed import Feed, evaluation_data, training_feed
from studies.training.options import TrainingOptions
from studies.training.result import EndReason, TrainingResult


def train_hypermodel(recipe: Recipe, inputs: TrainingInputs, options: TrainingOptions) -> TrainingResult:
    """Build and train the network of a recipe with a `KerasTunerModel`; the arguments are those of `train`.

    Raises:
        ModelError: The hypermodel fails, or its network does not fit the images and classes.
    """
    images, validation, epochs = inputs.train, inputs.validation, options.epochs
    keras.utils.set_random_seed(options.seed)
    hp = hyperparameters_for(recipe.model, options.suggest)
    feed = training_feed(images, recipe.batch_size, options.seed, recipe.balance)
    network, form = build_trial_network(recipe, hp, images.images.shape[1:], inputs.classes, feed.steps)
    stopping = StopOnRequest(options.stop, options.on_steps)
    ending = EpochReporter(options.on_epoch, feed.begin_epoch, stopping)
    best = BestEpoch(recipe.metric, METRICS[recipe.metric], recipe.patience, stopping)
    measuring = None if validation is None else _validation_metrics(recipe, form, validation, inputs.classes, stopping)
    judging = [] if measuring is None else [measuring, best]
    reports = CallbackGroup(
        network,
        stopping,
        [stopping, *judging, ending],
        ending,
        epochs=epochs or recipe.epochs,
        phases=(epochs, options.second_epochs or 0) if epochs else None,
        on_total=options.on_epochs_changed,
    )
    fitted = OwnFitResult()
    if has_own_fit(recipe.model):
        call = FitCall(recipe, network, hp, (images, validation), form, reports)
        fitted = call.run(lambda: stopping.stopped or ending.refused or ending.diverged)
        _record_silent_fit(recipe, fitted, reports, ending, stopping)
    else:
        _fit(recipe, network, feed, validation, form, reports, epochs or recipe.epochs)
    if validation is not None:
        best.restore()
    else:
        reports.restore()
    found = _result(recipe, network, fitted, reports, ending, best, stopping)
    is_unfinished = stopping.stopped and stopping.has_trained and fitted.has_trained and not ending.history
    if measuring is None or not is_unfinished:
        return found
    return replace(found, unfinished_value=measuring.unfinished(options.can_measure_batch).get(recipe.metric))


def _record_silent_fit(
    recipe: Recipe, fitted: OwnFitResult, reports: CallbackGroup, ending: EpochReporter, stopping: StopOnRequest
) -> None:
    """Record the training of a `fit` that called no callbacks for its network as one epoch."""
    if ending.history or stopping.stopped:
        return
    if fitted.has_trained:
        reports.record_single_epoch(fitted.metrics)
    elif fitted.metrics:
        # The network is untrained: there is nothing to measure.
        ending.set_params({"epochs": 1})
        ending.on_epoch_end(0, fitted.metrics)
    else:
        raise ModelError(nothing_to_export(recipe.model))


def _result(
    recipe: Recipe,
    network: keras.Model,
    fitted: OwnFitResult,
    reports: CallbackGroup,
    ending: EpochReporter,
    best: BestEpoch,
    stopping: StopOnRequest,
) -> TrainingResult:
    done = best.epoch or len(ending.history)
    first = min(done, reports.first_fit or done)
    value = best.value if fitted.value is None else fitted.value
    reason = non_finite_reason(fitted.value, recipe.model)
    is_trained = fitted.has_trained or reports.has_epochs
    return TrainingResult(
        network,
        tuple(ending.history),
        None if reason else best.epoch if fitted.value is None else done,
        value,
        best.loss,
        EndReason.DIVERGED if reason else end_reason(stopping, ending, best),
        first,
        done - first,
        reason=reason,
        untrained="" if stopping.stopped or is_trained else nothing_to_export(recipe.model),
        is_comparable=not (stopping.stopped and has_own_fit(recipe.model)),
        notice=silence_notice(recipe.model) if ending.history and not reports.is_used else "",
    )


def _fit(
    recipe: Recipe,
    network: keras.Model,
    feed: Feed,
    validation: Split | None,
    form: InputFormat,
    reports: CallbackGroup,
    epochs: int,
) -> None:
    judging = None
    if validation is not None and validates_itself(network):
        judging = form.format_batches(evaluation_data(validation, recipe.batch_size))
    network.fit(
        **{**feed.inputs, "x": form.format_batches(feed.inputs["x"])},
        epochs=epochs,
        validation_data=judging,
        callbacks=[reports],
        verbose=0,
    )


def _validation_metrics(
    recipe: Recipe, form: InputFormat, validation: Split, classes: int, stopping: StopOnRequest
) -> ValidationMetrics:
    # Larger batches would change a loss that is a sum over the batch.
    images = form.format_batches(evaluation_data(validation, recipe.batch_size))
    # A custom loop may be using the compiled metrics.
    return ValidationMetrics(images, validation.labels, classes, stopping, compiled=not has_own_fit(recipe.model))
