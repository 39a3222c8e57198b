"""Keras callbacks, one worry each."""
