"""Fixtures of all tests that adapt."""

from support.threads import one_thread

__all__ = ["one_thread"]
