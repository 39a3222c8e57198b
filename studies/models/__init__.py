"""Models: the records of `spaces.backbones` turned into Keras models."""

from studies.models.building import build_inference_model, build_model, inference_model
from studies.models.outputs import gives_logits

__all__ = ["build_inference_model", "build_model", "gives_logits", "inference_model"]
