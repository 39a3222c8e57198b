"""Recognises spaces that leave the network and its training open, so that `search` plans them from the images."""

from spaces.data import ImageFolder
from spaces.heads import WITHOUT_EFFECT
from spaces.space import DEFAULT_BACKBONE, Space

PLANNED = (*WITHOUT_EFFECT, "augment", "folds", "from_logits")
"""The fields besides the network and the image size that a plan chooses."""


def is_open(space: Space) -> bool:
    """Return True if a space has a folder of images, and every field that a plan chooses has its default."""
    defaults = {name: field.default for name, field in Space.__dataclass_fields__.items()}
    leaves_network_open = space.model is None and space.backbone == DEFAULT_BACKBONE
    return (
        isinstance(space.data, ImageFolder)
        and leaves_network_open
        and all(getattr(space, name) == defaults[name] for name in PLANNED)
    )
