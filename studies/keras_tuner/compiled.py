"""The compiled network of a hypermodel, and the form of images and labels that it takes."""

from dataclasses import replace

import keras

from spaces.errors import EveryTrialError, ModelError, OneTrialError
from spaces.keras_tuner import ONE_HOT, KerasTunerModel
from spaces.space import Recipe
from studies.keras_tuner.exploring import can_be_built, values_that_fit
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


def compiled_network(
    recipe: Recipe, hp: SuggestedHyperParameters, shape: tuple[int, ...], classes: int, steps: int
) -> tuple[keras.Model, InputFormat]:
    """The network, compiled by its hypermodel or else as the recipe says, and what it is to be given."""
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


def fitting_network(
    recipe: Recipe, hp: SuggestedHyperParameters, shape: tuple[int, ...], classes: int, steps: int
) -> tuple[keras.Model, InputFormat]:
    """The compiled network of a trial, and what it is to be given.

    Raises:
        OneTrialError: It cannot be built with these values, or does not fit, but with others it can.
        ModelError: It never can.
    """
    try:
        return compiled_network(recipe, hp, shape, classes, steps)
    except EveryTrialError:
        raise
    except ModelError as error:
        record = recipe.model.with_values({})
        if hp.failure is None and can_be_built(record, lambda other: check_network(record, other, shape, classes)):
            raise OneTrialError(str(error)) from error
        raise


def label_columns(record: KerasTunerModel, network: keras.Model, outputs: int, is_users_loss: bool) -> int:
    """Number of columns of the labels, 0 for integers, as the loss and the metrics take them.

    Raises:
        ModelError: The loss's form cannot be detected, the metrics need the other one, or the loss does not fit the
            last layer.
    """
    if has_own_fit(record) and not is_users_loss:
        # The loss is hidden in `fit`.
        return outputs if record.labels == ONE_HOT else 0
    columns = one_hot_columns(record, name_of(record), network, outputs)
    check_metrics(name_of(record), network, outputs, columns)
    check_range(name_of(record), network, outputs, columns)
    return columns


def first_network(recipe: Recipe, shape: tuple[int, ...], classes: int) -> tuple[Recipe, str, keras.Model, str | None]:
    """The compiled network under the hypermodel's defaults or, where these cannot be built, under other values.

    Returns:
        The recipe with those values, the name of the hypermodel in messages, its network, and a notice about its loss.

    Raises:
        ModelError: The hypermodel fails, or its network cannot be trained on the images and classes.
    """
    try:
        return _first_network(recipe, shape, classes)
    except EveryTrialError:
        raise
    except Exception as error:
        if not isinstance(error, ModelError) and not ends_trial(error):
            raise
        # The defaults may be a combination that cannot be built, which fails trial 0 alone.
        fitting = values_that_fit(recipe.model, lambda other: check_network(recipe.model, other, shape, classes))
        values = next(fitting, None)
        if values is None:
            raise
    return _first_network(replace(recipe, model=recipe.model.with_values(values)), shape, classes)


def _first_network(recipe: Recipe, shape: tuple[int, ...], classes: int) -> tuple[Recipe, str, keras.Model, str | None]:
    network, form = compiled_network(recipe, hyperparameters_for(recipe.model, None), shape, classes, 1)
    name, outputs = name_of(recipe.model), check_network(recipe.model, network, shape, classes)
    return recipe, name, network, check_range(name, network, outputs, form.one_hot)
