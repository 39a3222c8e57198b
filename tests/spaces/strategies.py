"""Random spaces, and random assignments of them, for property tests."""

from typing import Any

from hypothesis import strategies as st

from spaces import CNN, Choice, Float, Int, Pretrained, Space
from spaces import parameters as p
from spaces.data import Digits, ImageFolder, KerasDataset, Npz
from spaces.training import SGD, Adam, AdamW, Augment, Constant, Cosine, RMSprop

TEXTS = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF, categories=("L", "N", "P")), min_size=1, max_size=8
)


@st.composite
def ints(draw: st.DrawFn, low: int, high: int) -> Any:
    """An `Int` within two bounds."""
    first = draw(st.integers(low, high))
    step = draw(st.integers(1, 5))
    last = first + step * draw(st.integers(0, (high - first) // step))
    log = step == 1 and first > 0 and draw(st.booleans())
    default = draw(st.none() | st.integers(0, (last - first) // step).map(lambda index: first + step * index))
    return Int(first, last, step=step, log=log, default=default)


@st.composite
def floats(draw: st.DrawFn, low: float, high: float) -> Any:
    """A `Float` within two bounds."""
    first = draw(st.floats(low, high))
    if draw(st.booleans()):
        step = draw(st.sampled_from([0.001, 0.01, 0.1, 0.25]))
        last = min(first + step * draw(st.integers(0, 7)), high)
        steps = int((last - first) / step + 1e-9)
        return Float(first, first + steps * step, step=step) if first + steps * step <= high else Float(first, first)
    last = draw(st.floats(first, high))
    log = first > 0 and draw(st.booleans())
    return Float(first, last, log=log, default=draw(st.none() | st.floats(first, last)))


def _normal(value):
    """A square given as a pair is equal to its side."""
    return value[0] if isinstance(value, tuple) and value[0] == value[-1] else value


def choices(options: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A `Choice` among scalars that differ also under `==`."""
    several = st.lists(options, min_size=1, max_size=4, unique_by=_normal)
    return several.flatmap(lambda each: st.sampled_from(each).map(lambda default: Choice(*each, default=default)))


def whole(low: int, high: int) -> st.SearchStrategy[Any]:
    """A value or a parameter for a field of whole numbers."""
    return st.one_of(st.integers(low, high), ints(low, high), choices(st.integers(low, high)))


def real(low: float, high: float) -> st.SearchStrategy[Any]:
    """A value or a parameter for a field of real numbers."""
    numbers = st.floats(low, high) | st.integers(int(low) + 1, max(int(high), int(low) + 1)).filter(lambda n: n <= high)
    return st.one_of(numbers, floats(low, high), choices(numbers))


def words(*options: Any) -> st.SearchStrategy[Any]:
    """A value or a parameter for a field of fixed options."""
    return st.sampled_from(options) | choices(st.sampled_from(options))


def records(*each: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A record, or a choice among records of one kind or of several."""
    one = st.one_of(*each)
    named = st.dictionaries(st.sampled_from(("a", "b", "größe")), one, min_size=1, max_size=3)
    distinct = named.filter(lambda options: p.Choice(**options).problem() is None)
    return one | distinct.map(lambda options: Choice(**options))


AUGMENTS = st.builds(Augment, flip=words(None, "horizontal", "both"), rotation=real(0.0, 0.5), zoom=real(0.0, 0.9))
CNNS = st.builds(
    CNN,
    filters=whole(1, 512),
    growth=real(1.0, 8.0),
    padding=words("same", "valid"),
    batch_norm=words(True, False),
)
PRETRAINED = st.builds(
    Pretrained,
    words("VGG16", "MobileNetV2", "ResNet50"),
    weights=st.sampled_from((None, "imagenet", "weights/a.h5")),
    trainable_layers=whole(0, 100),
    alpha=st.none() | real(0.1, 4.0),
)
OPTIMIZERS = (
    st.builds(Adam, beta_1=real(0.0, 0.99)),
    st.builds(AdamW, weight_decay=real(0.0, 1.0), clipnorm=st.none() | real(0.5, 9.0)),
    st.builds(SGD, momentum=real(0.0, 0.99), nesterov=words(True, False)),
    st.builds(RMSprop, rho=real(0.0, 0.99)),
)
SIZES = st.integers(4, 512) | st.tuples(st.integers(4, 512), st.integers(4, 512))
DATA = st.one_of(
    st.builds(Digits, validation=st.floats(0.1, 0.9)),
    st.builds(ImageFolder, TEXTS, image_size=st.none() | SIZES | choices(SIZES) | ints(4, 512), channels=words(1, 3)),
    st.builds(Npz, TEXTS),
    st.builds(KerasDataset, st.sampled_from(("cifar10", "mnist"))),
)
SPACES = st.builds(
    Space,
    data=DATA,
    backbone=records(CNNS, PRETRAINED),
    augment=st.none() | records(AUGMENTS),
    dropout=real(0.0, 0.95),
    learning_rate=real(1e-6, 10.0),
    batch_size=whole(1, 4096),
    optimizer=records(*OPTIMIZERS),
    schedule=records(st.builds(Constant, warmup=real(0.0, 1.0)), st.builds(Cosine, floor=real(0.0, 1.0))),
    epochs=whole(1, 1000),
    patience=st.none() | whole(1, 100),
    metric=st.sampled_from(("val_accuracy", "val_loss")),
)


def values(parameter: p.Parameter) -> st.SearchStrategy[Any]:
    """Any value that a parameter can take."""
    if isinstance(parameter, p.Int):
        return st.integers(0, int(parameter.count) - 1).map(lambda index: parameter.low + parameter.step * index)
    if isinstance(parameter, p.Float) and parameter.step is None:
        return st.floats(parameter.low, parameter.high)
    return st.sampled_from(list(parameter.values()))
