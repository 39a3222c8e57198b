"""Features: what a frozen backbone makes of each image, computed once, so that a trial trains its head only."""
