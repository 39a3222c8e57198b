"""Runs the user's functions that build a network, and reports their errors in one sentence."""

import functools
import inspect
import re
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

import keras

from spaces.errors import EveryTrialError, ModelError
from studies.backend.error_text import error_reason
from studies.models.out_of_memory import is_out_of_memory
from studies.models.outputs import ends_in

Result = TypeVar("Result")

_NATIVE_SIGNS = ("most recent call last", "Detected at node", "root error(s) found", "Graph execution error")
"""Signs of a TensorFlow message that states the cause at its end."""

_BOILERPLATE = re.compile(
    r"\{\{function_node [^}]*\}\}\s*| ?\[Op:\w+\] name: *|Exception encountered when calling [\w.]+\(\)\.|\x1b\[\d*m"
)


def call_user_function(name: str, file: str | None, function: Callable[[], Result]) -> Result:
    """Call a user's function and return its result.

    Args:
        file: The user's file, whose line the message names.

    Raises:
        ModelError: The function failed, other than by a lack of memory or an error that ends a trial.
        EveryTrialError: The function raised KerasTuner's `FatalError`.
    """
    try:
        return function()
    except ModelError:
        raise
    except Exception as error:
        if is_out_of_memory(error) or ends_trial(error):
            raise
        kind = EveryTrialError if _is_one_of(error, "keras_tuner", "FatalError") else ModelError
        raise kind(f"{name} failed{_location(file, error)} with {user_error(error)}") from error


def ends_trial(error: BaseException) -> bool:
    """Return True for the errors that end a trial: Optuna's `TrialPruned`, KerasTuner's `FailedTrialError`."""
    return _is_one_of(error, "optuna", "TrialPruned") or _is_one_of(error, "keras_tuner", "FailedTrialError")


def build_user_model(name: str, file: str | None, function: Callable[[], Any]) -> keras.Model:
    """Return the network that a user's function builds.

    Raises:
        ModelError: The function failed or returned something else.
    """
    network = call_user_function(name, file, function)
    if not isinstance(network, keras.Model):
        raise ModelError(f"{name} must return a keras.Model, got {network!r}")
    return network


def apply_user_model(name: str, network: keras.Model, images: Any, **options: Any) -> Any:
    """Return the outputs of a user's network for images (n, height, width, channels).

    Raises:
        ModelError: The network does not accept such images.
    """
    try:
        return network(images, **options)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        shape = tuple(images.shape[1:])
        raise ModelError(
            f"{name} returned a model that does not accept images of shape {shape}: {user_error(error)}"
        ) from error


def ensure_built(name: str, network: keras.Model, shape: tuple[int, ...]) -> keras.Model:
    """Return the user's network with weights; one without an input layer creates them on its first call.

    Raises:
        ModelError: The network does not accept images of this shape.
    """
    if not network.built:
        apply_user_model(name, network, keras.Input(shape, dtype="float32"))
    return network


def check_outputs(name: str, network: keras.Model, outputs: Any, units: tuple[int, ...]) -> None:
    """Check that a network has one of these numbers of outputs.

    Raises:
        ModelError: The network has other outputs, or ends in a softmax over one output.
    """
    shape = getattr(outputs, "shape", None)
    if shape is None or len(shape) != 2 or shape[1] not in units:
        got = f"of shape {tuple(shape)}" if shape is not None else f"in a {type(outputs).__name__}"
        wanted = " or ".join(f"(n, {number})" for number in units)
        raise ModelError(
            f"{name} must return a model with outputs of shape {wanted}, got outputs {got}\n"
            f"hint: end it with Dense({'outputs' if len(units) == 1 else units[-1]})"
        )
    if shape[1] == 1 and ends_in(network, "softmax"):
        raise ModelError(f"{name} ends in a softmax over one output, which is always 1\nhint: use a sigmoid")


def source_file(function: Any) -> str | None:
    """Return the file that defines a function, or the function of a `functools.partial`; None if unknown."""
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(getattr(inspect.unwrap(function), "__code__", None), "co_filename", None)


def _is_one_of(error: BaseException, package: str, name: str) -> bool:
    # Compares names, so that neither package is imported here.
    kinds = type(error).__mro__
    return any(kind.__name__ == name and kind.__module__.partition(".")[0] == package for kind in kinds)


def user_error(error: BaseException) -> str:
    """Return the error's type and the most telling line of its message, without what Keras and TensorFlow add."""
    text = _BOILERPLATE.sub("", str(error))
    # In a Keras message the first line after the boilerplate says most; example code may follow it.
    if any(sign in text for sign in _NATIVE_SIGNS):
        return error_reason(error)
    lines = [line for line in text.splitlines() if line.strip()]
    first = lines[0].strip() if lines else ""
    if len(lines) > 1 and first.endswith(":") and ". " in first:
        # The last sentence of the line introduces example code.
        first = first[: first.rindex(". ") + 1]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _location(file: str | None, error: BaseException) -> str:
    """Return the last line of the user's file in the error's traceback, as part of a sentence."""
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f" in {file}, line {lines[-1].lineno}," if lines else ""
