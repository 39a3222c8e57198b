"""Models: the records of `spaces.backbones` turned into Keras models."""

from studies.models.building import build_inference_model, build_model, inference_model
from studies.models.outputs import gives_logits
from studies.models.pretrained import fine_tune

__all__ = ["build_inference_model", "build_model", "fine_tune", "gives_logits", "inference_model"]
