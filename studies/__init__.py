"""Studies: searching a space with Optuna and Keras. Importing this package imports neither."""

from studies.settings import Study

__all__ = ["Study"]
