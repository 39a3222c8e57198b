"""Builds the compiled network of a hypermodel, and detects the format of images and labels that it takes."""

from dataclasses import replace
from typing import TypeAlias

import keras

from spaces.errors import EveryTrialError, ModelError, OneTrialError
from spaces.keras_tuner import ONE_HOT, KerasTunerModel
from spaces.space import Recipe
from studies.keras_tuner.exploring import can_build, values_that_fit
from studies.keras_tuner.hyperparameters import SuggestedHyperParameters, hyperparameters_for
from studies.keras_tuner.input_format import InputFormat
from studies.keras_tuner.labels import check_metrics, one_hot_columns
from studies.keras_tuner.loss_range import check_range
from studies.keras_tuner.models import build_network, check_network, name_of
from studies.keras_tuner.own_fit import has_own_fit
from studies.models.precision import precision
from studies.models.rescaling import is_rescaled
from studies.models.user_code import ends_trial
from studies.training.compile import compile_model
from studies.training.feed import steps_per_execution

FirstNetwork: TypeAlias = tuple[Recipe, str, keras.Model, str | None]


def build_compiled_network(
    recipe: Recipe, hp: SuggestedHyperParameters, shape: tuple[int, ...], classes: int, steps: int
) -> tuple[keras.Model, InputFormat]:
    """Return the network, compiled by its hypermodel or else as the recipe says, and its input format."""
    with precision(recipe.precision):
        network = build_network(recipe.model, hp)
        outputs = check_network(recipe.model, network, shape, classes)
    execution = steps_per_execution(shape, recipe.batch_size, steps)
    is_users_loss = network.compiled
    if not network.compiled:
        compile_model(network, recipe, steps, execution, outputs=outputs)
    if not has_own_fit(recipe.model):
        network.steps_per_execution = max(execution, network.steps_per_execution)
    columns = label_columns(recipe.model, network, outputs, is_users_loss)
    rescale = is_rescaled(name_of(recipe.model), network, recipe.model.rescale, shape)
    return network, InputFormat(rescale, columns)


def build_trial_network(
    recipe: Recipe, hp: SuggestedHyperParameters, shape: tuple[int, ...], classes: int, steps: int
) -> tuple[keras.Model, InputFormat]:
    """Return the compiled network of a trial, and its input format.

    Raises:
        OneTrialError: The network cannot be built or does not fit with these values, but does with others.
        ModelError: None of the combinations tried gives a network that fits.
    """
    try:
        return build_compiled_network(recipe, hp, shape, classes, steps)
    except EveryTrialError:
        raise
    except ModelError as error:
        record = recipe.model.with_values({})
        if hp.failure is None and can_build(record, lambda other: check_network(record, other, shape, classes)):
            raise OneTrialError(str(error)) from error
        raise


def label_columns(record: KerasTunerModel, network: keras.Model, outputs: int, is_users_loss: bool) -> int:
    """Return the number of label columns that the loss and the metrics take; 0 for integers.

    Raises:
        ModelError: The label format cannot be detected, the metrics need another one, or the loss does not fit the
            last layer.
    """
    if has_own_fit(record) and not is_users_loss:
        # The loss is only used inside `fit`.
        return outputs if record.labels == ONE_HOT else 0
    columns = one_hot_columns(record, name_of(record), network, outputs)
    check_metrics(name_of(record), network, outputs, columns)
    check_range(name_of(record), network, outputs, columns)
    return columns


def build_first_network(recipe: Recipe, shape: tuple[int, ...], classes: int) -> FirstNetwork:
    """Return the compiled network of the hypermodel's defaults or, where these cannot be built, of other values.

    Returns:
        The recipe with those values, the hypermodel's name in messages, its network, and a notice about its loss.

    Raises:
        ModelError: The hypermodel fails, or its network cannot be trained on the images and classes.
    """
    try:
        return _build_first_network(recipe, shape, classes)
    except EveryTrialError:
        raise
    except Exception as error:
        if not isinstance(error, ModelError) and not ends_trial(error):
            raise
        # Defaults that cannot be built fail only trial 0.
        fitting = values_that_fit(recipe.model, lambda other: check_network(recipe.model, other, shape, classes))
        values = next(fitting, None)
        if values is None:
            raise
    return _build_first_network(replace(recipe, model=recipe.model.with_values(values)), shape, classes)


def _build_first_network(recipe: Recipe, shape: tuple[int, ...], classes: int) -> FirstNetwork:
    network, form = build_compiled_network(recipe, hyperparameters_for(recipe.model, None), shape, classes, 1)
    name, outputs = name_of(recipe.model), check_network(recipe.model, network, shape, classes)
    return recipe, name, network, check_range(name, network, outputs, form.one_hot)
