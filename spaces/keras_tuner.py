"""`KerasTunerModel`: a KerasTuner hypermodel, whose hyperparameters are discovered while it is built."""

import dataclasses
import functools
import json
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

from spaces.argument_errors import checked_arguments
from spaces.errors import SpaceError
from spaces.parameters import Choice
from spaces.records import Record, Rule, bool_field, field, text_field
from spaces.scalars import Scalar, short_repr, to_python
from spaces.training import Constant
from spaces.tuners import misplaced

HYPERMODEL_DEFAULTS: Mapping[str, Any] = {
    "dropout": 0.0,
    "learning_rate": 1e-3,
    "schedule": Constant(),
    "augment": None,
    "batch_size": 32,
}
"""Defaults of fields of `Space` with a hypermodel: fixed values, so that nothing is searched that has no effect.

The batch size is that of Keras.
"""

INTEGERS, ONE_HOT = LABELS = ("integers", "one-hot")
"""The formats of the labels that a loss can take."""

WITHOUT_EFFECT = ("dropout", "augment", "fine_tune")
COMPILING = ("learning_rate", "optimizer", "schedule")
"""Fields that have an effect only if the hypermodel leaves its model uncompiled."""


@checked_arguments
@dataclass(frozen=True, repr=False)
class KerasTunerModel(Record):
    """A KerasTuner hypermodel instead of `backbone`, with its own network, optimizer, loss and `fit`.

    Its hyperparameters become parameters of the study, with the same names; their defaults are the baseline.

    Args:
        hypermodel: A `keras_tuner.HyperModel`, or a function `build(hp)` that returns a `keras.Model`.
        rescale: True divides pixels by 255. False passes them as 0 to 255. None divides them unless the network
            rescales its own input.
        labels: Format of the labels that `fit` passes: `integers` (n,) or `one-hot` (n, outputs). None tries both
            with the compiled loss and takes the one that it needs.
        hyperparameters: `keras_tuner.HyperParameters` that override those of the same names, as in a tuner.
        tune_new_entries: Whether to search hyperparameters that are not in `hyperparameters`; False takes their
            defaults.
        values: In a recipe, the values of the hyperparameters by name; empty in a space.
    """

    hypermodel: Any = field(Rule("object", fixed=True))
    _: KW_ONLY
    rescale: bool | None = bool_field(None, fixed=True, optional=True)
    labels: str | None = text_field(None, *LABELS, fixed=True, optional=True)
    hyperparameters: Any = field(Rule("object", fixed=True), None)
    tune_new_entries: bool = bool_field(True, fixed=True)
    values: Any = field(Rule("object", fixed=True), ())

    def __post_init__(self) -> None:
        # Unlike other records, this one does not normalise its fields.
        pairs = self.values.items() if isinstance(self.values, Mapping) else self.values
        object.__setattr__(self, "values", tuple((name, to_python(value)) for name, value in pairs))
        _check_hypermodel(self.hypermodel)
        if self.hyperparameters is not None and not hasattr(self.hyperparameters, "get_config"):
            raise SpaceError(
                f"KerasTunerModel(hyperparameters=...): got {short_repr(self.hyperparameters)}, expected "
                "keras_tuner.HyperParameters"
            )

    @property
    def name(self) -> str:
        """The name of the hypermodel's class, or of its function."""
        named = self.hypermodel
        while isinstance(named, functools.partial):
            named = named.func
        return str(getattr(named, "__name__", type(named).__name__))

    @property
    def is_function(self) -> bool:
        """True for a function `build(hp)`, False for an object with such a method."""
        return not _builds(self.hypermodel)

    def children(self) -> dict[str, tuple[Any, Rule]]:
        """Return the fields, as the canonical JSON stores them."""
        fields = super().children()
        overriding = self.hyperparameters and json.dumps(self.hyperparameters.get_config(), sort_keys=True)
        fields["hyperparameters"] = overriding, fields["hyperparameters"][1]
        fields["values"] = dict(self.values), fields["values"][1]
        # Only a recipe has values.
        return {name: child for name, child in fields.items() if self.values or name != "values"}

    def with_children(self, values: Mapping[str, Any]) -> "KerasTunerModel":
        """Return the same record, since none of its fields holds a parameter."""
        return self

    def with_values(self, values: Mapping[str, Scalar]) -> "KerasTunerModel":
        """Return the same hypermodel with the values of its hyperparameters, by name."""
        return dataclasses.replace(self, values=values)

    def __repr__(self) -> str:
        called = "" if self.is_function else "()"
        options = {"rescale": self.rescale, "labels": self.labels}
        shown_options = "".join(f", {name}={value!r}" for name, value in options.items() if value is not None)
        return f"KerasTunerModel({self.name}{called}{shown_options})"


def apply_hypermodel_defaults(space: Any) -> None:
    """Set the fields that a hypermodel decides to `HYPERMODEL_DEFAULTS`, unless the user has set them."""
    for name, value in HYPERMODEL_DEFAULTS.items():
        if getattr(space, name) == space.__dataclass_fields__[name].default:
            object.__setattr__(space, name, value)


def conflict_with_space(space: Any) -> str | None:
    """Return the error of a space whose fields conflict with its hypermodel, or None."""
    if isinstance(space.model, Choice):
        if any(isinstance(option, KerasTunerModel) for option in space.model.options):
            return "model: KerasTunerModel(...) cannot be an option of a Choice\nhint: use hp.Choice in the hypermodel"
        return None
    if not isinstance(space.model, KerasTunerModel):
        return None
    for name in WITHOUT_EFFECT:
        if getattr(space, name) != HYPERMODEL_DEFAULTS.get(name):
            return f"{name}: has no effect with KerasTunerModel(...): build(hp) sets it\nhint: remove {name}"
    return None


def _check_hypermodel(hypermodel: Any) -> None:
    wanted = "KerasTunerModel(...): expected a keras_tuner.HyperModel or a function build(hp)"
    if found := misplaced(hypermodel):
        raise SpaceError(f"{wanted}, got {found}")
    if isinstance(hypermodel, type):
        raise SpaceError(f"{wanted}, got the class {hypermodel.__name__}\nhint: write {hypermodel.__name__}(...)")
    # A Keras model or layer is callable, but takes no hyperparameters.
    if not _builds(hypermodel) and (not callable(hypermodel) or hasattr(hypermodel, "call")):
        raise SpaceError(f"{wanted}, got {short_repr(hypermodel)}")


def _builds(value: Any) -> bool:
    # A built Keras model has a `build` too, but takes no hyperparameters.
    return callable(getattr(value, "build", None)) and not hasattr(value, "call")
