"""Models: the records of `spaces.backbones` turned into Keras models."""
