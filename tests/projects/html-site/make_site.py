"""Writes the site: no part of it."""
