"""kill -9 of each process of a live run, and a lost device: how soon the page says so, and overlays flow again.

    python benchmarks/failover.py [--rounds 3] [--report R.json]

Watches the page's own websocket as the page does: its script turns 'stale' by itself after 250 ms without a
message, and 'no result' when the socket closes. Times are from the kill. `device` is a simulated loss: the engine's
runner raises DeviceLost at its next answer (tests/support/lost_device), and its process ends to be started anew.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import click

PAGE_TIMEOUT_S = 0.25  # as in page.js
ROLES = ("attach", "serve", "view", "device")
LOST_DEVICE = Path(__file__).resolve().parents[1] / "tests" / "support" / "lost_device"


def children(parent: int) -> dict[str, int]:
    """role -> process id."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and int((entry / "stat").read_text().rsplit(") ", 1)[1].split()[1]) == parent:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").split()
                found[words[words.index(b"smartca") + 1].decode()] = int(entry.name)
        except (OSError, ValueError, IndexError):
            continue
    return found


class Page:
    """The state a page would show, and when it changed."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.state = "no result"
        self.changes: list[tuple[float, str]] = []

    def show(self, state: str) -> None:
        """Note a change."""
        if state != self.state:
            self.state = state
            self.changes.append((time.monotonic(), state))

    async def watch(self) -> None:
        """For ever: connect, draw, time out, reconnect."""
        while True:
            try:
                async with (
                    aiohttp.ClientSession() as session,
                    session.ws_connect(f"{self.url}/live", origin=self.url) as page,
                ):
                    await page.send_str("next")
                    await self._listen(page)
            except (aiohttp.ClientError, OSError):
                pass
            self.show("no result")
            await asyncio.sleep(0.2)

    async def _listen(self, page: aiohttp.ClientWebSocketResponse[Any]) -> None:
        while True:
            try:
                message = await page.receive(timeout=PAGE_TIMEOUT_S)
            except asyncio.TimeoutError:
                self.show("stale")
                continue
            if message.type is aiohttp.WSMsgType.TEXT:
                self.show(json.loads(message.data)["state"])
            elif message.type is aiohttp.WSMsgType.BINARY:
                (length,) = struct.unpack_from(">I", message.data)
                self.show(json.loads(message.data[4 : 4 + length])["state"])
                await page.send_str("next")
            else:
                return


async def measure(run: subprocess.Popen[bytes], page: Page, role: str, lose: Path) -> dict[str, float]:
    """Kill `role` once, or lose the device by the file `lose`, and time what the page shows."""
    while not page.state.endswith("tear outlined"):
        await asyncio.sleep(0.01)
    await asyncio.sleep(1.0)
    process = "serve" if role == "device" else role
    pid, page.changes = children(run.pid)[process], []
    killed = time.monotonic()
    if role == "device":
        lose.touch()
    else:
        os.kill(pid, signal.SIGKILL)
    restarted = 0.0
    while not (restarted and page.changes and page.state.endswith("tear outlined")):
        if not restarted and children(run.pid).get(process) not in (None, pid):
            restarted = time.monotonic()
        await asyncio.sleep(0.005)
    said = next(when for when, state in page.changes if state in ("stale", "no result"))
    flows = page.changes[-1][0]
    return {
        "said_ms": round(1e3 * (said - killed), 1),
        "restarted_ms": round(1e3 * (restarted - killed), 1),
        "overlays_again_after_restart_ms": round(1e3 * (flows - restarted), 1),
    }


async def main_async(rounds: int) -> dict[str, list[dict[str, float]]]:
    """All roles, `rounds` times each, one fresh run a role: restarts are limited."""
    return {role: await rounds_of(role, rounds) for role in ROLES}


async def rounds_of(role: str, rounds: int) -> list[dict[str, float]]:
    """One role."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "smartca", "demo", "--no-browser", "--fps", "30", "--port", str(port)]
    with tempfile.TemporaryDirectory() as folder:
        lose = Path(folder) / "lose"
        more = {"PYTHONPATH": str(LOST_DEVICE), "SMARTCA_LOSE": str(lose)} if role == "device" else {}
        run = subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, **more})
        page = Page(port)
        watching = asyncio.create_task(page.watch())
        found = [await measure(run, page, role, lose) for _ in range(rounds)]
        watching.cancel()
        run.send_signal(signal.SIGINT)
        run.wait()
    return found


@click.command()
@click.option("--rounds", type=click.IntRange(1, 5), default=3, show_default=True)
@click.option("--report", type=click.Path(path_type=Path))
def main(rounds: int, report: Path | None) -> None:
    """Measure and print; medians and the worst."""
    results = asyncio.run(main_async(rounds))
    for role, kills in results.items():
        for name in kills[0]:
            values = [kill[name] for kill in kills]
            print(f"{role:7} {name:32} median {statistics.median(values):7.1f}  worst {max(values):7.1f}")
    if report:
        report.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
