"""The space: a recipe with holes. Flattening lists the holes; resolving fills them."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, TypeAlias

from spaces.backbones import BACKBONES, CNN, MODELS
from spaces.data import DATA, CustomData
from spaces.errors import SpaceError
from spaces.parameters import PARAMETERS, Choice, Float, Int, Parameter, Scalar
from spaces.records import Record, Rule, problem_of, real, ruled, text, whole
from spaces.training import METRICS, OPTIMIZERS, SCHEDULES, Adam, Augment, Constant, Cosine

DEFAULT_BACKBONE = CNN(
    filters=Int(16, 64, step=16, default=32),
    blocks=Int(2, 4, default=3),
    kernel_size=Choice(3, 5),
    dense_units=Choice(0, 128),
)
DEFAULT_AUGMENT = Choice(none=None, shift=Augment(rotation=0.03, translation=0.1, zoom=0.1))


@dataclass(frozen=True, repr=False)
class Space(Record):
    """Everything that is needed to train one image classifier; any field may hold a parameter.

    Fields that are left out hold small searches of their own, so `Space(data=ImageFolder("photos"))` is complete.

    Args:
        data: Where the images come from; a function stands for `CustomData(function)`.
        backbone: The network that reads the images.
        model: A network of your own in place of `backbone`.
        augment: Random changes of the training images, or None.
        dropout: Share of values dropped before the last layer.
        learning_rate: The optimizer's learning rate (its peak, under a schedule).
        batch_size: Images in one training step.
        optimizer: The optimizer.
        schedule: How the learning rate changes over the epochs.
        epochs: Most epochs of one trial.
        patience: Epochs without a better metric after which a trial ends; None trains all epochs.
        metric: What is compared, measured on the validation images after each epoch.

    Raises:
        SpaceError: A field breaks its rule; the message starts with the field's dotted name.
    """

    data: Any = ruled(Rule("record", records=DATA))
    _: KW_ONLY
    backbone: Any = ruled(Rule("record", records=BACKBONES, optional=True), None)
    model: Any = ruled(Rule("record", records=MODELS, optional=True), None)
    augment: Augment | None = ruled(Rule("record", records=(Augment,), optional=True), DEFAULT_AUGMENT)
    dropout: float = real(Float(0.0, 0.6, default=0.2), 0.0, 0.95)
    learning_rate: float = real(Float(1e-4, 1e-2, log=True, default=1e-3), 0.0, above=True)
    batch_size: int = whole(Choice(32, 64, 128), 1)
    optimizer: Any = ruled(Rule("record", records=OPTIMIZERS), Adam())
    schedule: Any = ruled(Rule("record", records=SCHEDULES), Choice(Constant(), Cosine()))
    epochs: int = whole(30, 1)
    patience: int | None = whole(10, 1, optional=True)
    metric: str = text("val_accuracy", *METRICS, fixed=True)

    def __post_init__(self) -> None:
        if callable(self.data):
            object.__setattr__(self, "data", CustomData(self.data))
        if self.backbone is None and self.model is None:
            object.__setattr__(self, "backbone", DEFAULT_BACKBONE)
        super().__post_init__()
        check(self)

    def __repr__(self) -> str:
        parts = [f"    {name}={value!r},\n" for name, (value, _) in self.children().items() if value is not None]
        return f"Space(\n{''.join(parts)})"


Recipe: TypeAlias = Space
"""A space without holes."""


@dataclass(frozen=True)
class Hole:
    """A parameter at its place in the space.

    Args:
        name: Dotted name, such as `backbone.cnn.filters`.
        parameter: What it can be.
        conditions: The choices (name, option) that must be taken for this parameter to exist.
    """

    name: str
    parameter: Parameter
    conditions: tuple[tuple[str, Scalar], ...] = ()


def check(space: Space) -> None:
    """Raise `SpaceError` for the first field that breaks its rule."""
    if space.backbone is not None and space.model is not None:
        raise SpaceError("model: stands in place of backbone, got both: remove one of them")
    for name, value, rule in _fields(space, ""):
        if found := problem_of(value, rule):
            raise SpaceError(f"{name}: {found}")


def flatten(space: Space) -> list[Hole]:
    """List the space's parameters, in a stable order: a choice before what depends on it."""
    return list(_holes(space, "", ()))


def fill(space: Space, choose: Callable[[str, Parameter], Scalar]) -> Recipe:
    """Fill every hole that exists, in the order of `flatten`.

    Args:
        space: The space.
        choose: Called with a parameter's dotted name and the parameter; returns its value (an option's name for
            a `Choice`). Parameters of options that are not taken are never asked for.

    Raises:
        SpaceError: A value is not one that its parameter can take.
    """
    return _fill(space, "", choose)  # type: ignore[no-any-return]


def resolve(space: Space, assignment: Mapping[str, Scalar]) -> Recipe:
    """The recipe that a flat assignment stands for.

    Args:
        space: The space.
        assignment: The value of every parameter that exists under it, by dotted name.

    Raises:
        SpaceError: A parameter is missing, unknown, or has a value it cannot take.
    """
    taken: set[str] = set()

    def choose(name: str, parameter: Parameter) -> Scalar:
        if name not in assignment:
            raise SpaceError(f"{name}: has no value in the assignment: give one of {parameter!r}")
        taken.add(name)
        return assignment[name]

    recipe = fill(space, choose)
    if unknown := sorted(set(assignment) - taken):
        raise SpaceError(f"{unknown[0]}: is not a parameter of this space under the given choices")
    return recipe


def baseline(space: Space) -> dict[str, Scalar]:
    """The assignment in which every parameter has its default."""
    assignment: dict[str, Scalar] = {}

    def choose(name: str, parameter: Parameter) -> Scalar:
        assignment[name] = parameter.default
        return parameter.default

    fill(space, choose)
    return assignment


def combinations(space: Space) -> float:
    """How many different recipes the space holds; infinity when a real number has no step."""
    return _combinations(space)


def _fields(value: Any, name: str) -> Iterator[tuple[str, Any, Rule]]:
    """Every field of every record in a tree, with its dotted name."""
    for prefix, record in _records(value, name):
        for field, (child, rule) in record.children().items():
            dotted = f"{prefix}.{field}" if prefix else field
            yield dotted, child, rule
            yield from _fields(child, dotted)


def _records(value: Any, name: str) -> Iterator[tuple[str, Record]]:
    """The records that directly are, or are options or elements of, a field's value."""
    if isinstance(value, Record):
        yield name, value
    elif isinstance(value, Choice):
        for option, child in zip(value.names, value.options, strict=True):
            yield from _records(child, f"{name}.{option}")
    elif isinstance(value, tuple):
        for index, child in enumerate(value):
            yield from _records(child, f"{name}.{index}")


def _holes(value: Any, name: str, conditions: tuple[tuple[str, Scalar], ...]) -> Iterator[Hole]:
    if isinstance(value, PARAMETERS):
        yield Hole(name, value, conditions)
    if isinstance(value, Choice):
        for option, child in zip(value.names, value.options, strict=True):
            yield from _holes(child, f"{name}.{option}", (*conditions, (name, option)))
        return
    for prefix, record in _records(value, name):
        for field, (child, _) in record.children().items():
            yield from _holes(child, f"{prefix}.{field}" if prefix else field, conditions)


def _fill(value: Any, name: str, choose: Callable[[str, Parameter], Scalar]) -> Any:
    if isinstance(value, PARAMETERS):
        chosen = choose(name, value)
        if not value.contains(chosen):
            raise SpaceError(f"{name}: {chosen!r} is not one of its values: {value!r}")
        if not isinstance(value, Choice):
            return chosen
        return _fill(value.option(chosen), f"{name}.{chosen}", choose)
    if isinstance(value, Record):
        prefix = f"{name}." if name else ""
        children = value.children()
        return value.with_children({field: _fill(child, prefix + field, choose) for field, (child, _) in children.items()})
    if isinstance(value, tuple):
        return tuple(_fill(child, f"{name}.{index}", choose) for index, child in enumerate(value))
    return value


def _combinations(value: Any) -> float:
    if isinstance(value, Choice):
        return sum(_combinations(option) for option in value.options)
    if isinstance(value, PARAMETERS):
        return value.count
    if isinstance(value, Record):
        return math.prod(_combinations(child) for child, _ in value.children().values())
    if isinstance(value, tuple):
        return math.prod(_combinations(child) for child in value)
    return 1
