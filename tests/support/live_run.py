"""`smartca run` on a live source, in processes of its own: what it says and what its log tells, while it runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.waiting import wait_until


class LiveRun:
    """One run; `report` is there once it has been stopped."""

    def __init__(self, folder: Path, arguments: tuple[object, ...]) -> None:
        self.log, self._report, self._said = folder / "log.json", folder / "report.json", folder / "said.txt"
        words = [*map(str, arguments), "--report", str(self._report), "-v", "--log-json", "--log-file", str(self.log)]
        with self._said.open("w") as said:
            command = [sys.executable, "-m", "smartca", "run", *words]
            self.process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, cwd=folder)

    @property
    def said(self) -> str:
        """All that it printed."""
        return self._said.read_text()

    def count(self, words: str) -> int:
        """How many lines of the log have these words; what it printed is shown if it has ended."""
        assert self.process.poll() is None, self.said
        return self.logged().count(words)

    def logged(self) -> str:
        """All of its log."""
        return self.log.read_text() if self.log.exists() else ""

    def wait_for(self, words: str, times: int = 1) -> None:
        """Wait until the log has these words that often."""
        wait_until(lambda: self.count(words) >= times)

    def stop(self) -> dict[str, Any]:
        """End it as Ctrl-C does; gives its report."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(60) in (0, 130), self.said
        return json.loads(self._report.read_text())


@contextmanager
def live_run(folder: Path, *arguments: object) -> Iterator[LiveRun]:
    """`smartca run` with these arguments; killed at the end if it is still there."""
    run = LiveRun(folder, arguments)
    try:
        yield run
    finally:
        if run.process.poll() is None:
            os.kill(run.process.pid, signal.SIGTERM)
            run.process.wait(60)
