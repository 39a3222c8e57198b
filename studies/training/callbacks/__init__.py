"""Keras callbacks, one purpose each."""
