"""A bug in one of a run's processes, or in a thread of one: told, written down, and the process started again."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from smartca import logs
from support.paths import SUPPORT
from support.processes import processes_of
from test_run import FRAMES, Watching, endless, folder, network, smartca

__all__ = ["endless", "folder", "network"]  # fixtures
# where the bug is -> (process, function); those in threads of their own are marked
PLACES = {
    "attach": ("attach", "smartca.stream.attach:_Attached._frame"),
    "capture thread": ("attach", "smartca.stream.capture:Capture._put"),
    "serve": ("serve", "smartca.stream.fanout:Fanout.offer"),
    "view": ("view", "smartca.stream.displays.built_in:PageDisplay.show"),
    "page thread": ("view", "smartca.stream.displays.page.hub:_Browser.offer"),
    "page request": ("view", "smartca.stream.displays.page.hub:PageServer._note"),
    "recorder thread": ("view", "smartca.stream.displays.film:Film.add"),
}
HEADLESS = ("attach", "capture thread", "serve", "recorder thread")


@pytest.fixture
def bug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> Path:
    """A file whose appearance lets a process meet a bug."""
    monkeypatch.setenv("SMARTCA_BUG", str(tmp_path / "bug"))
    monkeypatch.setenv("SMARTCA_BUG_AT", PLACES[place][1])
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT / "bug"))
    for name in ("XDG_STATE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.delenv("SMARTCA_DEBUG", raising=False)
    return tmp_path / "bug"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the processes in /proc")
@pytest.mark.parametrize("place", [place for place in PLACES if place != "recorder thread"])
def test_a_run_goes_on_after_a_bug(
    place: str, tmp_path: Path, bug: Path, endless: tuple[subprocess.Popen[str], int]
) -> None:
    (run, port), role = endless, PLACES[place][0]
    page = Watching(port)
    asyncio.run(page.until("tear outlined"))
    time.sleep(0.5)  # the supervisor has heard that all are ready by then
    before = processes_of(run.pid)[role]
    bug.touch()
    while processes_of(run.pid).get(role) in (None, before):
        if place.startswith("page"):
            asyncio.run(page.until("gone"))
        time.sleep(0.05)
    page.states.clear()
    asyncio.run(page.until("tear outlined"))
    run.send_signal(signal.SIGINT)
    _, words = run.communicate(timeout=30)
    assert run.returncode == 0, words
    assert words.count("bug in smartca") == 1 and "KeyError" in words
    assert f"the {role} process ended with code 70; starting it again" in words
    assert "Traceback" not in words
    kept = logs.bug_log().read_text()
    assert f"{role}[" in kept and "Traceback" in kept and "a bug that a test asked for" in kept
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["restarts"][role] == sum(report["restarts"].values()) == 1
    assert report["frames"]["captured"] == report["frames"]["shown"] + sum(report["frames"]["dropped"].values())


@pytest.mark.parametrize("place", HEADLESS)
def test_a_file_is_shown_to_its_end_despite_a_bug(
    place: str, tmp_path: Path, bug: Path, network: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is met with the first frame, by a process that was never ready: no reason to give up, as exit code 2 is."""
    monkeypatch.setenv("SMARTCA_DEBUG", "1")
    bug.touch()
    recorded = ["--record", "o.mp4"] if place == "recorder thread" else []
    done = smartca(
        *("run", folder, "--headless", "--model", network, "--report", "r.json", *recorded),
        *("--log-file", "a.log", "--log-json"),
        cwd=tmp_path,
    )
    lost = re.search(r"\d+ of \d+ frames shown are not in the recording", done.stderr)
    assert bool(lost) == bool(recorded)  # the film that the bug ended lacks frames, and that is told
    assert done.returncode == (1 if recorded else 0), done.stderr
    assert "bug in smartca" in done.stderr and "Traceback" in done.stderr
    report, role = json.loads((tmp_path / "r.json").read_text()), PLACES[place][0]
    assert report["restarts"][role] == 1
    frames = report["frames"]
    assert frames["captured"] == FRAMES == frames["shown"] + sum(frames["dropped"].values())
    if role == "attach":  # which goes on where it was: nothing is lost
        assert frames["dropped"] == {}
    lines = [json.loads(line) for line in (tmp_path / "a.log").read_text().splitlines()]
    bugs = [line for line in lines if line["level"] == "CRITICAL"]
    assert [line["process"] for line in bugs] == [role] and "a bug that a test asked for" in bugs[0]["traceback"]
    assert not logs.bug_log().exists()


def test_one_log_of_three_processes_tells_of_no_patient(tmp_path: Path, network: Path, folder: Path) -> None:
    patient = tmp_path / "MUELLER^HANS 1960-04-01"
    patient.mkdir()
    (patient / "exam").symlink_to(folder)
    done = smartca(
        *("run", patient / "exam", "--headless", "--model", network, "-vv", "--log-json"),
        *("--log-file", "a.log", "--record", patient / "o.mp4"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "a.log").read_text()
    assert "MUELLER" not in text and str(tmp_path) not in text.replace(str(tmp_path / "a.log"), "")
    assert "MUELLER" not in done.stderr
    lines = [json.loads(line) for line in text.splitlines()]  # whole, every one of them
    assert max(len(line) for line in text.splitlines()) < 1000  # no pixels
    assert {line["process"] for line in lines} == {"run", "attach", "serve", "view"}
    said = {line["message"]: line for line in lines}
    assert said["source opened"]["source"] == "exam" and said["source opened"]["pictures"] == FRAMES
    assert said["engine opened"]["model_sha256"] and said["engine opened"]["precision"]
    assert {"sector found", "the feed begins", "the feed ends", "a viewer came", "a feed came"} <= said.keys()
    assert {"recording opened", "recording closed", "process started", "a feed is shown"} <= said.keys()
    at_info = [line for line in lines if line["level"] == "INFO"]
    assert len(at_info) < FRAMES  # nothing for each frame
