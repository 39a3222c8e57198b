"""The pretrained networks that a plan may use, in the order in which it tries them on this machine."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import keras

from spaces.backbones import Pretrained
from spaces.errors import ModelError
from studies.models.pretrained import make_network
from studies.models.weights_find import imagenet_file, local_imagenet_file

_SHAPE = (224, 224, 3)


@dataclass(frozen=True)
class PlanNetwork:
    """A network with ImageNet weights.

    Args:
        name: Name in `keras.applications`.
        alpha: Width multiplier; None if the network has none.
        accuracy: Published top-1 accuracy on ImageNet.
        cost: Millions of multiplications and additions for one image of 224 pixels, as published.
    """

    name: str
    alpha: float | None
    accuracy: float
    cost: float

    @property
    def record(self) -> Pretrained:
        """The network as part of a space."""
        return Pretrained(self.name, alpha=self.alpha)


# Sources: Howard et al. 2017 (MobileNet), Sandler et al. 2018 and TensorFlow's repository (MobileNetV2), Howard et al.
# 2019 (MobileNetV3), Tan and Le 2019 and 2021 (EfficientNet, EfficientNetV2), Liu et al. 2022 (ConvNeXt).
CPU_NETWORKS = (
    PlanNetwork("MobileNetV2", 0.35, 0.603, 59),
    PlanNetwork("MobileNet", 0.25, 0.506, 41),
    PlanNetwork("MobileNetV3Small", 1.0, 0.675, 56),
    PlanNetwork("MobileNetV2", 1.0, 0.718, 300),
    PlanNetwork("MobileNetV3Large", 1.0, 0.752, 219),
    PlanNetwork("EfficientNetB0", None, 0.771, 390),
)
"""From the fastest: on two cores the first needs 4 ms for an image of 160 pixels."""

GPU_NETWORKS = (
    PlanNetwork("EfficientNetV2B0", None, 0.787, 720),
    PlanNetwork("ConvNeXtTiny", None, 0.821, 4500),
    PlanNetwork("EfficientNetV2S", None, 0.839, 8800),
    PlanNetwork("MobileNetV2", 1.0, 0.718, 300),
    *CPU_NETWORKS[:3],
)


def cost_of(name: str, alpha: float | None) -> float:
    """Return the cost of a network; for one that no plan uses, that of the most expensive one."""
    known = {(network.name, network.alpha): network.cost for network in (*CPU_NETWORKS, *GPU_NETWORKS)}
    return known.get((name, alpha), max(known.values()))


def find_networks(on_gpu: bool, sizes: Sequence[int]) -> tuple[tuple[PlanNetwork, ...], str]:
    """Return up to two networks whose weights are on this machine, or one that is downloaded now.

    Args:
        on_gpu: Whether the trials run on a GPU.
        sizes: Sides of the images in pixels; some files of weights are for one size only.

    Returns:
        The networks, the first one to start with; and why there is none, or an empty text.
    """
    candidates = GPU_NETWORKS if on_gpu else CPU_NETWORKS
    if found := tuple(itertools.islice((network for network in candidates if _is_here(network, sizes)), 2)):
        return found, ""
    first = candidates[0]
    try:
        for size in sizes:
            imagenet_file(first.record, (size, size, 3), lambda: _build(first), lambda line: None)
    except ModelError as error:
        return (), str(error).splitlines()[0].removeprefix("backbone: ")
    return (first,), ""


def _is_here(network: PlanNetwork, sizes: Sequence[int]) -> bool:
    try:
        shapes = ((size, size, 3) for size in sizes)
        return all(local_imagenet_file(network.record, shape, lambda: _build(network)) for shape in shapes)
    except ModelError:
        # Several files fit: the user must choose one.
        return False


def _build(network: PlanNetwork) -> keras.Model:
    return make_network(network.record, _SHAPE)
