"""Fixtures of all tests that train."""

from support.threads import one_thread

__all__ = ["one_thread"]
