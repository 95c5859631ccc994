"""A bug of ours is told as one, by every command: exit code 70, one sentence, and the traceback in a log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from smartca import logs
from smartca.cli import COMMANDS, main
from smartca.commands import doctor
from support.paths import SUPPORT
from test_cli import run


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where bugs are written down, in this process and in those it starts."""
    for name in ("XDG_STATE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.delenv("SMARTCA_DEBUG", raising=False)
    return logs.bug_log()


def fail() -> list[doctor.Finding]:
    """What a mistake of ours does."""
    raise TypeError("unsupported operand")


@pytest.mark.parametrize("error", [TypeError, ValueError, RuntimeError, ImportError, OSError, EOFError, AssertionError])
def test_a_bug_in_a_command(
    error: type[Exception], home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken() -> list[doctor.Finding]:
        raise error("as a test asked for")

    monkeypatch.setattr(doctor, "examine", broken)
    code, _, err = run(capfd, "doctor")
    assert code == logs.BUG == 70
    assert len(err.strip().splitlines()) == 1
    assert "bug in smartca" in err and error.__name__ in err and str(home) in err
    kept = home.read_text()
    assert "Traceback" in kept and "in broken" in kept and "doctor[" in kept


def test_whoever_looks_for_a_bug_sees_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "examine", fail)
    monkeypatch.setenv("SMARTCA_DEBUG", "1")
    code, _, err = run(capfd, "doctor")
    assert code == 70 and "Traceback" in err and "in fail" in err


def test_a_bug_goes_into_the_log_that_is_given(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "examine", fail)
    code, _, err = run(capfd, "doctor", "--log-json", "--log-file", tmp_path / "a.log")
    assert code == 70 and str(tmp_path / "a.log") in err and not home.exists()
    lines = [json.loads(line) for line in (tmp_path / "a.log").read_text().splitlines()]
    assert [line["level"] for line in lines] == ["CRITICAL", "INFO"]
    assert "in fail" in lines[0]["traceback"] and lines[1]["code"] == 70


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="a wait cannot be broken into there")
@pytest.mark.parametrize("ctrl_c", [signal.default_int_handler, signal.SIG_IGN], ids=["heard", "ignored"])
def test_a_thread_that_dies_of_a_bug_ends_the_command(
    ctrl_c: Any, home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    never, in_vain = threading.Event(), list[str]()

    def waits() -> list[doctor.Finding]:
        threading.Thread(target=doctor.Finding, args=("too few",)).start()  # a library's code alone
        threading.Thread(target=doctor.fit_to_run, args=(None,)).start()
        never.wait(30)
        in_vain.append("nobody broke into the wait")
        return []

    before = threading.excepthook
    monkeypatch.setattr(doctor, "examine", waits)
    usual = signal.signal(signal.SIGINT, ctrl_c)  # ignored: as a shell starts what it puts into the background
    try:
        code, _, err = run(capfd, "doctor")
    finally:
        signal.signal(signal.SIGINT, usual)
    assert code == 70 and not in_vain
    assert err.count("bug in smartca") == 1 and "NoneType" in err
    assert "fit_to_run" in home.read_text()
    assert threading.excepthook is before


def test_the_log_options_stand_before_and_behind_the_command(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    missing = ["evaluate", "--data", "nowhere"]
    for number, words in enumerate((["-v", *missing], [*missing, "-v"], ["--verbose", *missing, "-v"])):
        code, _, err = run(capfd, *words, "--log-file", tmp_path / f"{number}.log")
        assert code == 2
        assert "INFO: the command ended" in err
        assert "evaluate[" in (tmp_path / f"{number}.log").read_text()
    assert "INFO" not in run(capfd, *missing)[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_the_log_options(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    out = run(capfd, command, "--help")[1]
    assert all(out.count(option) == 1 for option in ("--verbose", "--log-file", "--log-json"))


def test_a_log_that_cannot_be_written_is_one_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capfd, "doctor", "--log-file", tmp_path / "no" / "such" / "a.log")
    assert code == 2
    assert "--log-file" in err and "Traceback" not in err


@pytest.mark.parametrize("report", ["/dev/null", "/dev/full"])
def test_no_result_takes_the_place_of_a_device(report: str, capfd: pytest.CaptureFixture[str]) -> None:
    if not Path(report).is_char_device():
        pytest.skip(f"there is no {report}")
    code, _, err = run(capfd, "evaluate", "--data", "nowhere", "--report", report)
    assert code == 2
    assert "no file that could be replaced" in err


def test_a_bug_in_a_worker_of_bench_leaves_that_engine_out(tmp_path: Path, home: Path, network: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the package onnxruntime is absent")
    (tmp_path / "bug").touch()
    words = ["bench", str(network), "--backend", "onnxruntime", "--rounds", "20", "--threads", "1"]
    spoilt = {
        "PYTHONPATH": str(SUPPORT / "bug"),
        "SMARTCA_BUG": str(tmp_path / "bug"),
        "SMARTCA_BUG_AT": "smartca.engine.cpu.onnxruntime_runner:OnnxRuntimeRunner.start",
    }
    done = subprocess.run(
        [sys.executable, "-m", "smartca", *words], env={**os.environ, **spoilt}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    told = next(line for line in done.stderr.splitlines() if "left out: onnxruntime fp32" in line)
    assert "code 70" in told and "bug in smartca" in told
    assert "Traceback" not in done.stderr
    assert "bench worker[" in home.read_text()


def test_main_leaves_no_handlers_behind(capfd: pytest.CaptureFixture[str]) -> None:
    import logging

    before = list(logging.getLogger().handlers)
    with pytest.raises(SystemExit):
        main(["-v", "--version"])
    assert logging.getLogger().handlers == before
