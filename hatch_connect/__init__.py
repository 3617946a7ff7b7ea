"""Ship a Hatch project to Posit Connect from the build it already has."""

__version__ = "0.1.0"
