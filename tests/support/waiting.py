"""Waits with a deadline: a test that waits for what never comes fails and says so, in place of hanging."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
PATIENCE_S = 60.0  # far more than anything here takes, on a busy machine too


def wait_until(condition: Callable[[], T], seconds: float = PATIENCE_S, every_s: float = 0.01) -> T:
    """Ask until the answer is true, and return it. Raises AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain"
        time.sleep(every_s)
    return answer


def join(thread: threading.Thread, seconds: float = PATIENCE_S) -> None:
    """Wait for the end of a thread. Raises AssertionError after `seconds`."""
    thread.join(seconds)
    assert not thread.is_alive(), f"a thread goes on after {seconds:.0f} s"


def run_async(work: Coroutine[Any, Any, T], seconds: float = PATIENCE_S) -> T:
    """asyncio.run with a deadline. Raises TimeoutError after `seconds`."""
    return asyncio.run(asyncio.wait_for(work, seconds))
