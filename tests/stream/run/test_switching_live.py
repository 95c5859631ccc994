"""The page's switch in a run as its users start it: real processes, and an engine that is killed meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import cv2
import numpy as np
import pytest
from smartca.stream.displays.recording import read_recording
from smartca.stream.frame import State
from support.networks import brightness_network, three_points
from support.processes import processes_of
from support.waiting import PATIENCE_S

STATES = {"careful": "no tear outlined", "balanced": "unsure", "searching": "tear outlined"}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A square of q about 0.2 is nothing, unsure or outlined, as the point is."""
    return three_points(brightness_network(tmp_path / "three.onnx"))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A faint square, over and over."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    grey = np.full((128, 128), 40, np.uint8)
    grey[40:90, 40:90] = 147
    cv2.imwrite(str(folder / "00000.png"), grey)
    for number in range(1, 1500):
        os.link(folder / "00000.png", folder / f"{number:05}.png")
    return folder


def started(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "smartca", *map(str, arguments)]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def live(tmp_path: Path, model: Path, pictures: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A live run that begins careful, and its page's address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    run = started(
        tmp_path,
        *("run", pictures, "--model", model, "--point", "careful", "--fps", 30, "--port", port, "--no-browser"),
        *("--crop", "0,0,128,128", "--report", "r.json", "--record", "o.mp4"),
    )
    yield run, f"http://127.0.0.1:{port}"
    if run.poll() is None:
        run.kill()
    run.communicate(timeout=PATIENCE_S)


Header = dict[str, Any]


async def watched(url: str, ask: str, until: Callable[[Header], bool]) -> Header:
    """Ask for a point as the page does ('' for none), and the first frame's header that is as wanted."""
    while True:
        try:
            async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/live", origin=url) as page:
                if ask:
                    await page.send_str(f"point {ask}")
                await page.send_str("next")
                async for message in page:
                    if isinstance(message.data, bytes):
                        (length,) = struct.unpack_from(">I", message.data)
                        header = json.loads(message.data[4 : 4 + length])
                        if until(header):
                            return header
                        await page.send_str("next")
        except aiohttp.ClientError:
            await asyncio.sleep(0.05)


def shown(url: str, point: str, ask: str = "") -> Header:
    """The first frame that was made at `point`."""
    return asyncio.run(asyncio.wait_for(watched(url, ask, lambda header: header["point"] == point), PATIENCE_S))


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the processes in /proc")
def test_the_page_switches_a_live_run_and_a_new_engine_hears_of_it(
    tmp_path: Path, live: tuple[subprocess.Popen[str], str]
) -> None:
    run, url = live
    for point, ask in (("careful", ""), ("balanced", "balanced"), ("searching", "searching")):
        header = shown(url, point, ask)
        assert (header["state"], header["points"]) == (STATES[point], "three")
        assert bool(header["unsure"]) == (point == "balanced") and bool(header["outlines"]) == (point == "searching")
    before = processes_of(run.pid)["serve"]
    os.kill(before, signal.SIGKILL)
    asyncio.run(asyncio.wait_for(watched(url, "", lambda header: processes_of(run.pid)["serve"] != before), PATIENCE_S))
    # begun as careful, like the first: the viewer tells it what was asked for
    assert shown(url, "searching")["state"] == "tear outlined"
    run.send_signal(signal.SIGINT)
    _, words = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 0 and "Traceback" not in words, words
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["points"].keys() == STATES.keys() and report["restarts"]["serve"] == 1
    assert report["states"]["unsure"] == report["points"]["balanced"] > 0
    for frame in read_recording(tmp_path / "o.mp4"):
        assert frame.state is State.NO_RESULT or STATES[frame.point] == frame.state.value
        assert (frame.unsure is not None) == (frame.point == "balanced")


def test_the_option_and_a_threshold_of_ones_own(tmp_path: Path, model: Path, pictures: Path) -> None:
    quick = ("run", pictures, "--model", model, "--frames", 5, "--headless", "--report", "r.json")
    for option, points in ((("--point", "searching"), {"searching": 5}), (("--threshold", 0.3), {"own threshold": 5})):
        run = started(tmp_path, *quick, *option)
        _, words = run.communicate(timeout=PATIENCE_S)
        assert run.returncode == 0, words
        assert json.loads((tmp_path / "r.json").read_text())["points"] == points
    run = started(tmp_path, *quick, "--threshold", 0.3, "--point", "careful")
    _, words = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 2 and "give one of --threshold and --point" in words
