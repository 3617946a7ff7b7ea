"""Connect's API: one module for each family of paths, each with its table of routes."""
