"""Plots of a search and its model as PNG files in the export."""
