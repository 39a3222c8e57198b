"""Load images from any source, decoded once and cached, as three splits."""
