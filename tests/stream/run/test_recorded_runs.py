"""Every frame that a run shows is in its recording, or the run says what is missing and ends with 1."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from smartca.stream.displays.recording import FilmRecord, read_recording, shortfall
from smartca.stream.run.pulse import Pulse
from smartca.stream.run.recordings import Recordings
from smartca.stream.run.supervise import FINISHING_S, HUNG_S, Child
from support.networks import brightness_network
from support.processes import processes_of
from support.waiting import wait_until

SIZES = [(120, 160), (90, 200), (120, 160), (61, 47)]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return brightness_network(tmp_path_factory.mktemp("model") / "bright.onnx")


def pictures(folder: Path, count: int, sizes: list[tuple[int, int]]) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        size = sizes[number * len(sizes) // count]
        cv2.imwrite(str(folder / f"{number:04}.png"), rng.integers(20, 250, size, np.uint8))
    return folder


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "smartca", *map(str, words)]


def run(network: Path, folder: Path, *words: object, cwd: Path, limit: int | None = None) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a run; `limit` is the largest file in bytes that it may write."""

    def limited() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    asked = command("run", folder, "--headless", "--model", network, "--record", "o.mp4", "--report", "r.json", *words)
    done = subprocess.run(asked, capture_output=True, text=True, cwd=cwd, timeout=120, preexec_fn=limited)
    return done.returncode, done.stdout, done.stderr


def test_pictures_of_other_sizes_are_all_in_film_and_log(tmp_path: Path, network: Path) -> None:
    folder = pictures(tmp_path / "in", 16, SIZES)
    code, out, words = run(network, folder, "--crop", "auto", "--threshold", "0.4", cwd=tmp_path)
    assert code == 0, words
    assert "16 of 16 frames recorded: o.mp4" in out
    assert "8 of 16 pictures in o.mp4 are of another size than its first" in words
    with av.open(str(tmp_path / "o.mp4")) as film:
        assert [(picture.height, picture.width) for picture in film.decode(video=0)] == [(120, 160)] * 16
    assert [line.size for line in read_recording(tmp_path / "o.mp4")] == [size for size in SIZES for _ in range(4)]
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["recording"] == {"films": ["o.mp4"], "frames": 16, "fitted": 8} and report["problem"] is None
    head = json.loads((tmp_path / "o.frames.jsonl").read_bytes().split(b"\n")[0])
    assert (head["source"], head["crop"], head["threshold"], head["point"]) == ("in", "auto", 0.4, "")
    assert len(head["sector"]) == 4 and head["mm_per_pixel"] is None and len(head["engine"]["model_sha256"]) >= 12


def test_a_full_disk_is_told_with_its_count(tmp_path: Path, network: Path) -> None:
    folder = pictures(tmp_path / "in", 40, [(240, 320)])
    code, out, words = run(network, folder, cwd=tmp_path, limit=300_000)
    assert code == 1
    assert "the recording o.mp4 can no longer be written (File too large)" in words
    kept = len(list(read_recording(tmp_path / "o.mp4")))
    assert f"{40 - kept} of 40 frames shown are not in the recording" in words
    assert f"{kept} of 40 frames recorded" in out and 0 < kept < 40
    assert "can no longer be written" in json.loads((tmp_path / "r.json").read_text())["problem"]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the processes in /proc")
@pytest.mark.parametrize("blow", ["folder removed", "viewer killed"])
def test_what_happens_while_it_records_is_told(tmp_path: Path, network: Path, blow: str) -> None:
    seconds = 10 if blow == "viewer killed" else 5  # a new viewer has to come before the feed ends
    folder, kept = pictures(tmp_path / "in", 40 * seconds, [(48, 64)]), tmp_path / "kept"
    kept.mkdir()
    asked = command("run", folder, "--headless", "--model", network, "--fps", 40, "--record", kept / "o.mp4")
    live = subprocess.Popen(asked, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        log = kept / "o.frames.jsonl"
        wait_until(lambda: log.exists() and log.read_bytes().count(b"\n") > 5)
        if blow == "folder removed":
            shutil.rmtree(kept)
            said = "o.mp4 cannot be kept (it was moved or deleted meanwhile"
        else:
            os.kill(processes_of(live.pid)["view"], signal.SIGKILL)
            wait_until(lambda: (kept / "o-2.frames.jsonl").exists())
            said = "the viewer that wrote o.mp4 did not end it"
            live.send_signal(signal.SIGINT)
        _, words = live.communicate(timeout=60)
    finally:
        live.kill()
    assert live.returncode == 1
    assert said in words and "Traceback" not in words


def test_what_is_missing_is_counted_over_all_viewers() -> None:
    recordings = Recordings()
    recordings.hear(Pulse("view", 1, True, recorded=FilmRecord("o.mp4", 50)))
    recordings.hear(Pulse("view", 2, True, recorded=FilmRecord("o-2.mp4", 30, 3), stage="finished"))
    assert recordings.lapses(80, 2) == [
        "the viewer that wrote o.mp4 did not end it; up to its last second may be missing"
    ]
    recordings.hear(Pulse("view", 1, True, recorded=FilmRecord("o.mp4", 50), stage="finished"))
    assert recordings.lapses(80, 2) == []
    assert recordings.lapses(81, 2) == ["1 of 81 frames shown are not in the recording"]
    assert recordings.lapses(80, 3) == ["a viewer was lost before it said what it recorded"]
    assert recordings.as_report() == {"films": ["o.mp4", "o-2.mp4"], "frames": 80, "fitted": 3}


def test_a_reason_comes_before_the_count() -> None:
    assert shortfall([FilmRecord("o.mp4", 5, 0, "the disk is full")], 7) == [
        "the disk is full",
        "2 of 7 frames shown are not in the recording",
    ]
    assert shortfall([FilmRecord("o.mp4", 7)], 7) == []
    assert shortfall([], 2) == ["2 of 2 frames shown are not in the recording"]


def test_a_viewer_that_writes_out_its_film_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not beat meanwhile, and may take longer than one that hangs."""
    child = Child("view", list)
    now = 100.0
    monkeypatch.setattr("smartca.stream.run.supervise.time.monotonic", lambda: now)
    child.hear(Pulse("view", child.pid, True))
    assert child.patience_s == HUNG_S
    child.hear(Pulse("view", child.pid, True, stage="finishing"))
    assert child.patience_s == FINISHING_S and child.finishing_until == now + FINISHING_S
