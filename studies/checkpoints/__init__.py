"""Checkpoints: a trial's training state at the end of an epoch, stored where it outlives its worker."""
