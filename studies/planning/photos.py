"""The plan for a folder of photos: heads on frozen pretrained networks, from the fastest upwards."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spaces.backbones import Pretrained
from spaces.data import ImageFolder
from spaces.heads import LINEAR_DEFAULTS, MIRROR, Linear
from spaces.parameters import Choice as AnyChoice
from spaces.parameters import Int
from spaces.space import Space
from spaces.typed_parameters import Choice
from studies.backend.device_info import accelerators, cpu_cores, describe_device
from studies.data.folders import list_images
from studies.data.image_folder import resolve_layout
from studies.data.split_names import TRAIN
from studies.images.decoding import header_size, quiet_pillow
from studies.planning.networks import PlanNetwork, find_networks
from studies.planning.step_time import expected_seconds

MIN_SIDE = 40
"""Photos of at most this median side are too small for networks that were trained on larger ones."""

MAX_OUTPUTS_FOR_STRENGTHS, MAX_OUTPUTS = 50_000, 500_000
"""Photos times classes above which one strength is tried instead of five, and above which no head is solved, since the
time grows with both. Chosen by judgement, not by measurement."""

DEFAULT_STRENGTH = 30.0

FIRST_SIZE, SECOND_SIZE = 160, 224
_SAMPLED_FILES = 200
WEIGHTS_HINT = "for better models, download weights with `search weights get MobileNetV2`, or set SEARCH_WEIGHTS"


@dataclass(frozen=True)
class Plan:
    """A plan for a folder.

    Args:
        space: The space: the baseline is the first stage, and the `stepwise` sampler takes the others in order. The
            declared space if no pretrained network can be used.
        reasons: Why the plan is as it is, one line each.
    """

    space: Space
    reasons: tuple[str, ...] = ()


def plan_photos(space: Space, folder: Path) -> Plan:
    """Return the plan for an open space, computed from the training images without decoding them.

    Args:
        space: A space for which `is_open` is True.
        folder: Folder where relative paths start.

    Raises:
        DataError: The folder cannot be used.
    """
    data: ImageFolder = space.data
    layout = resolve_layout(data, folder)
    listing = list_images(layout.roots, data.classes)
    files = [file.path for file in listing.files if file.split == TRAIN]
    side = _declared_side(data.image_size) or _median_side(files)
    outputs = len(files) * len(listing.classes)
    count = f"{len(files):,} images, {len(listing.classes):,} classes, {describe_device().partition(' (')[0]}"
    if side <= MIN_SIDE:
        reason = f"images of {side} pixels are too small for networks that were trained on photos"
        return Plan(space, (f"{count}: train from scratch, since {reason}",))
    if outputs > MAX_OUTPUTS:
        reason = f"{len(listing.classes):,} classes are too many to solve a head in minutes"
        return Plan(space, (f"{count}: train from scratch, since {reason}",))
    sizes = (FIRST_SIZE, SECOND_SIZE) if data.image_size is None else (side,)
    networks, missing = find_networks(bool(accelerators()), sizes)
    if not networks:
        reason = f"there are no pretrained weights: {missing}"
        return Plan(space, (f"{count}: train from scratch, since {reason}", WEIGHTS_HINT))
    planned = replace(space, data=_sized(data), backbone=_backbone(networks, outputs), **LINEAR_DEFAULTS)
    return Plan(planned, (f"{count}: start with a frozen {networks[0].name}", *_reasons(planned, networks, len(files))))


def _sized(data: ImageFolder) -> ImageFolder:
    """Return the images at the sizes of the plan, unless the user has chosen one; smaller ones are enlarged."""
    return data if data.image_size is not None else replace(data, image_size=Choice(FIRST_SIZE, SECOND_SIZE))


def _backbone(networks: Sequence[PlanNetwork], outputs: int) -> Any:
    strength = None if outputs <= MAX_OUTPUTS_FOR_STRENGTHS else DEFAULT_STRENGTH
    head = Linear(strength=strength, views=Choice(None, MIRROR))
    first = replace(networks[0].record, head=head)
    if len(networks) == 1:
        return first
    names, alphas = [network.name for network in networks], [network.alpha for network in networks]
    return Choice(first, Pretrained(names, alpha=alphas, head=head))


def _reasons(space: Space, networks: Sequence[PlanNetwork], images: int) -> list[str]:
    """Return the later stages and the expected time, one line each."""
    found = []
    if not isinstance(space.data.image_size, int | tuple):
        found.append(f"images of {SECOND_SIZE} pixels")
    if len(networks) > 1:
        found.append(f"the features of {networks[1].name} as well")
    found.append("mirrored images")
    reasons = [f"then try {', '.join(found)}; keep each only if it improves the cross-validated score"]
    if not accelerators():
        seconds = expected_seconds(space, images, cpu_cores())
        reasons.append(f"expected time: about {10 * round(seconds / 10):d} seconds")
    return reasons


def _declared_side(size: Any) -> Any:
    """Return the smallest side that a declared image size can have; None if none is declared."""
    if isinstance(size, AnyChoice):
        return min(filter(None, map(_declared_side, size.options)), default=None)
    if isinstance(size, Int):
        return size.low
    return min(size) if isinstance(size, tuple) else size


def _median_side(files: Sequence[str]) -> int:
    """Return the median of the shorter sides of a sample of images."""
    with quiet_pillow():
        sizes = [size for file in files[:: max(1, len(files) // _SAMPLED_FILES)] if (size := header_size(file))]
    return int(statistics.median(map(min, sizes))) if sizes else 0
