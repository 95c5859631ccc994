"""Scored against truth, and timed: evaluate and bench."""
