"""Checkpoints: a trial's training at the end of an epoch, kept where it outlives its worker."""
