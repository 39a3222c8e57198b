"""The database that all workers of a study share: trials, claims, workers and control."""
