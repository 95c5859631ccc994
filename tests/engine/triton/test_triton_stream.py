"""A Triton server under the commands people type: killed and started again, and what was recorded meanwhile."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from smartca.engine import SHIPPED_MODEL, OperatingPoint, open_segmenter, whole
from smartca.engine.triton.config import Serving
from smartca.engine.triton.repository import write_repository
from smartca.phantom import Phantom
from smartca.stream.displays.recording import RecordedFrame, read_recording
from smartca.stream.sources import open_source
from support.kserve import DIGEST, Behaviour, SmallServer, describe
from support.ports import free_port
from support.triton_server import HOW, RealServer, environment, for_python_backend

OUTLINED, NO_OUTLINE, NO_RESULT = "tear outlined", "no tear outlined", "no result"
PLENTY = 4000  # pictures: more than are looked at


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "smartca", *map(str, arguments)]


def _whole(pictures: Path) -> str:
    """--crop for all of the folder's pictures."""
    picture = cv2.imread(str(next(pictures.iterdir())), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    return f"0,0,{picture.shape[1]},{picture.shape[0]}"


class Stream:
    """attach, serve and view as three commands of their own; what the viewer says is heard state by state."""

    def __init__(self, folder: Path, pictures: Path, url: str) -> None:
        into, out = f"tcp://127.0.0.1:{free_port()}", f"tcp://127.0.0.1:{free_port()}"
        self.folder, self.film = folder, folder / "o.mp4"
        self._said: queue.Queue[str] = queue.Queue()
        self._processes = [
            self._start("serve", "--engine", url, "--bind", into, "--publish", out),
            self._start("view", "--from", out, "--headless", "--record", self.film, "--report", folder / "r.json"),
            self._start("attach", pictures, "--to", into, "--fps", 30, "--crop", _whole(pictures)),
        ]
        threading.Thread(target=self._listen, args=(self._processes[1],), daemon=True).start()

    def until(self, state: str, why: str = "") -> None:
        """Wait until the viewer says `state` and, of the reason, `why`."""
        line = ""
        while not (line.startswith(f"smartca: {state}") and why in line):
            line = self._said.get(timeout=120)

    def end(self) -> list[RecordedFrame]:
        """Ctrl-C everywhere; returns what was recorded."""
        for process in self._processes:
            process.send_signal(signal.SIGINT)
        codes = [process.wait(60) for process in self._processes]
        assert codes == [0, 0, 0], [path.read_text() for path in self.folder.glob("*.words")]
        assert not [path for path in self.folder.glob("*.words") if "Traceback" in path.read_text()]
        return list(read_recording(self.film))

    def kill(self) -> None:
        """Whatever happened, leave nothing behind."""
        for process in self._processes:
            process.kill()
            process.wait(60)

    def _start(self, role: str, *arguments: object) -> subprocess.Popen[str]:
        if role == "view":
            return subprocess.Popen(command(role, *arguments), stderr=subprocess.PIPE, text=True)
        with (self.folder / f"{role}.words").open("w") as words:
            return subprocess.Popen(command(role, *arguments), stderr=words)  # type: ignore[return-value]

    def _listen(self, view: subprocess.Popen[str]) -> None:
        assert view.stderr is not None
        with view.stderr as lines:
            for line in lines:
                self._said.put(line)


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[Callable[[Path, str], Stream]]:
    """Starts a stream; it is gone after the test."""
    started: list[Stream] = []

    def start(pictures: Path, url: str) -> Stream:
        started.append(Stream(tmp_path, pictures, url))
        return started[-1]

    yield start
    for one in started:
        one.kill()


def feed(folder: Path, pictures: list[np.ndarray]) -> Path:
    """A folder of these pictures, over and over, so that it does not end."""
    (folder / "once").mkdir()
    (folder / "pictures").mkdir()
    for number, picture in enumerate(pictures):
        cv2.imwrite(str(folder / "once" / f"{number:02}.png"), picture)
    for number in range(PLENTY):
        (folder / "pictures" / f"{number:05}.png").hardlink_to(folder / "once" / f"{number % len(pictures):02}.png")
    return folder / "pictures"


def wandering(number: int) -> np.ndarray:
    """A mask of 96 x 96 with a square, elsewhere for every number below 24."""
    mask = np.zeros((96, 96), np.bool_)
    mask[6 + 2 * number : 36 + 2 * number, 8 + 2 * number : 40 + 2 * number] = True
    return mask


def lost_and_found(recorded: list[RecordedFrame]) -> None:
    """Outlines, then no result while no server answered, then outlines; never an outline without a result."""
    for one in recorded:
        assert one.state in (OUTLINED, NO_OUTLINE, NO_RESULT)
        assert (one.mask is not None and bool(one.mask.any())) == (one.state == OUTLINED)
        assert bool(one.reason) == (one.state == NO_RESULT)
    absent = [number for number, one in enumerate(recorded) if "no Triton server answers" in one.reason]
    outlined = [number for number, one in enumerate(recorded) if one.state == OUTLINED]
    assert outlined[0] < absent[0] <= absent[-1] < outlined[-1]
    assert not [number for number in outlined if absent[0] < number < absent[-1]]


@pytest.mark.timeout(300)  # three waits, of 120 s at most each
def test_a_killed_server_is_no_result_and_a_new_one_goes_on(
    tmp_path: Path, stream: Callable[[Path, str], Stream]
) -> None:
    config = describe(point=OperatingPoint(model_sha256=DIGEST, threshold=0.6))
    server = SmallServer(Behaviour(config))
    shown = stream(feed(tmp_path, [np.where(wandering(n), 255, 50).astype(np.uint8) for n in range(24)]), server.url)
    shown.until(OUTLINED)
    server.stop()
    shown.until(NO_RESULT, "no Triton server answers")
    again = SmallServer(Behaviour(config), server.port)
    shown.until(OUTLINED)
    recorded = shown.end()
    again.stop()
    lost_and_found(recorded)
    for one in recorded:
        if one.mask is not None and one.state == OUTLINED:  # of its own picture and of no other
            truth = wandering(one.seq % 24)
            assert (one.mask & truth).sum() > 0.85 * (one.mask | truth).sum(), f"frame {one.seq} has a foreign outline"
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["engine"]["backend"].startswith("triton 2.51.0")
    assert report["engine"]["model_sha256"] == DIGEST


@pytest.mark.timeout(300)  # a real server starts twice
@pytest.mark.skipif(environment() is None, reason=HOW)
def test_masks_of_the_real_server_are_the_local_ones_bit_for_bit_before_and_after_it_was_killed(
    tmp_path: Path, stream: Callable[[Path, str], Stream]
) -> None:
    env = environment()
    assert env is not None
    folder = feed(tmp_path, [np.asarray(Phantom(90001).frame(10.0 * t).pixels, np.uint8) for t in range(24)])
    with open_segmenter(precision="fp32", threads=1) as local, open_source(folder) as source:
        once = islice(source.pictures(), 24)
        expected = [local(picture.pixels, whole(picture.pixels.shape)).mask for picture in once]
    for_python_backend(write_repository(SHIPPED_MODEL, tmp_path / "models", serving=Serving(threads=1)))
    server = RealServer(env, tmp_path / "models", tmp_path)
    try:
        server.start()
        shown = stream(folder, server.url)
        shown.until(OUTLINED)
        server.kill()
        shown.until(NO_RESULT, "no Triton server answers")
        server.start()
        shown.until(OUTLINED)
        recorded = shown.end()
    finally:
        server.kill()
    lost_and_found(recorded)
    for one in recorded:
        if one.state != NO_RESULT:
            assert one.mask is not None
            assert np.array_equal(one.mask, expected[one.seq % 24]), f"frame {one.seq}"


def test_a_server_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    url = f"triton://127.0.0.1:{free_port()}/smartca"
    done = subprocess.run(command("run", "phantom:", "--headless", "--engine", url), capture_output=True, text=True)
    assert done.returncode == 2
    assert "no Triton server answers" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("role", ["run", "serve"])
def test_pictures_leave_this_machine_encrypted_or_not_at_all(role: str) -> None:
    source = ["phantom:", "--headless"] if role == "run" else []
    words = command(role, *source, "--engine", "triton://192.0.2.1:8001/smartca")
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 2
    assert "travel unencrypted" in done.stderr
    assert "Traceback" not in done.stderr
