"""Pictures of a search and its model, as PNG files beside the export; the only place that draws."""
