"""An engine whose device fails for good: 'no result' at once, a new process, and overlays again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
from smartca.engine import DeviceLost, OperatingPoint, Segmenter
from smartca.engine.contract import EngineError
from smartca.stream.frame import State
from smartca.stream.run.serving import start_again
from smartca.stream.run.supervise import DEVICE_LOST, MOST_RESTARTS
from smartca.stream.serve import serve
from support.frames import make_frame
from support.host_device import HostDevice, open_on
from support.paths import SUPPORT
from support.ports import free_port
from support.processes import processes_of
from support.serving import Scanner, Serving, Viewer
from support.waiting import join, wait_until
from test_run import FRAMES, Watching, command, endless, folder, network

__all__ = ["endless", "folder", "network"]  # fixtures
LOST = "the GPU is lost (as a test asked for)"


@pytest.fixture
def lose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file whose appearance loses the device of the next engine that answers."""
    file = tmp_path / "lose"
    monkeypatch.setenv("SMARTCA_LOSE", str(file))
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT / "lost_device"))
    return file


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[tuple[Serving, HostDevice, list[Exception]]]:
    """`serve` over the TensorRT runner on a device in the host's memory, and what it ended with."""
    it = Serving(f"ipc://{tmp_path}/in", f"ipc://{tmp_path}/out", zmq.Context())
    device, ended = HostDevice(), list[Exception]()

    def run() -> None:
        try:
            point = OperatingPoint(threshold=0.5)
            serve(lambda: Segmenter(open_on(device), point), it.bind, it.publish, False, lambda: not it.stop.is_set())
        except EngineError as error:
            ended.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield it, device, ended
    it.stop.set()
    join(thread)
    if not device.closed:
        device.close()
    for dealer in it.dealers:
        dealer.close()
    it.context.term()


def test_every_frame_of_two_feeds_is_answered_with_two_in_flight(
    serving: tuple[Serving, HostDevice, list[Exception]],
) -> None:
    it, _, ended = serving
    scanners, viewer = [Scanner(it, epoch) for epoch in (7, 8)], Viewer(it)
    sent = [0, 0]

    def answered() -> bool:
        for number, scanner in enumerate(scanners):
            if sent[number] < 30 and scanner.send(make_frame(sent[number], 7 + number, live=False)):
                sent[number] += 1
            scanner.pump()
        viewer.pump(1)
        return len(viewer.answers) >= 60

    wait_until(answered, every_s=0)
    assert {answer.result.state for answer in viewer.answers} == {State.TEAR_OUTLINED}
    for epoch in (7, 8):  # in order, each feed its own
        assert [a.frame.seq for a in viewer.answers if a.frame.epoch == epoch] == list(range(30))
    for answer in viewer.answers:
        assert answer.result.mask is not None
        assert answer.frame.truth is not None
        assert (answer.result.mask & answer.frame.truth).sum() > 0.5 * answer.frame.truth.sum()
    assert not ended


def test_a_lost_device_is_no_result_for_what_it_had_and_ends_serve(
    serving: tuple[Serving, HostDevice, list[Exception]],
) -> None:
    it, device, ended = serving
    scanner, viewer, sent = Scanner(it, 7), Viewer(it), 0

    def ended_after_a_loss() -> bool:
        nonlocal sent
        if len(viewer.answers) >= 10:
            device.lost = DeviceLost("the GPU is lost")
        sent += scanner.send(make_frame(sent, live=False))
        scanner.pump()
        viewer.pump(1)
        return bool(ended)

    wait_until(ended_after_a_loss, every_s=0)
    viewer.pump(50)
    states = [answer.result.state for answer in viewer.answers]
    first = states.index(State.NO_RESULT)
    assert set(states[:first]) == {State.TEAR_OUTLINED}
    assert set(states[first:]) == {State.NO_RESULT}
    assert 1 <= len(states) - first <= 2
    assert all(answer.result.mask is None for answer in viewer.answers[first:])
    assert viewer.answers[first].result.reason == "the GPU is lost"
    assert isinstance(ended[0], DeviceLost)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the processes in /proc")
def test_a_run_goes_on_after_its_device_was_lost(
    tmp_path: Path, lose: Path, endless: tuple[subprocess.Popen[str], int]
) -> None:
    run, port = endless
    page = Watching(port)
    asyncio.run(page.until("tear outlined"))
    time.sleep(0.5)  # the supervisor has heard that all are ready by then
    before = processes_of(run.pid)["serve"]
    lose.touch()
    asyncio.run(page.until("no result"))
    wait_until(lambda: processes_of(run.pid).get("serve") not in (None, before), every_s=0.05)
    page.states.clear()
    asyncio.run(page.until("tear outlined"))
    assert page.outlined > 0
    run.send_signal(signal.SIGINT)
    _, words = run.communicate(timeout=30)
    assert run.returncode == 0, words
    assert "Traceback" not in words
    assert LOST in words
    assert "the serve process lost its device; starting it again" in words, words
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["restarts"] == {"serve": 1, "view": 0, "attach": 0}
    # of a frame, or of no engine at all where the page had that to say first
    assert report["states"]["no_result"] + report["engine_absences"] >= 1
    assert report["frames"]["captured"] == report["frames"]["shown"] + sum(report["frames"]["dropped"].values())


@pytest.mark.skipif(os.name == "nt", reason="a process is not replaced there")
def test_serve_alone_starts_itself_again(tmp_path: Path, lose: Path, network: Path, folder: Path) -> None:
    into, out = f"tcp://127.0.0.1:{free_port()}", f"tcp://127.0.0.1:{free_port()}"
    serve = subprocess.Popen(
        command("serve", "--bind", into, "--publish", out, "--engine", network),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert serve.stderr is not None
    while "ready: " not in serve.stderr.readline():  # one that never worked would not be started again
        assert serve.poll() is None
    watching = command("view", "--from", out, "--headless", "--report", "r.json", "-v")
    view = subprocess.Popen(watching, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    # live and slow: an engine that is back is not waited for by a viewer that has yet to find it again
    attach = subprocess.Popen(
        command("attach", folder, "--fps", 8, "--to", into), cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    assert view.stderr is not None
    while "a feed is shown" not in view.stderr.readline():  # from its first frame on the viewer counts
        assert view.poll() is None
    lose.touch()
    _, sent = attach.communicate(timeout=60)
    assert attach.returncode == 0, sent
    _, words = view.communicate(timeout=60)
    assert view.returncode == 0, words
    serve.send_signal(signal.SIGINT)
    _, said = serve.communicate(timeout=60)
    assert serve.returncode == 0, said
    assert said.count(LOST) == 1
    assert "starting again, in a new process" in said
    assert "ready: " in said
    assert "Traceback" not in said
    report = json.loads((tmp_path / "r.json").read_text())
    frames = report["frames"]
    assert frames["captured"] == FRAMES == frames["shown"] + sum(frames["dropped"].values())
    assert report["states"]["tear_outlined"] > 0


def test_a_device_that_is_lost_again_and_again_is_given_up() -> None:
    said: list[str] = []
    start_again(["serve"], MOST_RESTARTS, 1.0, said.append)
    assert "smartca doctor" in said[0]
    assert DEVICE_LOST not in (0, 1, 2)
