"""Builds Keras models from the records of `spaces.backbones`."""
