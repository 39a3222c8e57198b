"""The networks: one record for each kind, up to the vector that the head classifies."""

import dataclasses
import re
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Any

from spaces.argument_errors import checked_arguments
from spaces.choices import is_name
from spaces.errors import SpaceError
from spaces.heads import HEADS, Linear
from spaces.keras_tuner import KerasTunerModel
from spaces.parameters import PARAMETERS
from spaces.records import Record, Rule, bool_field, field, float_field, int_field, text_field
from spaces.scalars import to_python

ACTIVATIONS = ("relu", "elu", "gelu", "leaky_relu", "selu", "silu", "tanh")
POOLINGS = ("flatten", "average", "max")

# Every network of keras.applications in Keras 3.15.
APPLICATIONS = (
    *("ConvNeXtTiny", "ConvNeXtSmall", "ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtXLarge"),
    *("DenseNet121", "DenseNet169", "DenseNet201"),
    *(f"EfficientNetB{size}" for size in range(8)),
    *("EfficientNetV2B0", "EfficientNetV2B1", "EfficientNetV2B2", "EfficientNetV2B3"),
    *("EfficientNetV2S", "EfficientNetV2M", "EfficientNetV2L"),
    *("InceptionResNetV2", "InceptionV3"),
    *("MobileNet", "MobileNetV2", "MobileNetV3Large", "MobileNetV3Small"),
    *("NASNetLarge", "NASNetMobile"),
    *("ResNet50", "ResNet101", "ResNet152", "ResNet50V2", "ResNet101V2", "ResNet152V2"),
    *("VGG16", "VGG19", "Xception"),
)


@checked_arguments
@dataclass(frozen=True, repr=False)
class CNN(Record):
    """A plain convolutional network: blocks of convolutions, each followed by downsampling.

    Args:
        filters: Filters of the first block.
        blocks: Number of blocks.
        kernel_size: Side of the convolution kernels, in pixels.
        growth: Factor from one block's filters to the next's.
        convolutions: Convolutions in each block.
        padding: `same` keeps the size, `valid` loses the border.
        activation: After each convolution and dense layer.
        batch_norm: Batch normalisation between convolution and activation.
        downsample: Pooling that halves height and width after each block: `max` or `average`.
        block_dropout: Fraction of values dropped after each block.
        pooling: How the feature maps become one vector: `flatten`, `average` or `max` over all positions.
        dense_units: Units of the dense layer before the head; 0 for none.
    """

    filters: int = int_field(32, 1)
    blocks: int = int_field(3, 1, 12)
    _: KW_ONLY
    kernel_size: int = int_field(3, 1, 31)
    growth: float = float_field(2.0, 1.0, 8.0)
    convolutions: int = int_field(1, 1, 8)
    padding: str = text_field("same", "same", "valid")
    activation: str = text_field("relu", *ACTIVATIONS)
    batch_norm: bool = bool_field(True)
    downsample: str = text_field("max", "max", "average")
    block_dropout: float = float_field(0.0, 0.0, 0.95)
    pooling: str = text_field("flatten", *POOLINGS)
    dense_units: int = int_field(0, 0)


@checked_arguments
@dataclass(frozen=True, repr=False)
class Branch(Record):
    """One of the branches of `Branches`: a convolution and a pooling that halves height and width.

    Args:
        filters: Filters of the convolution.
        kernel_size: Side of its kernels, in pixels.
        activation: After the convolution.
        downsample: Pooling that halves height and width: `max` or `average`.
    """

    filters: int = int_field(32, 1)
    kernel_size: int = int_field(3, 1, 31)
    _: KW_ONLY
    activation: str = text_field("relu", *ACTIVATIONS)
    downsample: str = text_field("max", "max", "average")


@checked_arguments
@dataclass(frozen=True, init=False, repr=False)
class Branches(Record):
    """Two or more parallel branches over one input, whose feature maps are concatenated.

    Args:
        *branches: The branches; their parameters are named `branch_1.filters` and so on.
        pooling: How the feature maps become one vector: `flatten`, `average` or `max` over all positions.
        dense_units: Units of the dense layer before the head; 0 for none.
    """

    branches: tuple[Branch, ...]
    pooling: str
    dense_units: int

    def __init__(self, *branches: Branch, pooling: str = "flatten", dense_units: int = 0, **named: Branch) -> None:
        # `with_children` passes the branches by the names of `children`: branch_1, branch_2, ...
        if wrong := [name for name in named if not re.fullmatch(r"branch_\d+", name)]:
            raise SpaceError(f"Branches({wrong[0]}=...): no such field\nhint: pass Branch(...) records one by one")
        object.__setattr__(self, "branches", (*branches, *named.values()))
        object.__setattr__(self, "pooling", pooling)
        object.__setattr__(self, "dense_units", dense_units)
        if len(self.branches) < 2:
            raise SpaceError(f"Branches(...): got {len(self.branches)} Branch(...) records, expected at least two")
        self.__post_init__()

    def __post_init__(self) -> None:
        for name in ("pooling", "dense_units"):
            object.__setattr__(self, name, _BRANCHES_RULES[name].normal(getattr(self, name)))

    def children(self) -> dict[str, tuple[Any, Rule]]:
        """Return each branch, the pooling and the dense units."""
        rule = Rule("record", records=(Branch,))
        branches = {f"branch_{index}": (branch, rule) for index, branch in enumerate(self.branches, start=1)}
        return {**branches, **{name: (getattr(self, name), rule) for name, rule in _BRANCHES_RULES.items()}}

    def __repr__(self) -> str:
        parts = [repr(branch) for branch in self.branches]
        parts += [f"{name}={getattr(self, name)!r}" for name in _BRANCHES_RULES]
        return f"Branches({', '.join(parts)})"


_BRANCHES_RULES = {"pooling": Rule("text", options=POOLINGS), "dense_units": Rule("whole", 0)}


@checked_arguments
@dataclass(frozen=True, repr=False)
class Pretrained(Record):
    """A network of `keras.applications`; the model includes the preprocessing that it was trained with.

    Several networks, as in `Pretrained(["MobileNetV2", "MobileNet"])`, read the same images, and their features are
    concatenated.

    Args:
        name: Name of the network, such as `MobileNetV2`, or a list of names.
        weights: `imagenet` (from SEARCH_WEIGHTS, Keras' cache, or downloaded once), a file of weights with or
            without the top, or None for random weights; for several networks a list, or one value for all.
        trainable_layers: Number of last layers that are trained; 0 freezes the network. Batch normalisation always
            keeps its stored statistics.
        pooling: How the feature maps become one vector: `average`, `max` or `flatten`.
        alpha: Width multiplier of the MobileNet networks; None takes that of the file of weights, or the
            network's default. For several networks a list, or one value for all.
        dense_units: Units of the dense layer before the head; 0 for none.
        head: `Linear(...)` solves the last layer exactly on the features of the frozen network; None trains it with the
            optimizer.
    """

    name: Any = text_field(dataclasses.MISSING, *APPLICATIONS, several=True)
    _: KW_ONLY
    weights: Any = field(Rule("path", optional=True, several=True), "imagenet")
    trainable_layers: int = int_field(0, 0)
    pooling: str = text_field("average", *POOLINGS)
    alpha: Any = float_field(None, 0.0, 4.0, above=True, optional=True, several=True)
    dense_units: int = int_field(0, 0)
    head: Linear | None = field(Rule("record", records=HEADS, optional=True), None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not any(isinstance(value, PARAMETERS) for value in (self.name, self.weights, self.alpha)):
            _ = self.parts

    @property
    def parts(self) -> tuple["Pretrained", ...]:
        """The networks one by one; a record of one network is its only part.

        Raises:
            SpaceError: There are not as many weights or widths as networks, or two networks are the same.
        """
        if not isinstance(self.name, tuple):
            for field_name in ("weights", "alpha"):
                if isinstance(getattr(self, field_name), tuple):
                    raise SpaceError(
                        f"Pretrained({field_name}=...): got a list for one network\n"
                        "hint: to try several values, write Choice(...)"
                    )
            return (self,)
        count = len(self.name)
        lists = [value if isinstance(value, tuple) else (value,) * count for value in (self.weights, self.alpha)]
        if count < 2 or any(len(values) != count for values in lists):
            got = ", ".join(f"{name}={getattr(self, name)!r}" for name in ("name", "weights", "alpha"))
            raise SpaceError(
                f"Pretrained(...): expected two or more networks, with as many weights and alphas, got {got}"
            )
        parts = zip(self.name, *lists, strict=True)
        found = tuple(
            dataclasses.replace(self, name=name, weights=weights, alpha=alpha) for name, weights, alpha in parts
        )
        if len({(part.name, part.alpha) for part in found}) < count:
            raise SpaceError(f"Pretrained(...): got the same network twice: {self!r}")
        return found

    @property
    def option_name(self) -> str:
        """The network's name in lower case, so that several networks can be options of one `Choice`."""
        names = self.name if isinstance(self.name, tuple) else (self.name,)
        return "_".join(name.lower() if isinstance(name, str) else "pretrained" for name in names)


@checked_arguments
@dataclass(frozen=True, init=False, repr=False)
class Custom(Record):
    """A network of your own.

    Args:
        build: Called as `build(recipe, input_shape, outputs)`, returns an uncompiled `keras.Model` from images
            (n, height, width, channels) to (n, outputs): logits, or probabilities if its last layer has a
            softmax or sigmoid. `outputs` is 1 for two classes. `recipe.model.units` is the value of `units`.
        rescale: True divides pixels by 255. False passes them as 0 to 255. None divides them unless the network
            rescales its own input.
        **parameters: Values and parameters that `build` reads.
    """

    build: Callable[..., Any]
    rescale: bool | None
    parameters: tuple[tuple[str, Any], ...]

    def __init__(self, build: Callable[..., Any], *, rescale: bool | None = None, **parameters: Any) -> None:
        for name in parameters:
            if name in RESERVED or not is_name(name):
                raise SpaceError(
                    f"Custom({name}=...): a parameter cannot have this name\nhint: use another, such as units"
                )
        object.__setattr__(self, "build", build)
        object.__setattr__(self, "rescale", to_python(rescale))
        object.__setattr__(self, "parameters", tuple((name, ANY.normal(value)) for name, value in parameters.items()))

    def __getattr__(self, name: str) -> Any:
        for known, value in self.__dict__.get("parameters", ()):
            if known == name:
                return value
        raise AttributeError(f"Custom(...) has no parameter {name!r}")

    @property
    def option_name(self) -> str:
        """The function's name, so that several networks can be options of one `Choice`."""
        return self.function_name if is_name(self.function_name) else "custom"

    @property
    def function_name(self) -> str:
        """The name of the function, or of the function that a `functools.partial` calls."""
        function = self.build
        while isinstance(function, partial):
            function = function.func
        return str(getattr(function, "__name__", repr(function)))

    def children(self) -> dict[str, tuple[Any, Rule]]:
        """Return the function, `rescale` and each parameter."""
        own = {
            "build": (self.build, Rule("function", fixed=True)),
            "rescale": (self.rescale, Rule("switch", optional=True)),
        }
        return {**own, **{name: (value, ANY) for name, value in self.parameters}}

    def __repr__(self) -> str:
        parts = [self.function_name]
        if self.rescale is not None:
            parts.append(f"rescale={self.rescale!r}")
        return f"Custom({', '.join(parts + [f'{name}={value!r}' for name, value in self.parameters])})"


ANY = Rule("scalar")
RESERVED = {*dir(Custom), "parameters", "record"}
"""Names that a parameter of `Custom` cannot have: it would hide an attribute or a key of the canonical form."""

BACKBONES = (CNN, Branches, Pretrained)
MODELS = (Custom, KerasTunerModel)
