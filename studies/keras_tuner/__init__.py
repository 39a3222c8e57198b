"""KerasTuner's hypermodels as they are: their hyperparameters asked of a study, their models trained and exported.

KerasTuner is imported by this package alone, and only when a space holds a `KerasTunerModel`.
"""
