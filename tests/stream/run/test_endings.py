"""However a run is ended: report and film are whole, no process goes on, and no folder of sockets is left."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from smartca.stream.run.ending import ending_signals, sweep
from support.ports import free_port
from support.processes import processes_of
from support.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the processes in /proc")


class Live:
    """A run of a live feed that is recorded, with a temporary folder of its own."""

    def __init__(self, folder: Path, network: Path, *words: object, **how: object) -> None:
        self.folder, self.temporary = folder, folder / "tmp"
        self.temporary.mkdir(exist_ok=True)
        pictures = folder / "pictures"
        pictures.mkdir(exist_ok=True)
        for number in range(300):
            cv2.imwrite(str(pictures / f"{number:03}.png"), np.full((64, 96), 60 + number % 100, np.uint8))
        command = [sys.executable, "-m", "smartca", "run", pictures, "--model", network, "--fps", "20"]
        command += ["--report", "r.json", "--record", "o.mp4", *words]
        settings = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **how}
        environment = {**os.environ, "TMPDIR": str(self.temporary), **settings.pop("env", {})}  # type: ignore[dict-item]
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            list(map(str, command)), cwd=folder, env=environment, **settings
        )  # type: ignore[call-overload]

    def running(self) -> dict[str, int]:
        """The three processes, once some frames are in the film."""
        log = self.folder / "o.frames.jsonl"
        wait_until(lambda: log.exists() and len(log.read_bytes().splitlines()) > 5)
        return processes_of(self.process.pid)

    @property
    def sockets(self) -> list[Path]:
        """What lies in the temporary folder of runs."""
        return list(self.temporary.glob("smartca-*"))

    def check(self, children: dict[str, int]) -> None:
        """Report and film hold the same frames, and all processes are gone."""
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children.values()))
        report = json.loads((self.folder / "r.json").read_text())
        lines = (self.folder / "o.frames.jsonl").read_bytes().splitlines()
        assert len(lines) - 1 == report["frames"]["shown"] >= 5
        film = cv2.VideoCapture(str(self.folder / "o.mp4"))
        count = 0
        while film.read()[0]:
            count += 1
        film.release()
        assert count == report["frames"]["shown"]


@contextmanager
def live(folder: Path, network: Path, *words: object, **how: object) -> Iterator[Live]:
    it = Live(folder, network, *words, **how)
    try:
        yield it
    finally:
        if it.process.poll() is None:
            it.process.kill()
        it.process.communicate(timeout=PATIENCE_S)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_every_signal_ends_it_in_good_order(tmp_path: Path, network: Path, number: signal.Signals) -> None:
    with live(tmp_path, network, "--headless") as it:
        children = it.running()
        it.process.send_signal(number)
        words = it.process.communicate(timeout=PATIENCE_S)[0]
        assert it.process.returncode == 0, words
        assert b"Traceback" not in words
        it.check(children)
        assert it.sockets == []


def test_a_closed_terminal_ends_it_in_good_order(tmp_path: Path, network: Path) -> None:
    ours, theirs = pty.openpty()

    def as_its_terminal() -> None:
        os.setsid()
        os.close(os.open(os.ttyname(theirs), os.O_RDWR))  # the first terminal a session opens is its own

    how = {"stdin": theirs, "stdout": theirs, "stderr": theirs, "preexec_fn": as_its_terminal}
    with live(tmp_path, network, "--headless", **how) as it:
        os.close(theirs)
        children = it.running()
        os.close(ours)
        assert it.process.wait(PATIENCE_S) == 0
        it.check(children)
        assert it.sockets == []


def test_a_killed_supervisor_costs_no_report_and_the_next_start_cleans_up(tmp_path: Path, network: Path) -> None:
    with live(tmp_path, network, "--headless") as it:
        children = it.running()
        it.process.kill()
        it.process.wait(PATIENCE_S)
        wait_until(lambda: (tmp_path / "r.json").exists())
        it.check(children)
        assert json.loads((tmp_path / "r.json").read_text())["problem"] == "the run's first process was killed"
        assert len(it.sockets) == 1
    with live(tmp_path, network, "--headless") as it:
        wait_until(lambda: len(it.sockets) == 1 and str(it.process.pid) in it.sockets[0].name)
        it.process.send_signal(signal.SIGINT)
        it.process.communicate(timeout=PATIENCE_S)
        assert it.sockets == []


def test_only_folders_of_runs_that_are_no_more_are_removed(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait(PATIENCE_S)
    for name in (f"smartca-run-{gone.pid}-a1", f"smartca-run-{os.getpid()}-a2", "smartca-run-x-a3", "smartca-notes"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "frames").touch()
    sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        f"smartca-run-{os.getpid()}-a2",
        "smartca-run-x-a3",
        "smartca-notes",
    }
    sweep(tmp_path / "missing")


def test_where_nohup_had_it_ignored_a_closed_terminal_ends_nothing() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signal.SIGHUP not in ending_signals()
    finally:
        signal.signal(signal.SIGHUP, before)
    assert signal.SIGHUP in ending_signals()


def test_a_browser_that_never_returns_does_not_stop_supervision(tmp_path: Path, network: Path) -> None:
    slow = tmp_path / "browser"
    slow.write_text(
        f"#!{sys.executable}\nimport os, time\nopen('opened', 'w').write(str(os.getpid()))\ntime.sleep(600)\n"
    )
    slow.chmod(0o755)
    environment = {"BROWSER": f"{slow} %s", "DISPLAY": ":99"}
    with live(tmp_path, network, "--port", free_port(), env=environment) as it:
        before = it.running()
        wait_until(lambda: (tmp_path / "opened").exists() and (tmp_path / "opened").read_text())
        os.kill(before["serve"], signal.SIGKILL)
        wait_until(lambda: processes_of(it.process.pid).get("serve") not in (None, before["serve"]))
        it.process.send_signal(signal.SIGINT)
        ended = it.process.wait(PATIENCE_S)
        os.kill(int((tmp_path / "opened").read_text()), signal.SIGKILL)  # it holds our pipe
        assert ended == 0
