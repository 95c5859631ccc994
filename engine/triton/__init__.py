"""Engines on a Triton server."""
