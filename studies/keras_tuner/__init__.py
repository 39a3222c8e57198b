"""Searches KerasTuner's hypermodels unchanged: draws their hyperparameters, trains and exports their models.

Only this package imports KerasTuner, and only if a space has a `KerasTunerModel`.
"""
