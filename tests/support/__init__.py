"""Fakes and tools that several tests share."""
