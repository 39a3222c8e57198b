"""Plans for images without a declared network: what to try first, in which order, and why."""
