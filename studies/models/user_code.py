"""Runs the user's own functions that make a network, and says in one sentence what is wrong with them."""

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
"""What a message of TensorFlow holds that ends, rather than begins, with what went wrong."""

_BOILERPLATE = re.compile(
    r"\{\{function_node [^}]*\}\}\s*| ?\[Op:\w+\] name: *|Exception encountered when calling [\w.]+\(\)\.|\x1b\[\d*m"
)


def call_user_function(name: str, file: str | None, function: Callable[[], Result]) -> Result:
    """What the user's function returns.

    Args:
        name: What it is called in messages.
        file: The user's own file, whose line is told.
        function: Calls it.

    Raises:
        ModelError: It raised something, but for a want of memory and the errors that end a trial.
        EveryTrialError: It raised KerasTuner's `FatalError`.
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
    """The network that the user's function returns.

    Raises:
        ModelError: It failed, or returned something else.
    """
    network = call_user_function(name, file, function)
    if not isinstance(network, keras.Model):
        raise ModelError(f"{name} must return a keras.Model, got {network!r}")
    return network


def apply_user_model(name: str, network: keras.Model, images: Any, **options: Any) -> Any:
    """What the user's network makes of images (n, height, width, channels), called with these options.

    Raises:
        ModelError: It does not take such images.
    """
    try:
        return network(images, **options)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        shape = tuple(images.shape[1:])
        raise ModelError(
            f"{name} returned a model that does not take images of shape {shape}: {user_error(error)}"
        ) from error


def ensure_built(name: str, network: keras.Model, shape: tuple[int, ...]) -> keras.Model:
    """The user's network with its weights, which one without an input layer makes on its first call.

    Raises:
        ModelError: It does not take images of this shape.
    """
    if not network.built:
        apply_user_model(name, network, keras.Input(shape, dtype="float32"))
    return network


def check_outputs(name: str, network: keras.Model, outputs: Any, units: tuple[int, ...]) -> None:
    """Make sure that a network answers with one of these numbers of outputs.

    Raises:
        ModelError: It does not.
    """
    shape = getattr(outputs, "shape", None)
    if shape is None or len(shape) != 2 or shape[1] not in units:
        got = f"of shape {tuple(shape)}" if shape is not None else f"in a {type(outputs).__name__}"
        wanted = " or ".join(f"(n, {number})" for number in units)
        raise ModelError(
            f"{name} must return a model with outputs of shape {wanted}, got outputs {got}: end it with "
            f"Dense({'outputs' if len(units) == 1 else units[-1]})"
        )
    if shape[1] == 1 and ends_in(network, "softmax"):
        raise ModelError(f"{name} ends in a softmax over one output, which is always 1: use a sigmoid")


def source_file(function: Any) -> str | None:
    """The file in which a function is written, or None; of a `functools.partial`, its function's."""
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(getattr(inspect.unwrap(function), "__code__", None), "co_filename", None)


def _is_one_of(error: BaseException, package: str, name: str) -> bool:
    # Neither package is imported here: who raises its errors has imported it.
    kinds = type(error).__mro__
    return any(kind.__name__ == name and kind.__module__.partition(".")[0] == package for kind in kinds)


def user_error(error: BaseException) -> str:
    """The error's type and the line of its message that says most, without what Keras and TensorFlow add around it."""
    text = _BOILERPLATE.sub("", str(error))
    # Below Keras' own heading the first line says most, which may be followed by an example of code.
    if any(sign in text for sign in _NATIVE_SIGNS):
        return error_reason(error)
    lines = [line for line in text.splitlines() if line.strip()]
    first = lines[0].strip() if lines else ""
    if len(lines) > 1 and first.endswith(":") and ". " in first:
        # Its last sentence announces an example of code.
        first = first[: first.rindex(". ") + 1]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _location(file: str | None, error: BaseException) -> str:
    """The last line of the user's own file that the error came through."""
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f" in {file}, line {lines[-1].lineno}," if lines else ""
