"""Processes that begin as copies: they end as any other does, and are made only where that is safe."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from smartca.stream.run.forked import BROKEN, can_fork
from support.processes import processes_of
from support.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are copied on Linux only")

# the process that copies itself is a fresh one: pytest's own has threads
COPIES = """
import subprocess
from smartca.stream.run.forked import Forked, can_fork
assert can_fork(), "this process has threads"
{body}
"""


def told(body: str, cwd: Path, timeout: float = PATIENCE_S) -> subprocess.CompletedProcess[str]:
    """What a process said that ran `body` with Forked at hand."""
    return subprocess.run(
        [sys.executable, "-c", COPIES.format(body=body)], cwd=cwd, capture_output=True, text=True, timeout=timeout
    )


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--version"], 0), (["evaluate"], 2), (["no-such-command"], 2), (["attach", "no-such-file.mp4"], 2)],
)
def test_it_ends_with_the_code_of_the_command(tmp_path: Path, arguments: list[str], code: int) -> None:
    done = told(f"child = Forked({arguments!r}); print('code', child.wait(60), child.poll())", tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"code {code} {code}" in done.stdout
    usual = subprocess.run([sys.executable, "-m", "smartca", *arguments], capture_output=True, text=True, cwd=tmp_path)
    assert (usual.returncode, usual.stderr.replace("python -m smartca", "smartca")) == (code, done.stderr)
    assert usual.stdout in done.stdout


@pytest.mark.parametrize(("ask", "number"), [("kill", signal.SIGKILL), ("terminate", signal.SIGTERM)])
def test_it_can_be_ended(tmp_path: Path, ask: str, number: int) -> None:
    done = told(f"child = Forked(['serve'], held=True); child.{ask}(); print('code', child.wait(60))", tmp_path)
    assert f"code {-number}" in done.stdout, done.stderr


def test_one_that_is_held_waits_for_its_release(tmp_path: Path) -> None:
    body = (
        "child = Forked(['--version'], held=True)\n"
        "try: child.wait(0.3)\n"
        "except subprocess.TimeoutExpired: print('it waits')\n"
        "child.release(); child.release(); print('code', child.wait(60))"
    )
    done = told(body, tmp_path)
    assert "it waits" in done.stdout and "code 0" in done.stdout, done.stderr
    assert done.stdout.index("it waits") < done.stdout.index("smartca,")


def test_to_release_one_that_was_killed_is_no_fault(tmp_path: Path) -> None:
    body = "child = Forked(['--version'], held=True); child.kill(); child.wait(60); child.release(); print('whole')"
    assert "whole" in told(body, tmp_path).stdout


def test_one_that_is_held_ends_with_its_parent(tmp_path: Path) -> None:
    body = "import os; child = Forked(['--version'], held=True); print(child.pid, flush=True); os._exit(0)"
    done = told(body, tmp_path)
    pid = int(done.stdout.split()[0])
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), every_s=0.02)
    assert "smartca," not in done.stdout


def test_a_fault_of_ours_is_told_and_has_a_code_of_its_own(tmp_path: Path) -> None:
    body = (
        "import runpy\n"
        "def broken(*_, **__): raise KeyError('ours')\n"
        "runpy.run_module = broken\n"
        "print('code', Forked(['--version']).wait(60))"
    )
    done = told(body, tmp_path)
    assert f"code {BROKEN}" in done.stdout and "KeyError: 'ours'" in done.stderr


def test_it_is_told_apart_and_reads_nothing_of_the_terminal(tmp_path: Path) -> None:
    body = "child = Forked(['serve', '--bind', 'ipc://frames', '--publish', 'ipc://answers']); input(); child.kill()"
    process = subprocess.Popen([sys.executable, "-c", COPIES.format(body=body)], stdin=subprocess.PIPE, cwd=tmp_path)
    with ended(process):
        wait_until(lambda: "serve" in processes_of(process.pid), every_s=0.02)
        pid = processes_of(process.pid)["serve"]
        assert str(Path(f"/proc/{pid}/fd/0").readlink()) == os.devnull
        assert os.getsid(pid) == pid != os.getsid(process.pid)


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        process.communicate(b"\n", timeout=PATIENCE_S)


def test_a_process_with_a_second_thread_is_not_copied() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert not can_fork()
    finally:
        stop.set()
        thread.join()
