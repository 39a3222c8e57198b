"""The space: a recipe whose fields may hold parameters. Flattening lists them; resolving sets their values."""

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, TypeAlias

from spaces import typed_parameters
from spaces.argument_errors import checked_arguments
from spaces.backbones import BACKBONES, CNN, MODELS
from spaces.data import DATA, KERAS_DATASETS, CustomData
from spaces.errors import SpaceError
from spaces.heads import apply_linear_defaults, conflict_with_head, without_unused
from spaces.keras_tuner import KerasTunerModel, apply_hypermodel_defaults, conflict_with_space
from spaces.parameters import PARAMETERS, Choice, Float, Parameter
from spaces.records import Record, Rule, bool_field, field, float_field, int_field, problem_of, text_field
from spaces.scalars import Scalar, short_repr, to_python
from spaces.training import (
    BALANCES,
    METRICS,
    OPTIMIZERS,
    PRECISIONS,
    SCHEDULES,
    Adam,
    Augment,
    Constant,
    Cosine,
    FineTune,
)
from spaces.tuners import misplaced, objective_as_metric

DEFAULT_BACKBONE = CNN(
    filters=typed_parameters.Int(16, 48, step=16, default=16),
    blocks=typed_parameters.Int(2, 4, default=3),
    pooling=typed_parameters.Choice("flatten", "average"),
    dense_units=typed_parameters.Choice(0, 128),
)
DEFAULT_AUGMENT = typed_parameters.Choice(none=None, shift=Augment(rotation=0.03, translation=0.1, zoom=0.1))


@checked_arguments
@dataclass(frozen=True, repr=False)
class Space(Record):
    """How to train an image classifier; any field may hold a parameter.

    The defaults of several fields are small searches, so `Space(data=Digits())` is complete. If it declares a folder of
    photos and nothing else, `search` plans the network from the images.

    Args:
        data: Source of the images; a function is short for `CustomData(function)`.
        backbone: The network that reads the images.
        model: A network of your own, instead of `backbone`.
        augment: Random changes of the training images; None for none.
        dropout: Fraction of values dropped before the last layer.
        learning_rate: Learning rate of the optimizer; with a schedule, its peak.
        batch_size: Number of images in one training step.
        optimizer: The optimizer.
        schedule: Schedule of the learning rate.
        epochs: Maximum number of epochs of a trial; None takes 10 to 30, fewer for more training images.
        patience: Number of epochs without a better metric after which a trial stops; None trains all epochs.
        fine_tune: A second phase that trains the last layers of a `Pretrained` backbone; None for none. Other
            backbones are always trained in one phase.
        from_logits: Whether the loss is computed from logits or, with the same result up to rounding, from
            probabilities.
        balance: For classes of different sizes: `class_weights` weights each image by the inverse frequency of its
            class, `sampling` draws every class equally often; None does neither.
        precision: Data type of the computation: `float32`, `mixed_bfloat16` or `mixed_float16`; weights stay float32.
        folds: Number of folds of train plus validation, whose mean is the result of a trial; None uses the validation
            split.
        metric: Metric to optimize, measured on the validation images after each epoch.

    Raises:
        SpaceError: A field breaks its rule; the message starts with the field's dotted name.
    """

    data: Any = field(Rule("record", records=DATA, fixed=True))
    _: KW_ONLY
    backbone: Any = field(Rule("record", records=BACKBONES), None)
    model: Any = field(Rule("record", records=MODELS), None)
    augment: Augment | None = field(Rule("record", records=(Augment,), optional=True), DEFAULT_AUGMENT)
    dropout: float = float_field(typed_parameters.Float(0.0, 0.5, default=0.2), 0.0, 0.95)
    learning_rate: float = float_field(typed_parameters.Float(3e-4, 3e-3, log=True, default=1e-3), 0.0, above=True)
    batch_size: int = int_field(typed_parameters.Choice(32, 64, 128, default=64), 1)
    optimizer: Any = field(Rule("record", records=OPTIMIZERS), Adam())
    schedule: Any = field(Rule("record", records=SCHEDULES), typed_parameters.Choice(Constant(), Cosine(warmup=0.05)))
    epochs: int = int_field(None, 1, optional=True)
    patience: int | None = int_field(10, 1, optional=True)
    fine_tune: FineTune | None = field(Rule("record", records=(FineTune,), optional=True), None)
    from_logits: bool = bool_field(True)
    balance: str | None = text_field(None, *BALANCES, optional=True)
    precision: str = text_field("float32", *PRECISIONS)
    folds: int | None = int_field(None, 2, 20, optional=True, fixed=True)
    metric: str = text_field("val_accuracy", *METRICS, fixed=True)

    def __post_init__(self) -> None:
        if callable(self.data) and not isinstance(self.data, type):
            object.__setattr__(self, "data", CustomData(self.data))
        if self.backbone is None and self.model is None:
            object.__setattr__(self, "backbone", DEFAULT_BACKBONE)
        if isinstance(self.model, KerasTunerModel):
            apply_hypermodel_defaults(self)
        apply_linear_defaults(self)
        super().__post_init__()
        check(self)

    def __repr__(self) -> str:
        unused = "model" if self.model is None else "backbone"
        parts = [f"    {name}={value!r},\n" for name, (value, _) in self.children().items() if name != unused]
        return f"Space(\n{''.join(parts)})"


Recipe: TypeAlias = Space
"""A space without parameters."""


@dataclass(frozen=True)
class SpaceParameter:
    """A parameter of a space, with its name and conditions.

    Args:
        name: Dotted name, such as `backbone.cnn.filters`.
        parameter: The parameter.
        conditions: The pairs (choice, option) that must be selected for this parameter to exist.
    """

    name: str
    parameter: Parameter
    conditions: tuple[tuple[str, Scalar], ...] = ()


def check(space: Space) -> None:
    """Raise `SpaceError` for the first field that breaks its rule."""
    if space.backbone is not None and space.model is not None:
        raise SpaceError("model: got a backbone as well, expected only one of them\nhint: remove one")
    if isinstance(space.epochs, Choice) and None in space.epochs.names:
        raise SpaceError("epochs: got the option None (automatic), which cannot be an option of a Choice")
    if found := conflict_with_space(space) or conflict_with_head(space):
        raise SpaceError(found)
    if found := objective_as_metric(space.metric):
        raise SpaceError(f"metric: {found}")
    unused = "model" if space.model is None else "backbone"
    for name, value, rule in _fields(space, ""):
        if name != unused and (found := problem_of(value, rule)):
            raise SpaceError(f"{name}: {found}{_suggest_record(name, value)}")


def flatten(space: Space) -> list[SpaceParameter]:
    """List the parameters of a space, in a stable order: a choice before the parameters that depend on it."""
    return list(_parameters(space, "", ()))


def fill(space: Space, choose: Callable[[str, Parameter], Scalar]) -> Recipe:
    """Set the value of every parameter that exists, in the order of `flatten`.

    Args:
        choose: Called with the dotted name of each parameter that exists and the parameter; returns its value (an
            option's name for a `Choice`).

    Raises:
        SpaceError: A value is not one that its parameter can take.
    """
    return _fill(space, "", choose)  # type: ignore[no-any-return]


def resolve(space: Space, assignment: Mapping[str, Scalar]) -> Recipe:
    """Return the recipe of an assignment.

    Args:
        assignment: The value of every parameter that exists under it, by dotted name. With a `KerasTunerModel`, other
            names are those of hyperparameters.

    Raises:
        SpaceError: A parameter is missing, unknown, or has a value it cannot take.
    """
    taken: set[str] = set()

    def choose(name: str, parameter: Parameter) -> Scalar:
        if name not in assignment:
            raise SpaceError(f"{name}: missing in the assignment, expected a value of {parameter!r}")
        taken.add(name)
        return assignment[name]

    recipe = fill(space, choose)
    unknown = [name for name in assignment if name not in taken]
    if unknown and isinstance(recipe.model, KerasTunerModel):
        values = {name: assignment[name] for name in unknown}
        return recipe.with_children({"model": recipe.model.with_values(values)})  # type: ignore[no-any-return]
    if unknown:
        raise SpaceError(f"{min(unknown)}: not a parameter of this space under these choices")
    return recipe


def baseline(space: Space) -> dict[str, Scalar]:
    """Return the assignment in which every parameter has its default."""
    assignment: dict[str, Scalar] = {}

    def choose(name: str, parameter: Parameter) -> Scalar:
        assignment[name] = parameter.default
        return parameter.default

    fill(space, choose)
    return assignment


def combinations(space: Any) -> float:
    """Return the number of different recipes of a space or a part of one; infinity if a `Float` has no step."""
    if isinstance(space, Choice):
        return sum(combinations(option) for option in space.options)
    if isinstance(space, PARAMETERS):
        return space.count
    if isinstance(space, Record):
        return math.prod(combinations(child) for child, _ in space.children().values())
    return 1


def records_in(value: Any) -> Iterator[Record]:
    """Yield every record of a space, including those of options."""
    for _, record in _records(value, ""):
        yield record
        for child, _ in record.children().values():
            yield from records_in(child)


def fixed_values(space: Space) -> dict[str, Any]:
    """Return the plain values of all fields without a parameter, by dotted name."""
    fields = ((name, value) for name, value, _ in _fields(space, ""))
    return {name: value for name, value in fields if value is None or isinstance(value, str | int | float | bool)}


def _fields(value: Any, name: str) -> Iterator[tuple[str, Any, Rule]]:
    """Yield every field of every record in a tree, with its dotted name."""
    for prefix, record in _records(value, name):
        for name_of_field, (child, rule) in record.children().items():
            dotted = f"{prefix}.{name_of_field}" if prefix else name_of_field
            yield dotted, child, rule
            yield from _fields(child, dotted)


def _suggest_record(name: str, value: Any) -> str:
    """Return the hint for a path, name or hypermodel in place of a record; empty for anything else."""
    if name == "model" and (found := misplaced(value)):
        return f", but KerasTunerModel(...) takes a hypermodel, not {found}"
    if name == "model" and callable(getattr(value, "build", None)) and not hasattr(value, "call"):
        return "\nhint: write KerasTunerModel(...) around the hypermodel"
    if name != "data" or not isinstance(value, str | os.PathLike):
        return ""
    text = os.fspath(value)
    if text in KERAS_DATASETS:
        return f"\nhint: write KerasDataset({text!r})"
    if text == "digits":
        return "\nhint: write Digits()"
    return f"\nhint: write {'Npz' if str(text).endswith('.npz') else 'ImageFolder'}({text!r})"


def _records(value: Any, name: str) -> Iterator[tuple[str, Record]]:
    """Yield the records that are the value of a field or options of it."""
    if isinstance(value, Record):
        yield name, value
    elif isinstance(value, Choice):
        for option, child in zip(value.names, value.options, strict=True):
            yield from _records(child, f"{name}.{option}")


def _parameters(value: Any, name: str, conditions: tuple[tuple[str, Scalar], ...]) -> Iterator[SpaceParameter]:
    if isinstance(value, PARAMETERS):
        yield SpaceParameter(name, value, conditions)
    if isinstance(value, Choice):
        for option, child in zip(value.names, value.options, strict=True):
            yield from _parameters(child, f"{name}.{option}", (*conditions, (name, option)))
        return
    for prefix, record in _records(value, name):
        for part, (child, _) in record.children().items():
            yield from _parameters(child, f"{prefix}.{part}" if prefix else part, conditions)


def _fill(value: Any, name: str, choose: Callable[[str, Parameter], Scalar]) -> Any:
    if isinstance(value, PARAMETERS):
        chosen = to_python(choose(name, value))
        if not value.contains(chosen):
            raise SpaceError(f"{name}: got {short_repr(chosen)}, expected a value of {value!r}")
        if isinstance(value, Choice):
            return _fill(value.option(chosen), f"{name}.{chosen}", choose)
        return value.exact(chosen) if isinstance(value, Float) else chosen
    if isinstance(value, Record):
        prefix = f"{name}." if name else ""
        children = value.children().items()
        values = {field: _fill(child, prefix + field, choose) for field, (child, _) in children}
        return value.with_children(without_unused(value, values) if isinstance(value, Space) else values)
    return value
