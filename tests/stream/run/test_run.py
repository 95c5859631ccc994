"""The whole stream as its users start it: real processes, real sockets, a real kill -9."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import cv2
import numpy as np
import pytest
from support.networks import brightness_network
from support.ports import free_port
from support.processes import processes_of
from support.waiting import PATIENCE_S, wait_until

FRAMES = 40


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that outlines what is bright."""
    return brightness_network(tmp_path_factory.mktemp("model") / "bright.onnx")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures with a bright square that wanders, and its truth; every fourth has none."""
    root = tmp_path_factory.mktemp("pictures")
    for part in ("images", "masks"):
        (root / part).mkdir()
    for number in range(FRAMES):
        mask = np.zeros((120, 160), np.uint8)
        if number % 4:
            mask[30 + number : 70 + number, 2 * number : 2 * number + 50] = 255
        cv2.imwrite(str(root / "images" / f"{number:03}.png"), np.maximum(mask, 50))
        cv2.imwrite(str(root / "masks" / f"{number:03}.png"), mask)
    return root


def command(*arguments: object) -> list[str]:
    """A smartca command line."""
    return [sys.executable, "-m", "smartca", *map(str, arguments)]


def smartca(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(command(*arguments), capture_output=True, text=True, cwd=cwd, timeout=120)


def test_a_folder_is_shown_whole_and_scored(tmp_path: Path, network: Path, folder: Path) -> None:
    done = smartca(
        *("run", folder, "--headless", "--model", network, "--crop", "0,0,160,120"),
        *("--report", "r.json", "--record", "o.mp4"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["frames"] == {"captured": FRAMES, "inferred": FRAMES, "shown": FRAMES, "dropped": {}}
    assert report["states"] == {
        "tear_outlined": FRAMES * 3 // 4,
        "unsure": 0,
        "no_tear_outlined": FRAMES // 4,
        "no_result": 0,
        "stale": 0,
    }
    assert report["truth"]["dice_pooled"] > 0.8
    assert (report["truth"]["false_positive_frames"], report["truth"]["negative_frames"]) == (0, FRAMES // 4)
    assert 0 < report["latency_ms"]["p50"] <= report["latency_ms"]["p99"] <= report["latency_ms"]["max"]
    assert report["engine"]["input"] == [1, 1, 64, 64]
    assert report["first_overlay_s"] > 0
    video = cv2.VideoCapture(str(tmp_path / "o.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == FRAMES
    assert not list(tmp_path.glob("*.partial"))


def test_a_live_feed_balances(tmp_path: Path, network: Path, folder: Path) -> None:
    done = smartca(
        *("run", folder, "--headless", "--model", network, "--fps", "200", "--report", "r.json"), cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    frames = json.loads((tmp_path / "r.json").read_text())["frames"]
    assert frames["captured"] == FRAMES
    assert frames["captured"] == frames["shown"] + sum(frames["dropped"].values())
    assert "lost in a restart" not in frames["dropped"]


def test_three_terminals(tmp_path: Path, network: Path, folder: Path) -> None:
    into, out = f"tcp://127.0.0.1:{free_port()}", f"tcp://127.0.0.1:{free_port()}"
    serve = subprocess.Popen(
        command("serve", "--bind", into, "--publish", out, "--model", network),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
    )
    view = subprocess.Popen(
        command("view", "--from", out, "--headless", "--report", "r.json"),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
    )
    attach = smartca("attach", folder, "--to", into, cwd=tmp_path)
    assert attach.returncode == 0, attach.stderr
    assert view.wait(60) == 0
    serve.send_signal(signal.SIGINT)
    assert serve.wait(60) == 0
    for process in (serve, view):
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()
        process.stderr.close()
    frames = json.loads((tmp_path / "r.json").read_text())["frames"]
    assert frames == {"captured": FRAMES, "inferred": FRAMES, "shown": FRAMES, "dropped": {}}


class Watching:
    """What a page would hear, with outlines held against the very picture they came with."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.states: list[str] = []
        self.outlined = 0

    async def until(self, wanted: str, seconds: float = 30.0) -> None:
        """Watch until the state is `wanted`; 'gone' is a page whose viewer cannot be reached."""
        await asyncio.wait_for(self._until(wanted), seconds)

    async def _until(self, wanted: str) -> None:
        while not self.states or self.states[-1] != wanted:
            await self._connection(wanted)

    async def _connection(self, wanted: str) -> None:
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(f"{self.url}/live", origin=self.url) as page,
            ):
                await page.send_str("next")
                async for message in page:
                    self._hear(message.data)
                    await page.send_str("next")
                    if self.states[-1] == wanted:
                        return
        except aiohttp.ClientError:
            await asyncio.sleep(0.05)
        self.states.append("gone")

    def _hear(self, data: bytes | str) -> None:
        if isinstance(data, str):
            self.states.append(json.loads(data)["state"])
            return
        (length,) = struct.unpack_from(">I", data)
        header = json.loads(data[4 : 4 + length])
        picture = cv2.imdecode(np.frombuffer(data[4 + length :], np.uint8), cv2.IMREAD_GRAYSCALE)
        assert picture is not None
        assert bool(header["outlines"]) == (header["state"] == "tear outlined")
        if header["outlines"]:
            corners = np.array(max(header["outlines"], key=len)).reshape(-1, 2)
            inside = cv2.fillPoly(np.zeros_like(picture), [corners.astype(np.int32)], 1).astype(bool)
            bright = picture > 200
            assert (inside & bright).sum() > 0.6 * max(inside.sum(), bright.sum()), "a foreign outline"
            self.outlined += 1
        self.states.append(header["state"])


@pytest.fixture
def endless(tmp_path: Path, network: Path, folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A live run with a page, on a long feed, and its port."""
    port = free_port()
    long = tmp_path / "long"
    for part in ("images", "masks"):
        (long / part).mkdir(parents=True)
        for number in range(2000):
            os.link(folder / part / f"{number % FRAMES:03}.png", long / part / f"{number:05}.png")
    run = subprocess.Popen(
        command(
            *("run", long, "--model", network, "--fps", "30", "--port", port, "--no-browser"),
            *("--crop", "0,0,160,120", "--report", "r.json"),
        ),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield run, port
    if run.poll() is None:
        run.kill()
    run.communicate(timeout=PATIENCE_S)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the processes in /proc")
@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
def test_a_dead_or_hung_process_is_replaced_and_never_covered_up(
    blow: signal.Signals, tmp_path: Path, endless: tuple[subprocess.Popen[str], int]
) -> None:
    """Each of the three in its turn, in one run."""
    run, port = endless
    page = Watching(port)
    for role, absent in (("attach", "stale"), ("serve", "no result"), ("view", "gone")):
        page.states.clear()
        page.outlined = 0
        asyncio.run(page.until("tear outlined"))
        assert page.outlined > 0
        time.sleep(0.5)  # the supervisor has heard that all are ready by then
        before = processes_of(run.pid)
        assert before.keys() == {"attach", "serve", "view"}
        os.kill(before[role], blow)
        if not (role == "view" and blow == signal.SIGSTOP):  # a page times a silent viewer itself
            asyncio.run(page.until(absent))
        wait_until(lambda: processes_of(run.pid).get(role) not in (None, before[role]), every_s=0.05)  # noqa: B023
    page.states.clear()
    page.outlined = 0
    asyncio.run(page.until("tear outlined"))
    assert page.outlined > 0
    run.send_signal(signal.SIGINT)
    _, words = run.communicate(timeout=30)
    assert run.returncode == 0, words
    assert "Traceback" not in words
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["restarts"] == {"attach": 1, "serve": 1, "view": 1}
    assert report["frames"]["captured"] == report["frames"]["shown"] + sum(report["frames"]["dropped"].values())
    assert not processes_of(run.pid)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the processes in /proc")
def test_nothing_is_left_behind_when_the_supervisor_dies(endless: tuple[subprocess.Popen[str], int]) -> None:
    run, port = endless
    asyncio.run(Watching(port).until("tear outlined"))
    children = processes_of(run.pid)
    run.kill()
    run.wait(PATIENCE_S)
    wait_until(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in children.values()), every_s=0.05)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["missing.mp4"], "missing.mp4"),
        (["text.mp4"], "text.mp4"),
        (["camera:93"], "camera"),
        (["nonsense://x"], "no source"),
        ([".", "--model", "missing.onnx"], "missing.onnx"),
        ([".", "--model", "wrong.onnx"], "wrong shape"),
        ([".", "--crop", "a,b"], "crop"),
        ([".", "--crop", "0,0,5000,5000"], "does not fit"),
        ([".", "--report", "no/such/folder/r.json"], "no folder"),
        ([".", "--record", "no/such/folder/o.mp4"], "no folder"),
        ([".", "--fps", "0"], "fps"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], says: str, tmp_path: Path, network: Path, folder: Path
) -> None:
    (tmp_path / "text.mp4").write_text("this is no video")
    cv2.imwrite(str(tmp_path / "one.png"), np.full((100, 100), 90, np.uint8))
    brightness_network(tmp_path / "wrong.onnx", (1, 3, 64, 64))
    model = [] if "--model" in arguments else ["--model", str(network)]
    done = smartca("run", *arguments, *model, "--headless", cwd=tmp_path)
    assert done.returncode != 0
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith(("smartca:", "Error:"))]) <= 2


def test_a_page_port_in_use(tmp_path: Path, network: Path, folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = smartca("run", folder, "--model", network, "--port", port, "--no-browser", cwd=tmp_path)
    assert done.returncode == 2
    assert f"port {port} is in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_stream_brings_no_torch_and_starts_light() -> None:
    code = (
        "import sys, smartca.cli, smartca.commands.streaming.live, smartca.stream.run.serving\n"
        "import smartca.stream.run.viewing, smartca.stream.run.attaching, smartca.stream.run.watching\n"
        "import smartca.stream.run.run\n"
        "import smartca.evaluation.evaluate, smartca.engine.cpu.openvino_runner, smartca.commands.evaluate\n"
        "assert not {'torch', 'timm', 'onnx', 'matplotlib'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    code = "import sys, smartca; assert not {'numpy', 'cv2', 'zmq', 'click'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)
