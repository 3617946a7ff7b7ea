"""Sales figures, as an API."""

from importlib.metadata import version

__version__ = version("sales-api")
